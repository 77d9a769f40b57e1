"""The two event loops behind one face: the port, and which of its adapters in `backends` fits the loop that runs.

A `Driver` stands for one running loop. The mesh uses it for what must cost next to nothing on every message (futures,
`call_soon`, a clock) and for tasks that live in nobody's scope: a task group in the caller's task breaks when the mesh
is entered in one task and left in another, as fixtures and notebook cells do.
"""

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, Protocol

from ceylon.core.backends.on_asyncio import AsyncioDriver
from ceylon.core.backends.on_trio import TrioDriver

__all__ = [
    "Driver",
    "Future",
    "Sink",
    "Task",
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
    def current_task(self) -> Callable[[], Any] | None:
        """What finds the task that runs, if one can be cancelled by itself: trio knows scopes only."""
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
