"""asyncio as the mesh's event loop, also under uvloop."""

import asyncio
import contextlib
import contextvars
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import TYPE_CHECKING, Any

import anyio

from ceylon.core.backends.steps import Parking, steps_of

if TYPE_CHECKING:
    from ceylon.core.backend import Future, Task
    from ceylon.core.backends.steps import Steps

__all__ = ["AsyncioDriver", "AsyncioTask"]

_current_task = asyncio.current_task
_enter_task, _leave_task = asyncio._enter_task, asyncio._leave_task  # noqa: SLF001 – documented under "Extending asyncio"


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
        self._steps = steps_of(loop)
        self._tasks: set[asyncio.Task[None]] = set()  # the loop itself keeps weak references only
        self._task_class: type[asyncio.Task[None]] = getattr(loop, "task_class", asyncio.Task)  # a simulated loop's own

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

    def spawn(self, function: "Callable[[Task], Coroutine[Any, Any, None]]", name: str) -> "Task":
        """See `Driver`."""
        made = AsyncioTask(self._steps, self._context)
        # Not `create_task`: an eager task factory would run the first step here and now.
        made.task = self._task_class(made.run(function), loop=self._loop, name=name, context=made.context)
        for tasks in (self._tasks, self._steps.own):
            tasks.add(made.task)
            made.task.add_done_callback(tasks.discard, context=self._context)  # holds no handler's
        return made

    async def checkpoint(self) -> None:
        """See `Driver`."""
        await asyncio.sleep(0)

    def close(self) -> None:
        """See `Driver`. What still runs is the closed mesh's, and ends with it."""
        self._steps.own.difference_update(self._tasks)

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

    def run(self, function: "Callable[[Task], Coroutine[Any, Any, None]]") -> Coroutine[Any, Any, None]:
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
            self.place.variables = self._steps.no_variables
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
    elsewhere, `driver_contract` says so and meshes go on without the check.
    """
    try:
        states: Any = sys.modules["anyio._backends._asyncio"]._task_states  # noqa: SLF001 – see above
        return states[task]
    except (AttributeError, KeyError):
        return _NoState(scope)
