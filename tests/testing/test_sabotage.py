"""Each way to break the core turns the checker red that is there for it, and ends when it is left."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import anyio
import pytest

from ceylon import Agent, AskTimeoutError, Mesh
from ceylon.core.cell import Cell
from ceylon.core.dispatcher import Dispatcher
from ceylon.core.router import Router
from ceylon.testing import (
    History,
    LawWatch,
    Leftovers,
    What,
    asks_resolved,
    conservation,
    fifo,
    nothing_leaked,
    one_at_a_time,
    sabotage,
)
from support.core_agents import Echo, Held, Keeper
from support.law import BreakableBlockingMesh, BreakableMesh
from support.leaps import leaping_when, on_leaping_loops
from support.leftovers import eventually

pytestmark = pytest.mark.breaks_the_law


@pytest.fixture(autouse=True)
def core_is_whole_again() -> Iterator[None]:
    before = [Router.deliver, Router.reply, Cell.__init__, Dispatcher.close]
    yield
    assert [Router.deliver, Router.reply, Cell.__init__, Dispatcher.close] == before


class Written(Agent):
    """Writes into a history what it begins and ends."""

    def __init__(self, name: str, history: History) -> None:
        super().__init__(name)
        self.history = history
        self.gate = anyio.Event()

    async def on_message(self, message: int) -> None:
        self.note(What.BEGAN, message)
        await self.gate.wait()
        self.note(What.ENDED, message, "completed")

    def note(self, what: What, message: int, detail: str = "") -> None:
        self.history.add(what, at=0.0, id=message, kind="tell", recipient=self.name, detail=detail)


class WrittenInAThread(Written):
    """The same in a worker thread."""

    def on_message(self, message: int) -> None:  # type: ignore[override]
        self.note(What.BEGAN, message, "threaded")
        self.note(What.ENDED, message, "completed")


async def told(mesh: Mesh, agent: Written, *, at_once: int = 1) -> History:
    """Tell *agent* three messages, let it go on when it has begun so many of them, and return its history."""
    mesh.add(agent)
    for number in (1, 2, 3):
        mesh.tell_nowait(agent.name, number)
        agent.note(What.ACCEPTED, number)
    await eventually(lambda: len(agent.history.of(What.BEGAN)) >= at_once)
    agent.gate.set()
    await mesh.drain()
    return agent.history


@pytest.mark.parametrize(("broken", "violations"), [(nullcontext, 0), (lambda: sabotage.drop_a_message(2), 1)])
async def test_a_dropped_message_is_not_conserved(
    broken: Callable[[], AbstractContextManager[None]], violations: int
) -> None:
    async with BreakableMesh("broken") as mesh:
        with broken():
            history = await told(mesh, Written("written", History()))
        found = conservation(history, mesh.statistics())

    assert len(found) == violations, found
    assert all("pending" in each for each in found)


@pytest.mark.parametrize("kind", [Written, WrittenInAThread])
async def test_without_fifo_a_message_overtakes(kind: type[Written]) -> None:
    async with Mesh("whole") as mesh:
        assert fifo(await told(mesh, kind("written", History()))) == []
        with sabotage.skip_fifo():
            found = fifo(await told(mesh, kind("unordered", History())))

    assert "envelope #3 from outside to unordered overtook #2" in found[0]


async def test_two_at_once_overlap() -> None:
    async with Mesh("whole") as mesh:
        assert one_at_a_time(await told(mesh, Written("written", History()))) == []
        with sabotage.run_two_at_once():
            found = one_at_a_time(await told(mesh, Written("hurried", History()), at_once=2))

    assert found
    assert found[0].endswith("; 'hurried' has 1 slot")


@on_leaping_loops
async def test_a_lost_reply_leaves_its_ask_to_time_out() -> None:
    history = History()
    about: dict[str, Any] = {"at": 0.0, "id": 1, "kind": "ask", "recipient": "echo"}
    async with BreakableMesh("forgetful") as mesh:
        echo = mesh.add(Echo("echo"))
        with sabotage.lose_a_reply():
            history.add(What.ASKED, **about)
            async with leaping_when(lambda: mesh.statistics().agents["echo"].completed, 60):
                with pytest.raises(AskTimeoutError):
                    await echo.ask("lost", timeout=60)
            history.add(What.ENDED, **about, detail="completed")
            history.add(What.RESOLVED, **about, detail="AskTimeoutError")
        assert await echo.ask("kept") == "kept"
        assert mesh.statistics().agents["echo"].completed == 2

    (found,) = asks_resolved(history)
    assert found.endswith("to echo timed out although its handler had completed: the reply was lost")


async def test_a_leaked_task_is_left_until_the_sabotage_ends() -> None:
    before = Leftovers.now()
    with sabotage.leak_a_task():
        async with BreakableMesh("leaky") as mesh:
            await mesh.add(Echo("echo")).ask(1)
        await eventually(lambda: len(nothing_leaked(before, Leftovers.now(mesh))) == 1)
        assert nothing_leaked(before, Leftovers.now(mesh)) == ["task 'ceylon leak' is still there"]

    await eventually(lambda: not nothing_leaked(before, Leftovers.now(mesh)))


def test_a_blocking_mesh_is_broken_as_well() -> None:
    with LawWatch() as watch, BreakableBlockingMesh("broken") as mesh:
        keeper = mesh.add(Keeper("keeper"))
        with sabotage.drop_a_message(2):
            for number in range(3):
                keeper.tell(number)
        mesh.drain()
        agent = mesh.agent("keeper")
        assert isinstance(agent, Keeper)
        assert agent.kept == [0, 2]

    assert len(watch.forget()) >= 1


@on_leaping_loops
async def test_a_reply_is_lost_once_only(mesh: Mesh) -> None:
    with sabotage.lose_a_reply(2):
        echo = mesh.add(Echo("echo"))
        assert await echo.ask(1) == 1
        async with leaping_when(lambda: mesh.statistics().agents["echo"].completed == 2, 60):
            with pytest.raises(AskTimeoutError):
                await echo.ask(2, timeout=60)
        assert await echo.ask(3) == 3


async def test_two_at_once_means_two_and_no_more(mesh: Mesh) -> None:
    held = Held("held")
    with sabotage.run_two_at_once():
        ref = mesh.add(held)
    for number in range(4):
        await ref.tell(number)
    await eventually(lambda: len(held.begun) == 2)
    held.gate.set()
    await mesh.drain()

    assert held.at_most == 2
