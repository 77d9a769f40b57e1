"""Where an activity of the workload takes place, and what it says when something did not come of it."""

import random
from collections import Counter as Tally
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any

import anyio

from bugs.agents import Known, World
from ceylon import Mesh
from ceylon.testing import Simulation

__all__ = ["Scene", "once_each", "together"]


class Scene:
    """Where an activity takes place; its randomness is its own, so that leaving out another changes nothing."""

    def __init__(self, mesh: Mesh, simulation: Simulation, name: str) -> None:
        self.mesh, self.simulation = mesh, simulation
        self.random = random.Random(f"{simulation.seed} {name}")  # noqa: S311 – repeatable is the point
        self.world = World()

    def add(self, **kinds: type[Known]) -> None:
        """Add agents by name."""
        for name, kind in kinds.items():
            self.mesh.add(kind(name, self.world))

    def times(self, most: int) -> range:
        """Count how often to do something."""
        return range(self.simulation.times(most))

    @property
    def clients(self) -> range:
        """Number the clients, of which there are two."""
        return range(1, 1 + self.simulation.times(2))

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until something is so, for 20 s at most."""
        with anyio.move_on_after(20):
            while not is_so():  # noqa: ASYNC110 – what is waited for raises no event
                await anyio.sleep(0.2)

    def pause(self) -> Awaitable[None]:
        """Wait for no time or some."""
        return anyio.sleep(self.random.choice((0.0, 0.005, 0.02)))


async def together(*functions: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run all of these at once."""
    async with anyio.create_task_group() as tasks:
        for function in functions:
            tasks.start_soon(function)


def once_each(effects: Iterable[Any], expected: Iterable[Any], what: str) -> None:
    """Fail unless *effects* are those *expected*, each once."""
    happened, wanted = Tally(effects), Tally(expected)
    assert happened == wanted, f"{what}: too often {happened - wanted}, not often enough {wanted - happened}"
