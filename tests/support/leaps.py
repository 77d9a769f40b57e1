"""Event loops whose time also leaps: what takes ten seconds is over at once, and what takes its time is not hurried."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio
import pytest
import trio

from support.leftovers import eventually
from support.loops import chosen_loops

__all__ = ["leap", "leap_when_all_wait", "leaping", "leaping_when", "on_leaping_loops"]


class _Ahead:
    """How far the time of such loops is ahead of the real one; any thread may leap."""

    seconds = 0.0


AHEAD: Final = _Ahead()


class LeapingLoop(asyncio.SelectorEventLoop):
    """asyncio on such a time."""

    def time(self) -> float:
        """Return it."""
        return time.monotonic() + AHEAD.seconds


class LeapingClock(trio.abc.Clock):
    """trio on such a time."""

    def start_clock(self) -> None:
        """Begin; there is nothing to do."""

    def current_time(self) -> float:
        """Return it."""
        return time.monotonic() + AHEAD.seconds

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Return how long it is until then if nobody leaps."""
        return deadline - self.current_time()


def leaping(backend: str) -> tuple[str, dict[str, Any]]:
    """Return what `anyio_backend` has to be for a test that leaps on the loop called *backend*."""
    if backend == "trio":
        return "trio", {"clock": LeapingClock()}
    return "asyncio", {"loop_factory": LeapingLoop}


def leap(seconds: float) -> None:
    """Let *seconds* pass at once; a loop sees it in its next turn."""
    AHEAD.seconds += seconds


async def leap_when_all_wait(seconds: float) -> None:
    """Let *seconds* pass at once as soon as every task of the loop waits."""
    await anyio.wait_all_tasks_blocked()
    leap(seconds)


@asynccontextmanager
async def leaping_when(condition: Callable[[], object], seconds: float) -> AsyncIterator[None]:
    """Let *seconds* pass at once as soon as *condition* holds, beside what the block does."""
    async with anyio.create_task_group() as tasks:

        async def wait() -> None:
            await eventually(condition)
            leap(seconds)

        tasks.start_soon(wait)
        yield


on_leaping_loops: Final = pytest.mark.parametrize(
    "anyio_backend",
    [pytest.param(leaping(loop.id), id=loop.id) for loop in chosen_loops("asyncio", "trio")],
)
"""Runs a test on such loops, in whatever module."""
