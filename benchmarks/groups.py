"""What keyed agents and pools cost, beside a plain agent: ``python benchmarks/groups.py``.

Each figure is the best of some rounds, per second; a pool's ask is given as a share of a plain agent's.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from ceylon import Agent, Mesh

_ROUNDS: Final = 5
_KEYS: Final = 2_000
_ASKS: Final = 5_000


class Echo(Agent):
    """Answers with what it was asked."""

    async def on_message(self, message: Any) -> Any:
        """Answer."""
        return message


class Till(Echo):
    """The same, with a state."""

    async def save(self) -> Any:
        """Return next to nothing."""
        return 1

    async def load(self, state: Any) -> None:
        """Take nothing."""


async def _best(work: Callable[[], Awaitable[None]], count: int) -> float:
    """Return how often a second *work*, which does something *count* times, does it."""
    seconds = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        await work()
        seconds.append(time.perf_counter() - began)
    return count / min(seconds)


async def activations(kind: type[Agent], limit: int) -> float:
    """Ask as many keys as there are, one after the other; those before are driven out where the limit says so."""
    async with Mesh() as mesh:
        rounds = iter(range(_ROUNDS))
        family = mesh.register(kind, "family", limit=limit)

        async def work() -> None:
            number = next(rounds)
            for key in range(_KEYS):
                await mesh.ask(f"{family.name}/{number}-{key}", key)

        return await _best(work, _KEYS)


async def asks(address: str) -> float:
    """Ask what is at *address* again and again."""
    async with Mesh() as mesh:
        mesh.add(Echo("plain"))
        mesh.register(Echo, "family")
        mesh.pool(Echo, "robin", size=8)
        mesh.pool(Echo, "least", size=8, routing="least_loaded")
        mesh.pool(Echo, "key", size=8, routing=str)

        async def work() -> None:
            for number in range(_ASKS):
                await mesh.ask(address, number)

        return await _best(work, _ASKS)


async def main() -> None:
    """Print the figures."""
    for words, kind, limit in (
        ("activations", Echo, 1_000_000),
        ("activations, each driving one out", Echo, 100),
        ("activations that save and load, likewise", Till, 100),
    ):
        print(f"{words:42} {await activations(kind, limit):10,.0f} /s")
    plain = await asks("plain")
    print(f"{'asks of a plain agent':42} {plain:10,.0f} /s")
    for words, address in (
        ("a keyed agent", "family/x"),
        ("a pool of 8, round robin", "robin"),
        ("a pool of 8, least loaded", "least"),
        ("a pool of 8, by key", "key"),
    ):
        rate = await asks(address)
        print(f"{'asks of ' + words:42} {rate:10,.0f} /s  {rate / plain:.0%}, {1e6 / rate - 1e6 / plain:+.1f} µs")


if __name__ == "__main__":
    asyncio.run(main())
