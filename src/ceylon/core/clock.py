"""Simulations: time that only passes when nothing is left to do, and an order that a seed decides.

On asyncio that is a loop of our own, `backends.simulated`. On trio it is trio's own clock and shuffling, made for
tests, which knows nothing of threads and sockets.
"""

import asyncio
import importlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol

import anyio

from ceylon.core.backends.simulated import SimulatedLoop

if TYPE_CHECKING:
    import trio.testing

__all__ = ["Chooser", "Clock", "run_simulated"]


class Chooser(Protocol):
    """Decides whatever has no order of its own."""

    def below(self, count: int) -> int:
        """Return a number from 0 on, below *count*; 0 is what happens without a simulation."""
        ...

    def chance(self, rate: float) -> bool:
        """Say yes at *rate*; no is what happens without a simulation."""
        ...


class Clock(Protocol):
    """What a simulation knows of the loop under it."""

    def hold(self) -> None:
        """Let time pass as it does for everybody, until `let_go` is called as often; on the loop."""
        ...

    def let_go(self) -> None:
        """See `hold`."""
        ...

    def time(self) -> float:
        """Return the virtual time, in seconds; from any thread."""
        ...

    def waiting(self) -> list[str]:
        """Describe the tasks of the loop and where they wait."""
        ...

    def complaints(self) -> list[str]:
        """Return what the loop found wrong: exceptions that nobody takes."""
        ...


def run_simulated(
    function: Callable[[Clock], Awaitable[None]], backend: str, chooser: Chooser, *, seed: int, hold_back: float = 0.0
) -> None:
    """Run ``function(clock)`` on a simulated loop of the kind *backend*.

    Args:
        function: What to run.
        backend: ``"asyncio"`` or ``"trio"``.
        chooser: Decides the order of task steps on asyncio.
        seed: Decides it on trio.
        hold_back: How often a task step waits for one round of the loop more.
    """
    if backend == "trio":
        _run_on_trio(function, seed)
        return
    loops: list[SimulatedLoop] = []

    def make_loop() -> SimulatedLoop:
        loops.append(SimulatedLoop(chooser, hold_back=hold_back))
        return loops[-1]

    async def run() -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 – this is one
        task.set_name("the test")
        await function(loops[0])

    anyio.run(run, backend="asyncio", backend_options={"loop_factory": make_loop})


class _TrioClock:
    """trio's `MockClock` cannot be held, and its tasks cannot be listed from outside."""

    def __init__(self, clock: "trio.testing.MockClock") -> None:
        self._clock = clock

    def time(self) -> float:
        """See `Clock`."""
        return self._clock.current_time()

    def hold(self) -> None:
        """See `Clock`."""

    def let_go(self) -> None:
        """See `Clock`."""

    def waiting(self) -> list[str]:
        """See `Clock`."""
        return []

    def complaints(self) -> list[str]:
        """See `Clock`; trio has no task whose exception nobody takes."""
        return []


def _run_on_trio(function: Callable[[Clock], Awaitable[None]], seed: int) -> None:
    """Run *function* with trio's own means: a clock that jumps, and batches that are shuffled by a seed."""
    import trio.testing  # noqa: PLC0415 – an extra

    scheduler: Any = importlib.import_module("trio._core._run")  # there is no public way
    before = scheduler._ALLOW_DETERMINISTIC_SCHEDULING  # noqa: SLF001
    scheduler._ALLOW_DETERMINISTIC_SCHEDULING = True  # noqa: SLF001
    scheduler._r.seed(seed)  # noqa: SLF001

    clock = trio.testing.MockClock(autojump_threshold=0)

    async def run() -> None:
        await function(_TrioClock(clock))

    try:
        anyio.run(run, backend="trio", backend_options={"clock": clock})
    finally:
        scheduler._ALLOW_DETERMINISTIC_SCHEDULING = before  # noqa: SLF001
