"""Time that jumps: an hour of waiting takes no longer than what is done in it. For code that uses no threads."""

import asyncio
import selectors
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
import trio
import trio.testing

from ceylon.agents.setup import load_adapters
from ceylon.core.instruments import instruments

__all__ = ["run_virtually", "virtual"]

T = TypeVar("T")


class Jumping(selectors.SelectSelector):
    """Waits by moving its own time forward."""

    def __init__(self) -> None:
        super().__init__()
        self.time = 0.0

    def select(self, timeout: float | None = None) -> Any:
        """Look what is ready; if nothing is, let *timeout* pass."""
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "everybody waits for something that never comes"
            self.time += max(timeout, 0.0)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """asyncio on such a selector's time."""

    def __init__(self) -> None:
        self.jumping = Jumping()
        super().__init__(self.jumping)
        self.set_debug(False)  # asyncio's debugging measures real time, and makes ten thousand tasks slow

    def time(self) -> float:
        """Return the virtual time, in seconds."""
        return self.jumping.time


def virtual(backend: str) -> tuple[str, dict[str, Any]]:
    """Return what `anyio_backend` has to be for a test in virtual time on the loop called *backend*."""
    if backend == "trio":
        return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}
    return "asyncio", {"loop_factory": VirtualLoop}


def run_virtually(backend: str, function: Callable[[], Awaitable[T]]) -> T:
    """Run ``function()`` on *backend* in virtual time, which begins at 0.

    No thread watches the loops of its meshes: it lives in real time, and an hour has fourteen thousand signs of life.
    """
    load_adapters()  # which the first agent of a process would import in a thread
    token = instruments.set(msgspec.structs.replace(instruments.get(), watches_loop=False))
    try:
        return _run(backend, function)
    finally:
        instruments.reset(token)


def _run(backend: str, function: Callable[[], Awaitable[T]]) -> T:
    if backend == "trio":
        return trio.run(function, clock=trio.testing.MockClock(autojump_threshold=0))
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:

        async def main() -> T:
            return await function()

        return runner.run(main())
