"""trio as the mesh's event loop. It is an extra: this module uses what whoever runs it has imported."""

import contextlib
import heapq
import itertools
import sys
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import TYPE_CHECKING, Any

import anyio

if TYPE_CHECKING:
    import trio

    from ceylon.core.backend import Future, Task

__all__ = ["TrioDriver", "TrioFuture", "TrioTask"]


class TrioFuture:
    """A future for trio: one result, any number of waiting tasks."""

    __slots__ = ("_done", "_result", "_waiting")

    def __init__(self) -> None:
        self._done = False
        self._result: Any = None
        self._waiting: list[trio.lowlevel.Task] = []

    def set_result(self, result: Any, /) -> None:
        """Give the result to everyone who waits, now or later."""
        lowlevel = sys.modules["trio"].lowlevel
        self._done, self._result = True, result
        for task in self._waiting:
            lowlevel.reschedule(task)
        self._waiting.clear()

    def done(self) -> bool:
        """Say whether there is a result."""
        return self._done

    def __await__(self) -> Generator[Any, None, Any]:
        """Wait for the result."""
        lowlevel = sys.modules["trio"].lowlevel
        if not self._done:
            task = lowlevel.current_task()
            self._waiting.append(task)

            def abort(_: object) -> Any:
                self._waiting.remove(task)
                return lowlevel.Abort.SUCCEEDED

            yield from lowlevel.wait_task_rescheduled(abort).__await__()
        return self._result


class TrioDriver:
    """trio: system tasks, and one helper task each for `call_soon` and `call_at`."""

    def __init__(self, token: "trio.lowlevel.TrioToken") -> None:
        self._token = token
        self.thread = threading.get_ident()
        self.cancellation: type[BaseException] = sys.modules["trio"].Cancelled
        self.now: Callable[[], float] = sys.modules["trio"].current_time
        self.future: Callable[[], Future] = TrioFuture
        self._clock: trio.abc.Clock = sys.modules["trio"].lowlevel.current_clock()
        self._soon: deque[Callable[[], None]] = deque()
        self._soon_waiter: TrioFuture | None = None
        self._due: list[tuple[float, int, Any, Callable[[], None]]] = []  # a heap of timers
        self._numbers = itertools.count()  # of those that are due at the very same time
        self._is_closed = False

    @classmethod
    def current(cls) -> "TrioDriver":
        """Return a driver of the running trio loop."""
        return cls(sys.modules["trio"].lowlevel.current_trio_token())

    def now_anywhere(self) -> float:
        """See `Driver`. trio's clock is an object that any thread may ask, once the run has started it."""
        return self._clock.current_time()

    def has_ended(self) -> bool:
        """See `Driver`. Asking is harmless: the loop does nothing when it hears of it."""
        try:
            self._token.run_sync_soon(_do_nothing, idempotent=True)
        except RuntimeError:  # trio's RunFinishedError is one
            return True
        return False

    def call_soon(self, callback: Callable[[], None]) -> None:
        """See `Driver`. A task runs the callbacks, so each runs in a later step of the loop than this one."""
        self._soon.append(callback)
        if self._soon_waiter is None:
            self._soon_waiter = TrioFuture()
            self.spawn(self._run_soon, "ceylon call_soon")
        elif not self._soon_waiter.done():
            self._soon_waiter.set_result(None)

    async def _run_soon(self, _: "Task") -> None:
        while not self._is_closed:
            while self._soon:
                self._soon.popleft()()
            self._soon_waiter = TrioFuture()
            await self._soon_waiter

    def close(self) -> None:
        """See `Driver`."""
        self._is_closed = True
        if self._soon_waiter is not None and not self._soon_waiter.done():
            self._soon_waiter.set_result(None)

    def call_threadsafe(self, callback: Callable[[], None]) -> None:
        """See `Driver`."""
        self._token.run_sync_soon(callback)

    def call_at(self, when: float, callback: Callable[[], None]) -> Callable[[], None]:
        """See `Driver`.

        trio runs in any order what is due at one time, as all timers are that a busy machine was late for. So each
        waits for one more step, in which all of them are known, and then runs the first of them.
        """
        trio_module = sys.modules["trio"]
        scope = trio_module.CancelScope()

        async def wait(_: "Task") -> None:
            with scope:
                await trio_module.sleep_until(when)
            if scope.cancel_called:
                return
            heapq.heappush(self._due, (when, next(self._numbers), scope, callback))
            await self.checkpoint()
            *__, due, run = heapq.heappop(self._due)
            if not due.cancel_called:
                run()

        self.spawn(wait, "ceylon timer")
        return lambda: scope.cancel()  # noqa: PLW0108 – `cancel` takes a reason

    def spawn(self, function: "Callable[[Task], Coroutine[Any, Any, None]]", name: str) -> "Task":
        """See `Driver`. Only the loop's own end cancels a system task from outside."""
        made = TrioTask()
        made.task = sys.modules["trio"].lowlevel.spawn_system_task(function, made, name=name)
        return made

    async def checkpoint(self) -> None:
        """See `Driver`."""
        await sys.modules["trio"].lowlevel.cancel_shielded_checkpoint()

    def is_current(self) -> bool:
        """See `Driver`."""
        lowlevel = sys.modules["trio"].lowlevel
        return lowlevel.in_trio_run() and lowlevel.current_trio_token() is self._token

    async def shielded(self, wait: Callable[[], Awaitable[None]]) -> None:
        """See `Driver`."""
        with anyio.CancelScope(shield=True):
            await wait()
        await anyio.lowlevel.checkpoint_if_cancelled()


class TrioTask:
    """A task of the mesh on trio."""

    __slots__ = ("_scope", "_status", "task")

    def __init__(self) -> None:
        self.task: trio.lowlevel.Task
        self._scope: Any = None
        self._status: Any = None

    def cancel(self) -> None:
        """See `Task`. trio's cancellations are for good, so the task ends soon after."""
        if self._scope is None:  # it has not made its first step
            self._scope = sys.modules["trio"].CancelScope()
        self._scope.cancel()

    def is_ended_by_loop(self) -> bool:
        """See `Task`."""
        return self._status is not None and bool(self._status.effectively_cancelled)

    def parking(self) -> "Future":
        """See `Task`."""
        return TrioFuture()

    def step(self) -> bool:
        """See `Task`: trio has no way to run a step of one task inside another's."""
        return False

    def is_following(self) -> bool:
        """See `Task`; there are none."""
        return False

    async def leave_step(self) -> None:
        """See `Task`; there are none."""

    def disown(self) -> None:
        """See `Task`: trio ends with its last task, and there is no way round."""

    def is_clean(self) -> bool:
        """See `Task`."""
        task: Any = self.task
        return not self._scope.cancel_called and task._cancel_status is self._status and not task.child_nurseries  # noqa: SLF001 – nothing public tells

    @contextlib.contextmanager
    def life(self) -> Generator[None]:
        """See `Task`."""
        task: Any = self.task if hasattr(self, "task") else sys.modules["trio"].lowlevel.current_task()
        self.task = task
        if self._scope is None:
            self._scope = sys.modules["trio"].CancelScope()
        with self._scope:
            self._status = task._cancel_status  # noqa: SLF001 – nothing public tells
            yield

    async def tidy(self) -> None:
        """See `Task`. A nursery left open is closed as its `async with` would have: children cancelled and awaited."""
        task: Any = self.task
        while task._cancel_status is not self._status:  # noqa: SLF001 – nothing public tells
            scope = task._cancel_status._scope  # noqa: SLF001 – likewise
            for nursery in task.child_nurseries:
                if nursery.cancel_scope is scope:
                    scope.cancel()
                    await nursery._nested_child_finished(None)  # noqa: SLF001 – likewise
            scope.__exit__(None, None, None)


def _do_nothing() -> None:
    """Serve as a question whether the loop still runs."""
