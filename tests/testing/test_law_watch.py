"""The watch over the law: it sees every mesh of the process, at every quiescent point, and what it costs is bounded."""

from collections.abc import Iterator

import anyio
import anyio.lowlevel
import pytest

from ceylon import AskTimeoutError, Mesh
from ceylon.core.instruments import observers
from ceylon.messages import Envelope
from ceylon.testing import LawWatch
from ceylon.testing.sabotage import drop_a_message, lose_a_reply
from support.core_agents import Echo, Failing, HeldInAThread, Keeper
from support.law import BreakableBlockingMesh, BreakableMesh
from support.leftovers import eventually, quick

pytestmark = pytest.mark.breaks_the_law


@pytest.fixture
def watch() -> Iterator[LawWatch]:
    with LawWatch() as watch:
        yield watch


async def test_a_mesh_that_keeps_the_law_passes(watch: LawWatch) -> None:
    async with Mesh("kept") as mesh:
        echo, failing = mesh.add(Echo("echo")), mesh.add(Failing("failing"))
        for number in range(5):
            assert await echo.ask(number) == number
        await failing.tell(ValueError("no"))
        await mesh.drain()

    assert watch.points == 6
    watch.verify()


async def test_a_dropped_message_is_seen_at_the_next_quiescent_point_and_at_the_end(watch: LawWatch) -> None:
    async with BreakableMesh("leaky") as mesh:
        keeper = mesh.add(Keeper("keeper"))
        with drop_a_message():
            await keeper.tell("lost")
        assert watch.violations == []

        await keeper.ask("kept")

        assert "mesh 'leaky': the law is broken for agent 'keeper': 2 accepted" in watch.violations[0]
    assert "for the agents that are gone" in watch.violations[-1]
    with pytest.raises(AssertionError, match="the law is broken for agent 'keeper'"):
        watch.verify()
    watch.verify()


async def test_a_lost_reply_is_seen_at_the_second_quiescent_point(watch: LawWatch) -> None:
    async with BreakableMesh("forgetful") as mesh, anyio.create_task_group() as tasks:
        echo = mesh.add(Echo("echo"))
        with lose_a_reply():
            tasks.start_soon(echo.ask, "lost")
            await eventually(lambda: watch.points)

        await echo.ask("another")

        tasks.cancel_scope.cancel()
    assert watch.forget() == [
        "mesh 'forgetful': ask #1 to 'echo' has come to its end, and nobody has told whoever asked"
    ]


async def test_a_deadline_that_ends_envelope_and_ask_is_no_lost_reply(watch: LawWatch) -> None:
    async with Mesh("impatient", settings=quick()) as mesh:
        held = mesh.add(HeldInAThread("held"))
        for _ in range(2):
            with pytest.raises(AskTimeoutError):
                await held.ask(1, timeout=0.001)
        agent = mesh.agent("held")
        assert isinstance(agent, HeldInAThread)
        agent.gate.set()

    watch.verify()


async def test_an_ask_that_is_open_when_the_mesh_has_ended_is_seen(watch: LawWatch) -> None:
    async with BreakableMesh("forgetful", settings=quick(drain_timeout=0.05)) as mesh:
        echo = mesh.add(Echo("echo"))
        await echo.ask(1)
        mesh.interior.router.open[7] = Envelope(7, "ask", "", "echo", "lost")

    assert watch.forget() == ["mesh 'forgetful' has ended, and counts 1 envelopes as open"]


def test_a_blocking_mesh_on_its_own_thread_is_watched_too(watch: LawWatch) -> None:
    with BreakableBlockingMesh("apart") as mesh:
        keeper = mesh.add(Keeper("keeper"))
        with drop_a_message():
            keeper.tell("lost")
        keeper.ask("kept")

    with pytest.raises(AssertionError, match="mesh 'apart': the law is broken for agent 'keeper'"):
        watch.verify()


async def test_whoever_waits_for_the_mesh_to_be_quiet_still_hears_of_it(watch: LawWatch) -> None:
    async with Mesh("quiet") as mesh:
        keeper = mesh.add(Keeper("keeper"))
        await keeper.tell(1)
        with anyio.fail_after(60):
            await mesh.drain()

    assert watch.points == 1


async def test_what_a_point_costs_is_bounded_and_the_end_is_looked_at_all_the_same() -> None:
    with LawWatch(free_looks=0) as watch:
        async with BreakableMesh("crowded") as mesh:
            keeper = mesh.add(Keeper("keeper"))
            for number in range(9):
                mesh.add(Keeper(f"other{number}"))
            await keeper.ask("kept")
            with drop_a_message():
                await keeper.tell("lost")
            for _ in range(8):
                await keeper.ask("kept")
            assert watch.violations == []

            await keeper.ask("the tenth point")
            assert len(watch.violations) == 1
        assert len(watch.violations) == 2


async def test_nothing_is_watched_any_more_when_the_watch_is_left() -> None:
    before = len(observers)
    with LawWatch() as watch:
        assert len(observers) == before + 1
    async with Mesh("unwatched") as mesh:
        await mesh.add(Echo("echo")).ask(1)

    assert len(observers) == before
    assert watch.points == 0


PROGRAM = """
import pytest
from support.law import BreakableMesh
from ceylon import Mesh
from ceylon.testing.sabotage import drop_a_message
from support.core_agents import Keeper

{marker}
async def test_that_loses_a_message():
    async with BreakableMesh("leaky") as mesh:
        keeper = mesh.add(Keeper("keeper"))
        with drop_a_message():
            await keeper.tell("lost")
"""


@pytest.mark.process
@pytest.mark.parametrize(("marker", "errors"), [("", 2), ("@pytest.mark.breaks_the_law", 0)])
def test_the_fixture_of_this_repository_turns_a_lawless_test_red(
    pytester: pytest.Pytester,
    pytestconfig: pytest.Config,
    monkeypatch: pytest.MonkeyPatch,
    marker: str,
    errors: int,
) -> None:
    monkeypatch.setenv("CEYLON_LOOPS", "asyncio,trio")
    tests = pytestconfig.rootpath / "tests"
    pytester.makeconftest((tests / "conftest.py").read_text(encoding="utf-8"))
    pytester.makepyfile(PROGRAM.format(marker=marker))
    pytester.makeini(f"[pytest]\npythonpath = {tests}\nmarkers =\n  breaks_the_law: x\n  anyio: x\n")

    result = pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider", "-p", "no:randomly")

    result.assert_outcomes(passed=2, errors=errors)
