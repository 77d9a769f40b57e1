"""Messages to a plain `def` handler, which runs in a worker thread; timed by the wall clock, two threads work."""

import asyncio
import time
from collections.abc import Iterator

from benchmarks.report import Row
from benchmarks.rounds import median

from ceylon import Agent, Context, Mesh

__all__ = ["measure"]


class SyncCounter(Agent):
    """Counts in a worker thread."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.count = 0

    def on_message(self, message: int, context: Context | None = None) -> None:
        """Count it."""
        self.count += 1


def measure(*, rounds: int, messages: int) -> Iterator[Row]:
    """Yield the row."""
    rates = [messages / seconds for seconds in asyncio.run(_measure(rounds, messages))]
    yield Row(
        measured="messages to a sync handler (thread)",
        unit="/s",
        ceylon=median(rates),
        compared=median(rates),
        compared_unit="/s",
        spread=(min(rates), max(rates)),
        at_least=100_000,
    )


async def _measure(rounds: int, messages: int) -> list[float]:
    async with Mesh("bench") as mesh:
        counter = SyncCounter("counter")
        ref = mesh.add(counter)
        took = []
        for _ in range(rounds + 1):
            began = time.perf_counter()
            for number in range(messages):
                await ref.tell(number)
            await mesh.drain()
            took.append(time.perf_counter() - began)
        assert mesh.statistics().is_balanced
        assert counter.count == (rounds + 1) * messages
    return took[1:]  # the first one starts the thread
