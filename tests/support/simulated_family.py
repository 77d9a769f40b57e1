"""A program for simulations about who lives and who waits: a supervision tree, death watch, and asks in circles."""

from typing import Any, Final

import anyio
import anyio.lowlevel

from ceylon import Agent, BlockingContext, CeylonError, Context, DeadlockError, Mesh, Terminated, on
from ceylon.core.ports import Strategy
from ceylon.testing import Simulation

__all__ = ["run_family"]

_CLIENTS: Final = 5
_VISITS: Final = 4
_FAMILY: Final = ("root", "b1", "b2", "b1-leaf0", "b1-leaf1", "b1-sync", "b2-leaf0", "b2-leaf1", "b2-sync")
_CIRCLE: Final = ("x", "y", "z", "u", "v")


class Leaf(Agent):
    """Fails upwards, and hangs for a while."""

    on_failure = "escalate"
    handler_timeout = 20.0

    async def on_start(self, context: Context) -> None:
        await anyio.sleep(0.01)

    async def on_stop(self, context: Context) -> None:
        await anyio.sleep(0.01)

    async def on_message(self, message: str, context: Context) -> Any:
        await anyio.sleep(0.02)
        if message == "boom":
            raise ValueError(message)
        if message == "hang":
            await anyio.sleep_forever()
        return await context.ask("root", "ping", timeout=5) if message == "ask the root" else message


class SyncLeaf(Agent):
    """Begins again when it fails; lives in a thread."""

    on_failure = "restart"

    def on_message(self, message: str, context: BlockingContext) -> Any:
        if message == "boom":
            raise ValueError(message)
        return context.ask("root", "ping", timeout=5) if message == "ask the root" else message


class Branch(Agent):
    """Has children, which begin again together; lets its own chain back in."""

    on_failure = "restart"
    strategy: Strategy = "one_for_all"
    max_restarts = 3
    reentrant = True

    async def on_start(self, context: Context) -> None:
        for child in (Leaf(f"{self.name}-leaf0"), Leaf(f"{self.name}-leaf1"), SyncLeaf(f"{self.name}-sync")):
            context.spawn(child)

    async def on_message(self, message: str, context: Context) -> Any:
        await anyio.sleep(0.01)
        if message == "boom":
            raise ValueError(message)
        try:
            return await context.ask(f"{self.name}-leaf0", message, timeout=3)
        except CeylonError as error:
            return type(error).__name__


class HastyBranch(Branch):
    """The same in short: its children begin again one after the other, and its handlers have little time."""

    strategy = "rest_for_one"
    handler_timeout = 2.0


class Root(Agent):
    """Watches over all of them."""

    concurrency = 2

    async def on_start(self, context: Context) -> None:
        context.spawn(Branch("b1"))
        context.spawn(HastyBranch("b2"))
        for name in ("b1", "b2", "b1-leaf0", "nobody"):
            context.watch(name)

    @on
    async def mourn(self, message: Terminated) -> None:
        await anyio.lowlevel.checkpoint()

    async def on_message(self, message: str) -> str:
        await anyio.sleep(0.01)
        return "pong"


class Passer(Agent):
    """Asks whoever is next; circles are refused."""

    async def on_message(self, way: list[str], context: Context) -> Any:
        try:
            return await context.ask(way[0], way[1:]) if way else "the end"
        except DeadlockError:
            return "a circle"


class SyncPasser(Agent):
    """The same in a thread."""

    def on_message(self, way: list[str], context: BlockingContext) -> Any:
        try:
            return context.ask(way[0], way[1:]) if way else "the end"
        except DeadlockError:
            return "a circle"


async def run_family(simulation: Simulation) -> None:
    """Let clients make the family fail, stop some of it, and ask in circles."""
    async with simulation.mesh("family") as mesh:
        mesh.add(Root("root"))
        for name in _CIRCLE:
            mesh.add(Passer(name) if name in "xyz" else SyncPasser(name))
        async with anyio.create_task_group() as clients:
            for _ in range(_CLIENTS):
                clients.start_soon(_visit, simulation, mesh)


async def _visit(simulation: Simulation, mesh: Mesh) -> None:
    for _ in range(_VISITS):
        try:
            await _do_something(simulation, mesh)
        except CeylonError as error:
            simulation.note(type(error).__name__)


async def _do_something(simulation: Simulation, mesh: Mesh) -> None:
    chance = simulation.random
    way = [chance.choice(_CIRCLE) for _ in range(chance.randrange(5))]
    match chance.randrange(12):
        case 0 | 1:
            await mesh.ask(chance.choice(_FAMILY), chance.choice(["boom", "ping", "ask the root"]), timeout=4)
        case 2 | 3:
            await mesh.tell(chance.choice(_FAMILY), chance.choice(["boom", "ping", "hang"]))
        case 4 | 5 | 6:
            assert await mesh.ask(chance.choice(_CIRCLE), way) in {"the end", "a circle"}
        case 7 | 8:
            await anyio.sleep(chance.random())
        case 9:
            await mesh.stop(chance.choice(_FAMILY))
        case 10:
            with anyio.move_on_after(chance.random() * 0.05):
                await mesh.ask(chance.choice(_CIRCLE), way)
        case _:
            if chance.random() < 0.2:
                await mesh.stop(at_once=chance.random() < 0.5)
