"""The way onto the mesh's loop for whoever calls: a task on that loop, a task on another loop, or a plain thread.

An operation is a function that takes a sink and starts something on the mesh's loop, returning the call to cancel
should the caller leave. Three ways lead there, and none of them repeats what an operation does.
"""

import functools
import sys
import threading
import warnings
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ceylon.core.sinks import LOOP_ENDED, ForeignSink
from ceylon.errors import BlockingCallError, MeshClosedError
from ceylon.messages import Outcome

if TYPE_CHECKING:
    from ceylon.core.backend import Driver, Future, Sink
    from ceylon.core.calls import Call
    from ceylon.core.threads import ThreadPool

__all__ = ["NOT_STARTED", "Gateway", "Operation"]

NOT_STARTED: Final = "it has not been started; use `async with mesh:`, or `with` for a `BlockingMesh`, or its `start()`"

Operation: TypeAlias = "Callable[[Sink], Call | None]"


class Gateway:
    """One mesh's door: a queue of what other threads want done, with one wake-up for many."""

    def __init__(self, mesh: str) -> None:
        self._mesh = mesh
        self._driver: Driver
        self._threads: ThreadPool
        self._thread = -1
        self._inbox: deque[Callable[[], Any]] = deque()
        self._is_armed = False
        self._closing = threading.Lock()
        self._why_closed = NOT_STARTED
        self._has_warned = False

    def open(self, driver: "Driver", threads: "ThreadPool") -> None:
        """Let callers in, from now on."""
        self._driver, self._threads, self._thread = driver, threads, driver.thread
        self._why_closed = ""

    def is_inside(self) -> bool:
        """Say whether the caller is on the mesh's own loop."""
        return threading.get_ident() == self._thread and self._driver.is_current()

    def may_enter(self) -> bool:
        """Say whether the caller may do here and now what it would have to await otherwise."""
        return not self._why_closed and threading.get_ident() == self._thread and self._driver.is_current()

    def future(self) -> "Future":
        """Return a future of the mesh's loop; for who is inside."""
        return self._driver.future()

    # -- three ways ----------------------------------------------------------------------------------------------------

    async def perform(self, operation: Operation) -> Outcome:
        """Do *operation* and await its outcome, from any loop; cancelling the await cancels the call.

        Raises:
            MeshClosedError: the mesh is not running.
        """
        if self.is_inside():
            self.check_open()
            future = self._driver.future()
            call = operation(future)
            try:
                return await future  # type: ignore[no-any-return]
            except BaseException:
                if call is not None:
                    call.cancel()
                raise
        return await self._perform_from_afar(operation)

    async def _perform_from_afar(self, operation: Operation) -> Outcome:
        from ceylon.core.backend import current_driver  # noqa: PLC0415 – loaded when a mesh starts, see there

        sink = ForeignSink(current_driver())
        calls: list[Call] = []
        self.post(functools.partial(_begin, operation, sink, calls))
        try:
            return await sink.future  # type: ignore[no-any-return]
        except BaseException:
            self.post_quietly(functools.partial(_cancel_all, calls))
            raise

    def block(self, verb: str, operation: Operation, instead: str = "", *, may_warn: bool = True) -> Outcome:
        """Do *operation* and wait for its outcome in this thread.

        Raises:
            BlockingCallError: this thread runs the mesh's loop, which could then never answer.
            MeshClosedError: the mesh is not running.
        """
        self.check_open()
        if threading.get_ident() == self._thread:
            raise BlockingCallError(verb, instead or f"`await` and the async `{verb}`")
        if may_warn:
            self._warn_foreign_loop(verb)
        sink = self._threads.sink()
        calls: list[Call] = []
        try:
            with self._threads.giving_back():  # first: a thread too many is refused before it has begun anything
                self.post(functools.partial(_begin, operation, sink, calls))
                return sink.wait(self._driver, self._mesh)  # type: ignore[no-any-return]
        except BaseException:
            self.post_quietly(functools.partial(_cancel_all, calls))
            raise

    def _warn_foreign_loop(self, verb: str) -> None:
        """Warn once where a blocking verb holds up somebody else's loop."""
        from ceylon.core.backend import in_notebook, running_loop  # noqa: PLC0415 – likewise

        if self._has_warned or running_loop() is None or in_notebook():
            return
        self._has_warned = True
        warnings.warn(
            f"the blocking `{verb}` holds up the event loop that runs here; await the async twin instead",
            RuntimeWarning,
            stacklevel=_depth_outside(),
        )

    # -- the inbox -----------------------------------------------------------------------------------------------------

    def post(self, callback: Callable[[], Any]) -> None:
        """Run *callback* on the mesh's loop, soon; from any thread.

        Raises:
            MeshClosedError: the mesh is not running.
        """
        with self._closing:
            self.check_open()
            self._inbox.append(callback)
        if not self._is_armed:
            self._is_armed = True
            try:
                self._driver.call_threadsafe(self.drain)
            except RuntimeError as error:
                raise MeshClosedError(self._mesh, LOOP_ENDED) from error

    def post_quietly(self, callback: Callable[[], Any]) -> None:
        """Run *callback* on the mesh's loop if that still runs; safe while garbage is collected, so without a lock."""
        if not self._why_closed:
            try:
                self._driver.call_threadsafe(callback)
            except RuntimeError:
                return

    def drain(self) -> None:
        """Do what was posted; on the loop."""
        self._is_armed = False
        while self._inbox:
            self._inbox.popleft()()

    def close(self, why: str) -> None:
        """Take nothing any more; what was posted before is still done."""
        with self._closing:
            self._why_closed = why
        self.drain()

    def forget(self, why: str) -> None:
        """Take nothing any more, in a forked child: no loop is there, and another thread may have held the lock."""
        self._closing = threading.Lock()
        self._why_closed, self._thread = why, -1
        self._inbox.clear()

    def check_open(self) -> None:
        """Raise `MeshClosedError` if the mesh is not running."""
        if self._why_closed:
            raise MeshClosedError(self._mesh, self._why_closed)


def _begin(operation: Operation, sink: "Sink", calls: "list[Call]") -> None:
    """Start *operation* on the loop for a caller elsewhere; whatever it raises is that caller's."""
    try:
        call = operation(sink)
    except BaseException as error:  # noqa: BLE001 – or the caller would wait for ever
        sink.set_result(Outcome(error=error))
    else:
        if call is not None:
            calls.append(call)


def _cancel_all(calls: "list[Call]") -> None:
    """Cancel the call that was begun, if it was."""
    for call in calls:
        call.cancel()


def _depth_outside() -> int:
    """Return the stack level of the first caller outside this package, for a warning's place."""
    level, frame = 1, sys._getframe(1)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] – as `warnings` does
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "ceylon":
        level, frame = level + 1, frame.f_back
    return level
