"""The two event loops behind one face: the only module that speaks to asyncio or trio themselves.

A `Driver` stands for one running loop. The mesh uses it for what must cost next to nothing on every message (futures,
`call_soon`, a clock) and for tasks that live in nobody's scope: a task group in the caller's task breaks when the mesh
is entered in one task and left in another, as fixtures and notebook cells do.
"""

import asyncio
import contextlib
import contextvars
import sys
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import TYPE_CHECKING, Any, Protocol

import anyio

from ceylon.core.backends.steps import Parking, Steps

if TYPE_CHECKING:
    import trio

__all__ = [
    "AsyncioDriver",
    "Driver",
    "Future",
    "Sink",
    "Task",
    "TrioDriver",
    "current_driver",
    "in_notebook",
    "running_loop",
]


class Sink(Protocol):
    """A place for one result."""

    def set_result(self, result: Any, /) -> None:
        """Put the result there; once."""
        ...

    def done(self) -> bool:
        """Say whether there is a result, or nobody wants it any more."""
        ...


class Future(Sink, Protocol):
    """A sink that can be awaited on its loop."""

    def __await__(self) -> Generator[Any, None, Any]:
        """Wait for the result."""
        ...


class Task(Protocol):
    """A task of the mesh's own."""

    def cancel(self) -> None:
        """Raise the loop's cancellation in the task, at what it awaits."""
        ...

    def is_clean(self) -> bool:
        """Say whether the code that ran in it left neither a cancellation nor a scope behind."""
        ...

    async def tidy(self) -> None:
        """Close what the code that ran in it left open, in the task itself."""
        ...

    def life(self) -> contextlib.AbstractContextManager[None]:
        """Return what the task lives in from its first step to its last; leaving it closes scopes left open."""
        ...

    def is_ended_by_loop(self) -> bool:
        """Say whether the loop is ending; only of a task that runs no users' code and that nobody else cancels."""
        ...

    def disown(self) -> None:
        """Let the loop end without waiting for the task, where that can be: it ignores its cancellation."""
        ...

    def parking(self) -> Future:
        """Return what the task may await until it is wanted again."""
        ...

    def step(self) -> bool:
        """Let the task, which awaits its parking, go on here and now; say no where that cannot be."""
        ...

    def is_following(self) -> bool:
        """Say whether the step is still to come: it begins as soon as the task waits that has asked for it."""
        ...

    async def leave_step(self) -> None:
        """Let the loop have the task again, before it ends."""
        ...


class Driver(Protocol):
    """One event loop, as the mesh uses it."""

    @property
    def thread(self) -> int:
        """The identity of the thread that runs it."""
        ...

    @property
    def cancellation(self) -> type[BaseException]:
        """What the loop raises in a task to cancel it."""
        ...

    @property
    def now(self) -> Callable[[], float]:
        """Return the loop's own monotonic time, in seconds."""
        ...

    def now_anywhere(self) -> float:
        """Return the same time from any thread."""
        ...

    def has_ended(self) -> bool:
        """Say whether the loop will never run anything again; from any thread."""
        ...

    @property
    def future(self) -> Callable[[], Future]:
        """Return a future to be awaited on this loop."""
        ...

    @property
    def call_soon(self) -> Callable[[Callable[[], None]], object]:
        """Run a callback after control has come back to the loop once; from the loop's thread."""
        ...

    def call_threadsafe(self, callback: Callable[[], None]) -> None:
        """Run *callback* on the loop, from any thread.

        Raises:
            RuntimeError: the loop has ended.
        """
        ...

    def call_at(self, when: float, callback: Callable[[], None]) -> Callable[[], None]:
        """Run *callback* at *when*; return a function that takes this back."""
        ...

    def spawn(self, function: Callable[["Task"], Coroutine[Any, Any, None]], name: str) -> Task:
        """Start ``function(task)`` in nobody's scope; it must not raise."""
        ...

    async def checkpoint(self) -> None:
        """Let the loop run everything that is ready."""
        ...

    def is_current(self) -> bool:
        """Say whether the caller runs on this loop."""
        ...

    def close(self) -> None:
        """End what runs for `call_soon`; the mesh is closed."""
        ...

    async def shielded(self, wait: Callable[[], Awaitable[None]]) -> None:
        """Await ``wait()`` to its end whatever cancels the caller; the cancellation is raised afterwards."""
        ...


_current_task = asyncio.current_task
_enter_task, _leave_task = asyncio._enter_task, asyncio._leave_task  # noqa: SLF001 – documented under "Extending asyncio"


def running_loop() -> str | None:
    """Return which kind of loop runs in this thread: ``"asyncio"``, ``"trio"`` or `None`."""
    trio_module = sys.modules.get("trio")
    if trio_module is not None and trio_module.lowlevel.in_trio_run():
        return "trio"
    return "asyncio" if asyncio._get_running_loop() is not None else None  # noqa: SLF001 – documented, never raises


def current_driver() -> Driver:
    """Return a driver of the loop that runs the caller.

    Raises:
        RuntimeError: there is none.
    """
    if running_loop() == "trio":
        return TrioDriver.current()
    return AsyncioDriver(asyncio.get_running_loop())


def in_notebook() -> bool:
    """Say whether the running loop is a Jupyter kernel's, where blocking verbs are the normal way."""
    kernel = sys.modules.get("ipykernel.kernelapp")
    return kernel is not None and bool(kernel.IPKernelApp.initialized())


# -- asyncio -----------------------------------------------------------------------------------------------------------


class AsyncioDriver:
    """asyncio, also under uvloop; `call_soon`, `now` and `future` are the loop's own methods."""

    cancellation: type[BaseException] = asyncio.CancelledError

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.thread = threading.get_ident()
        is_plain = getattr(loop.time, "__func__", None) is asyncio.BaseEventLoop.time  # no uvloop, no virtual clock
        self.now: Callable[[], float] = time.monotonic if is_plain else loop.time  # the same time, a call less
        self.future: Callable[[], Future] = loop.create_future
        self.call_soon: Callable[[Callable[[], None]], Any] = loop.call_soon
        self._context = contextvars.copy_context()  # what a worker task starts from: as the mesh was opened
        self._steps: Steps = getattr(loop, "make_steps", Steps)(loop)  # a simulated loop's own
        self._task_class: type[asyncio.Task[None]] = getattr(loop, "task_class", asyncio.Task)  # likewise

    def now_anywhere(self) -> float:
        """See `Driver`."""
        return self.now()

    def has_ended(self) -> bool:
        """See `Driver`."""
        return self._loop.is_closed()

    def call_threadsafe(self, callback: Callable[[], None]) -> None:
        """See `Driver`."""
        self._loop.call_soon_threadsafe(callback)

    def call_at(self, when: float, callback: Callable[[], None]) -> Callable[[], None]:
        """See `Driver`."""
        return self._loop.call_at(when, callback, context=self._context).cancel

    def spawn(self, function: Callable[[Task], Coroutine[Any, Any, None]], name: str) -> Task:
        """See `Driver`."""
        made = AsyncioTask(self._steps, self._context)
        # Not `create_task`: an eager task factory would run the first step here and now.
        made.task = self._task_class(made.run(function), loop=self._loop, name=name, context=made.context)
        self._steps.own.add(made.task)
        made.task.add_done_callback(self._steps.own.discard, context=self._context)  # holds no handler's
        return made

    async def checkpoint(self) -> None:
        """See `Driver`."""
        await asyncio.sleep(0)

    def close(self) -> None:
        """See `Driver`; nothing does."""

    def is_current(self) -> bool:
        """See `Driver`."""
        return asyncio._get_running_loop() is self._loop  # noqa: SLF001 – documented, never raises

    async def shielded(self, wait: Callable[[], Awaitable[None]]) -> None:
        """See `Driver`. anyio's scopes are kept off by a shield, the task's own cancellation by waiting again."""
        cancelled: asyncio.CancelledError | None = None
        with anyio.CancelScope(shield=True):
            while True:
                try:
                    await wait()
                    break
                except asyncio.CancelledError as error:
                    cancelled = error
        if cancelled is not None:
            raise cancelled


class AsyncioTask:
    """A task of the mesh on asyncio."""

    __slots__ = ("_is_doomed", "_is_in_step", "_scope", "_send", "_state", "_steps", "context", "place", "task")

    def __init__(self, steps: "Steps", context: contextvars.Context) -> None:
        self._steps = steps
        self.context = context.copy()  # what its code runs in
        self.task: asyncio.Task[None]
        self._is_doomed = False  # cancelled before its first step
        self._state: Any = None
        self._scope: Any = None
        self.place: Parking | None = None  # what asyncio believes it awaits, once it has parked
        self._is_in_step = False
        self._send: Callable[[None], Any]

    def run(self, function: Callable[[Task], Coroutine[Any, Any, None]]) -> Coroutine[Any, Any, None]:
        """Return what the task runs."""
        made = function(self)
        self._send = made.send
        return made

    def cancel(self) -> None:
        """See `Task`. asyncio would drop a task without a first step, and everything in its `finally`."""
        if self._state is None:
            self._is_doomed = True
        else:
            self.task.cancel()

    def is_ended_by_loop(self) -> bool:
        """See `Task`. Whoever ends a loop cancels all of its tasks before any of them runs again."""
        return bool(self.task.cancelling()) or self.task.done()

    def disown(self) -> None:
        """See `Task`: `asyncio.run` waits for every task it knows."""
        asyncio._unregister_task(self.task)  # noqa: SLF001 – documented under "Extending asyncio"
        self.task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001 – as `asyncio.gather` does

    def parking(self) -> "Future":
        """See `Task`; the same one as before, if nobody has used that up."""
        if self.place is None or self.place.done():
            self.place = Parking(loop=self._steps.loop)
        return self.place

    def step(self) -> bool:
        """See `Task`.

        The loop would do this in its next turn; here the caller's stack is used, and the caller goes on when the task
        waits again. `asyncio` says of its two functions how to do so: "Extending asyncio".
        """
        steps, place = self._steps, self.place
        loop = steps.loop
        caller = _current_task(loop)
        if caller is None or place is None or place.done() or not steps.may_begin(caller):
            return False
        if steps.is_deep():
            steps.following = self
            return True
        _leave_task(loop, caller)
        steps.nested += 1
        try:
            awaited = self.go_on()
            if steps.following is not None:
                steps.follow(self, awaited)
            elif awaited is place:  # `Parking.stand_for`, a call less
                place._asyncio_future_blocking = False  # noqa: SLF001 – what a task answers to what it is given
            else:
                place.stand_for(awaited)
        finally:
            steps.nested -= 1
            _enter_task(loop, caller)
        return True

    def is_following(self) -> bool:
        """See `Task`."""
        return self._steps.following is self

    def may_go_on(self) -> bool:
        """See `Stepping`."""
        return self.place is not None and not self.place.done() and not self.task._must_cancel  # type: ignore[attr-defined]  # noqa: SLF001 – as below

    def go_on(self) -> Any:
        """See `Stepping`."""
        loop, task, place = self._steps.loop, self.task, self.place
        _enter_task(loop, task)
        self._is_in_step = True
        try:
            return self.context.run(self._send, None)
        except StopIteration:  # a mistake of ours, see `leave_step`; the loop's own task has to end as well
            if place is not None:
                place.cancel()
            return place
        finally:
            self._is_in_step = False
            _leave_task(loop, task)

    async def leave_step(self) -> None:
        """See `Task`."""
        if self._is_in_step:
            await asyncio.sleep(0)

    def is_clean(self) -> bool:
        """See `Task`."""
        task: Any = self.task
        # `_must_cancel`: up to 3.12 `uncancel` takes back the count and leaves the cancellation itself to come.
        if task.cancelling() or task._must_cancel or self._state.cancel_scope is not self._scope:  # noqa: SLF001
            return False
        return not self._is_in_step or self.place is None or not self.place.done()  # likewise, in a step

    @contextlib.contextmanager
    def life(self) -> Generator[None]:
        """See `Task`. The scope is there to be compared with: a handler's own, left open, hides it."""
        with anyio.CancelScope() as scope:
            self._state, self._scope = _scope_state(self.task, scope), scope
            if self._is_doomed:
                self.task.cancel()
            yield

    async def tidy(self) -> None:
        """See `Task`."""
        while self._state.cancel_scope not in {self._scope, None}:
            self._state.cancel_scope.__exit__(None, None, None)


class _NoState:
    """Stands for a task state that could not be read: then no scope left open is ever noticed."""

    def __init__(self, scope: anyio.CancelScope) -> None:
        self.cancel_scope = scope


def _scope_state(task: "asyncio.Task[None]", scope: anyio.CancelScope) -> Any:
    """Return where anyio notes the innermost scope of *task*.

    Private, because reading it costs 40 ns a message and anyio's public face 1 µs. Should a later anyio keep it
    elsewhere, `tests/core/test_backend.py` says so and meshes go on without the check.
    """
    try:
        states: Any = sys.modules["anyio._backends._asyncio"]._task_states  # noqa: SLF001 – see above
        return states[task]
    except (AttributeError, KeyError):
        return _NoState(scope)


# -- trio --------------------------------------------------------------------------------------------------------------


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

    async def _run_soon(self, _: Task) -> None:
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
        """See `Driver`."""
        trio_module = sys.modules["trio"]
        scope = trio_module.CancelScope()

        async def wait(_: Task) -> None:
            with scope:
                await trio_module.sleep_until(when)
            if not scope.cancel_called:
                callback()

        self.spawn(wait, "ceylon timer")
        return lambda: scope.cancel()  # noqa: PLW0108 – `cancel` takes a reason

    def spawn(self, function: Callable[[Task], Coroutine[Any, Any, None]], name: str) -> Task:
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

    def parking(self) -> Future:
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
