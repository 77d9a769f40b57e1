"""Memory per idle agent and agents started per second, in a fresh process that does nothing else.

`python -m benchmarks.crowd 100000` prints what it found as JSON.
"""

import asyncio
import gc
import sys
import time
from collections.abc import Iterator

import msgspec
import psutil
from benchmarks.report import Row
from benchmarks.rounds import fresh, median

from ceylon import Agent, Context, Mesh

__all__ = ["measure"]


class Idle(Agent):
    """Waits for a message."""

    async def on_message(self, message: object, context: Context | None = None) -> None:
        """Do nothing."""


def measure(*, rounds: int, agents: int) -> Iterator[Row]:
    """Yield the rows of memory and of starting."""
    found = [fresh("-m", "benchmarks.crowd", str(agents)) for _ in range(rounds)]
    for key, measured, at_most in (
        ("idle_bytes", f"memory of an idle agent ({agents:,} of them)", 1_500),
        ("used_bytes", "… that has handled a message", None),
    ):
        sizes = [each[key] for each in found]
        yield Row(
            measured=measured,
            unit="B",
            ceylon=median(sizes),
            compared=median(sizes),
            compared_unit="B",
            at_most=at_most,
        )
    rates = [each["agents_per_second"] for each in found]
    yield Row(
        measured="agents made and started",
        unit="/s",
        ceylon=median(rates),
        compared=median(rates),
        compared_unit="/s",
        spread=(min(rates), max(rates)),
    )


async def _measure(agents: int) -> dict[str, float]:
    async with Mesh("crowd") as mesh:
        await mesh.add(Idle("first")).ask("are you there?")  # whatever is made once has been made
        names = [f"agent-{number}" for number in range(agents)]
        empty = _resident()
        began = time.perf_counter()
        for name in names:
            mesh.add(Idle(name))
        seconds = time.perf_counter() - began
        await mesh.drain()
        idle = _resident() - empty
        for name in names:
            await mesh.tell(name, "work")
        await mesh.drain()
        used = _resident() - empty
        statistics = mesh.statistics()
        assert statistics.is_balanced
        assert len(statistics.agents) == agents + 1
    return {"idle_bytes": idle / agents, "used_bytes": used / agents, "agents_per_second": agents / seconds}


def _resident() -> int:
    """Return the bytes of the process that are in memory."""
    gc.collect()
    return int(psutil.Process().memory_info().rss)


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(asyncio.run(_measure(int(sys.argv[1])))))
