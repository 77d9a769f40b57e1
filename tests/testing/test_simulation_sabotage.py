"""A simulation that never failed proves nothing: here the mesh is broken on purpose, and every break is found."""

import asyncio
import copy
import re
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.lowlevel
import pytest

import ceylon
from ceylon import Agent, ArgumentError
from ceylon.core.backend import Task
from ceylon.core.cell import Cell
from ceylon.core.instruments import Instruments
from ceylon.core.lifecycle import Lifecycle
from ceylon.core.router import Router
from ceylon.messages import TELL, Envelope, Outcome
from ceylon.testing import Faults, Simulation, run_simulation, simulate
from ceylon.testing.simulation.report import replay_command
from support.simulated import instrumented, run_shops

SEEDS: Final = 50
_SELF: Final = Path(__file__).relative_to(Path.cwd()) if Path(__file__).is_relative_to(Path.cwd()) else Path(__file__)


class LosesReplies(Router):
    """Sabotage: now and then a reply goes nowhere."""

    def reply(self, envelope: Envelope, outcome: Outcome) -> None:
        if envelope.id % 7:
            super().reply(envelope, outcome)


class LosesMessages(Router):
    """Sabotage: now and then a message is gone after it was accepted."""

    def deliver(self, envelope: Envelope) -> Cell | None:
        full = super().deliver(envelope)
        cell = self.find(envelope.recipient)
        if not envelope.id % 11 and cell is not None and envelope in cell.mail and envelope.kind is TELL:
            cell.mail.remove(envelope)  # type: ignore[union-attr]
        return full


class SkipsOrder(Router):
    """Sabotage: now and then a message is put before all others."""

    def deliver(self, envelope: Envelope) -> Cell | None:
        full = super().deliver(envelope)
        cell = self.find(envelope.recipient)
        if cell is not None and len(cell.mail) > 1 and not envelope.id % 3:
            cell.mail.appendleft(cell.mail.pop())  # type: ignore[union-attr]
        return full


class TwoAtOnce(Lifecycle):
    """Sabotage: agents have a slot too many."""

    def _run(self, cell: Cell) -> None:
        cell.slots = 2
        super()._run(cell)


class Keeper(Agent):
    """Takes its time."""

    async def on_message(self, message: Any) -> None:
        await anyio.sleep(0.01)


class KeeperInAThread(Agent):
    """Runs in a worker thread."""

    def on_message(self, message: Any) -> None:
        pass


async def send_much(simulation: Simulation) -> None:
    """Let two senders send ten messages each to one agent."""
    async with simulation.mesh() as mesh:
        mesh.add(Keeper("keeper"))

        async def send() -> None:
            for number in range(10):
                await mesh.tell("keeper", number)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send)
            tasks.start_soon(send)


BROKEN: Final = {
    "a reply is lost": (Instruments(router=LosesReplies), run_shops, "the reply was lost"),
    "a message is lost": (Instruments(router=LosesMessages), send_much, "the law is broken"),
    "the order is not kept": (Instruments(router=SkipsOrder), send_much, "overtook #"),
    "two are handled at once": (Instruments(lifecycle=TwoAtOnce), send_much, "was begun beside"),
}


@pytest.mark.breaks_the_law
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_mesh_is_found_shrunk_and_can_be_replayed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    parts, program, expected = BROKEN[name]

    @simulate(seeds=SEEDS, faults=Faults(crash=0, model=0, slow=0.01))
    async def broken(simulation: Simulation) -> None:
        await program(simulation)

    with instrumented(parts), pytest.raises(AssertionError) as caught:
        broken()
    said = str(caught.value)

    assert expected in said
    assert caught.value.__cause__ is not None
    seed = int(re.findall(r"simulation failed with seed (\d+)", said)[0])
    assert f"::broken --ceylon-seed={seed}" in said
    assert len(re.findall(r"^  +\d+ +\d+\.\d+s", said, re.MULTILINE)) <= 30

    monkeypatch.setenv("CEYLON_SEED", str(seed))
    with instrumented(parts), pytest.raises(AssertionError) as again:
        broken()
    assert str(again.value) == said


@pytest.mark.parametrize("name", BROKEN)
def test_the_same_programs_pass_on_a_whole_mesh(name: str) -> None:
    _, program, _ = BROKEN[name]

    for seed in range(SEEDS):
        outcome = run_simulation(program, seed=seed, faults=Faults(crash=0, model=0, slow=0.01))

        assert outcome.error is None, f"seed {seed}: {outcome.error!r}"


def test_a_task_that_is_left_behind_is_found() -> None:
    async def leak(simulation: Simulation) -> None:
        async with simulation.mesh() as mesh:

            async def stay(_: Task) -> None:
                await anyio.sleep_forever()

            mesh.interior.driver.spawn(stay, "ceylon leak")

    outcome = run_simulation(leak, seed=1)

    assert outcome.violations == ["left behind: task 'ceylon leak' at " + outcome.violations[0].rpartition(" at ")[2]]


@pytest.mark.parametrize("message", [["a list"], {"a": "dictionary"}])
@pytest.mark.parametrize("agent", [Keeper, KeeperInAThread])
def test_a_message_that_is_changed_after_it_was_sent_is_found(message: Any, agent: type[Agent]) -> None:
    async def change(simulation: Simulation) -> None:
        async with simulation.mesh() as mesh:
            mesh.add(agent("keeper"))
            sent = copy.copy(message)
            await mesh.tell("keeper", copy.copy(message))
            await mesh.tell("keeper", sent)
            sent.clear()

    outcome = run_simulation(change, seed=1)

    assert [words.partition("; ")[0] for words in outcome.violations] == [
        f"#2 ({type(message).__name__}, outside → keeper) was changed after it was sent"
    ]


def test_an_exception_that_nobody_takes_is_found() -> None:
    async def forget(_: Simulation) -> None:
        future = asyncio.get_running_loop().create_future()
        future.set_exception(KeyError("x"))
        del future

    outcome = run_simulation(forget, seed=1)

    assert outcome.violations == ["Future exception was never retrieved: KeyError"]


def test_a_spin_that_never_lets_time_pass_ends_all_the_same() -> None:
    async def spin(_: Simulation) -> None:
        while True:
            await anyio.lowlevel.checkpoint()

    outcome = run_simulation(spin, seed=1)

    assert "task 'the test' at" in str(outcome.error)


def test_what_is_not_needed_is_left_out_of_a_failing_run() -> None:
    async def fail_at_three(simulation: Simulation) -> None:
        async with simulation.mesh() as mesh:
            mesh.add(Keeper("keeper"))
            for number in range(4):
                await mesh.tell("keeper", number)
            await anyio.sleep(1000)
            assert mesh.statistics().agents["keeper"].completed < 4

    @simulate(seeds=[9], faults=Faults(delay=1.0, reorder=1.0, crash=0.0))
    async def test(simulation: Simulation) -> None:
        await fail_at_three(simulation)

    with pytest.raises(AssertionError, match="needed: none"):
        test()


def test_seeds_can_be_chosen_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    @simulate(seeds=3)
    async def test(simulation: Simulation) -> None:
        seen.append(simulation.seed)

    test()
    monkeypatch.setenv("CEYLON_SEED", "7")
    test()
    monkeypatch.delenv("CEYLON_SEED")
    monkeypatch.setenv("CEYLON_SEEDS", "2")
    test()

    assert seen == [0, 1, 2, 7, 0, 1]


@pytest.mark.parametrize(("variable", "value"), [("CEYLON_SEED", "seven"), ("CEYLON_SEEDS", "0")])
def test_seeds_from_outside_that_cannot_be_are_refused(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    @simulate(seeds=1)
    async def test(simulation: Simulation) -> None:
        raise NotImplementedError

    monkeypatch.setenv(variable, value)

    with pytest.raises(ArgumentError, match=rf"\${variable} is '{value}'; it takes a whole number from"):
        test()


def test_a_test_that_can_never_end_says_so_in_its_report() -> None:
    @simulate(seeds=1)
    async def test(simulation: Simulation) -> None:
        async with simulation.mesh():
            await anyio.Event().wait()

    with pytest.raises(AssertionError, match="seed 0:\n  AssertionError: nothing can ever happen again"):
        test()


FAILING: Final = """
from ceylon import Agent
from ceylon.testing import simulate

class Keeper(Agent):
    async def on_message(self, message):
        return message

@simulate(seeds=5)
async def test_orders(simulation, tmp_path):
    async with simulation.mesh() as mesh:
        mesh.add(Keeper("keeper"))
        assert await mesh.ask("keeper", simulation.seed) < 3
"""


@pytest.mark.process
def test_pytest_collects_a_simulation_and_the_printed_command_replays_it(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(ceylon.__file__).parents[1]))
    pytester.makepyfile(test_shop=FAILING)

    failed = pytester.runpytest_subprocess("-p", "ceylon_pytest", "-p", "no:cacheprovider")
    command = re.findall(r"replay it with: pytest (.*)$", failed.stdout.str(), re.MULTILINE)[-1].split()
    again = pytester.runpytest_subprocess("-p", "ceylon_pytest", "-p", "no:cacheprovider", *command)
    passing = pytester.runpytest_subprocess("-p", "ceylon_pytest", "-p", "no:cacheprovider", "--ceylon-seeds=3")

    assert command == ["test_shop.py::test_orders", "--ceylon-seed=3"]
    failed.assert_outcomes(failed=1)
    again.assert_outcomes(failed=1)
    again.stdout.fnmatch_lines(["*simulation failed with seed 3:", "*ended #1 ask*keeper int (completed)"])
    passing.assert_outcomes(passed=1)


def test_pytests_own_failures_name_the_seed_and_a_skip_is_a_skip() -> None:
    @simulate(seeds=[4])
    async def failing(simulation: Simulation) -> None:
        pytest.fail("on purpose")

    @simulate(seeds=[4])
    async def skipping(simulation: Simulation) -> None:
        pytest.skip("on purpose")

    with pytest.raises(AssertionError, match=r"(?s)failed with seed 4.*on purpose"):
        failing()
    with pytest.raises(pytest.skip.Exception):
        skipping()


def test_a_failing_program_is_replayed_without_pytest(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run_by_hand() -> None: ...

    async def test_by_pytest() -> None: ...

    monkeypatch.delenv("PYTEST_CURRENT_TEST")

    assert replay_command(run_by_hand, 7) == f"CEYLON_SEED=7 python {_SELF}"
    assert replay_command(test_by_pytest, 7) == f"pytest {_SELF}::test_by_pytest --ceylon-seed=7"
