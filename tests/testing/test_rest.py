"""What a mesh at rest has left over is found, and what those who wait may rely on; each check is seen red."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from ceylon import Agent, BlockingContext, Context, Mesh
from ceylon.core.cell import Cell
from ceylon.core.interior import Interior
from ceylon.core.timers import Timer
from ceylon.testing import History, Simulation, What, nothing_in_vain, room_given, run_simulation, simulate
from ceylon.testing.rest import is_at_rest, unrest
from ceylon.testing.simulation.choices import Cuts


class Worker(Agent):
    """Does a little of everything."""

    reentrant = True
    mailbox_capacity = 2

    async def on_message(self, number: int, context: Context) -> int:
        await anyio.lowlevel.checkpoint()
        return number if not number else int(await context.ask("worker", number - 1))


class Blocking(Agent):
    """Asks from a thread."""

    def on_message(self, number: int, context: BlockingContext) -> Any:
        return context.ask("worker", number)


async def settle() -> None:
    for _ in range(5):
        await anyio.lowlevel.checkpoint()


def test_a_mesh_that_has_done_its_work_has_nothing_left() -> None:
    async def work(simulation: Simulation) -> None:
        async with simulation.mesh() as mesh:
            mesh.add(Worker("worker"))
            mesh.add(Blocking("blocking"))
            assert await mesh.ask("worker", 3) == 0
            assert await mesh.ask("blocking", 1) == 0
            assert not is_at_rest(mesh.interior) or unrest(mesh.interior) == []

    for seed in range(20):
        assert run_simulation(work, seed=seed).error is None


@contextmanager
def changed(owner: Any, **attributes: Any) -> Iterator[None]:
    before = {name: getattr(owner, name) for name in attributes}
    for name, value in attributes.items():
        setattr(owner, name, value)
    yield
    for name, value in before.items():
        setattr(owner, name, value)


@contextmanager
def armed(interior: Interior) -> Iterator[None]:
    timer = Timer()
    interior.timers.add(interior.driver.now() + 1000, timer)
    yield
    interior.timers.cancel(timer)


LEFT: dict[str, Callable[[Interior, Cell], Any]] = {
    "has 1 of its slots in use": lambda _, cell: changed(cell, running=1),
    "takes 1 conversations for busy": lambda _, cell: changed(cell, busy_keys={"ann"}),
    "has 2 slots instead of 1": lambda _, cell: changed(cell, slots=2),
    "1 timers are armed although nothing is under way": lambda interior, _: armed(interior),
    "1 threads count as busy": lambda interior, _: changed(interior.threads, _running=1),
}


@pytest.mark.parametrize("sentence", LEFT)
async def test_what_is_left_over_is_named(sentence: str) -> None:
    async with Mesh() as mesh:
        mesh.add(Worker("worker"))
        assert await mesh.ask("worker", 2) == 0
        await settle()
        interior = mesh.interior
        assert is_at_rest(interior)
        assert unrest(interior) == []

        with LEFT[sentence](interior, interior.router.cells["worker"]):
            assert any(sentence in words for words in unrest(interior))


async def test_a_mesh_with_a_message_under_way_is_not_at_rest() -> None:
    async with Mesh() as mesh:
        mesh.add(Worker("worker"))
        await mesh.tell("worker", 0)

        assert not is_at_rest(mesh.interior)


def history_of(*steps: tuple[What, int, str]) -> History:
    history = History()
    for what, number, detail in steps:
        history.add(what, at=0.0, id=number, kind="ask", recipient="b", message="int", detail=detail)
    return history


def test_a_handler_that_begins_before_its_asker_has_left_is_fine() -> None:
    assert nothing_in_vain(history_of((What.BEGAN, 1, ""), (What.RESOLVED, 1, "AskTimeoutError"))) == []


def test_a_handler_that_begins_for_nobody_is_named() -> None:
    said = nothing_in_vain(history_of((What.RESOLVED, 1, "AskTimeoutError"), (What.BEGAN, 1, "")))

    assert said == [
        "envelope #1 from outside to b was begun in vain: its asker had an outcome before (AskTimeoutError)"
    ]


def test_a_thread_is_heard_of_later_and_not_blamed() -> None:
    assert nothing_in_vain(history_of((What.RESOLVED, 1, "cancelled"), (What.BEGAN, 1, "threaded"))) == []


def test_a_full_agent_may_refuse() -> None:
    assert room_given(history_of((What.ACCEPTED, 1, "1"), (What.REFUSED, 2, "full"))) == []


def test_an_idle_agent_that_refuses_is_named() -> None:
    said = room_given(history_of((What.ACCEPTED, 1, "1"), (What.ENDED, 1, "completed"), (What.REFUSED, 2, "full")))

    assert said == ["envelope #2 from outside to b was refused for want of room, and 'b' had nothing to do"]


# -- making runs smaller -----------------------------------------------------------------------------------------------


async def chatting(mesh: Mesh, times: int) -> None:
    for number in range(times):
        await mesh.tell("talker", number % 2)


async def working(mesh: Mesh, times: int) -> None:
    for number in range(times):
        assert await mesh.ask("worker", 0) == 0
        assert number < 2, "too much work"


async def activities(simulation: Simulation) -> None:
    async with simulation.mesh() as mesh:
        mesh.add(Worker("worker"))
        mesh.add(Worker("talker"))
        async with anyio.create_task_group() as tasks:
            for each in simulation.some_of((chatting, working), 2):
                tasks.start_soon(each, mesh, simulation.times(8))


def test_a_seed_chooses_activities_and_cuts_leave_some_out() -> None:
    chosen = {tuple(run_simulation(activities, seed=seed).activities) for seed in range(50)}
    both = next(seed for seed in range(50) if len(run_simulation(activities, seed=seed).activities) == 2)
    cut = run_simulation(activities, seed=both, cuts=Cuts(without=frozenset({"working"}), repetitions=3))

    assert chosen == {("chatting",), ("working",), ("chatting", "working"), ("working", "chatting")}
    assert cut.activities == ["chatting"]
    assert cut.repetitions == 3
    assert cut.error is None


def test_a_failing_run_is_shown_without_what_it_does_not_need() -> None:
    both = next(seed for seed in range(50) if len(run_simulation(activities, seed=seed).activities) == 2)

    @simulate(seeds=[both])
    async def test(simulation: Simulation) -> None:
        await activities(simulation)

    with pytest.raises(AssertionError) as caught:
        test()
    said = str(caught.value)

    assert "too much work" in said
    assert "→ worker" in said
    assert "→ talker" not in said
