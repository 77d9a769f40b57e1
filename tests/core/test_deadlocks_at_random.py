"""The detector against programs at random: what it refuses does wait for ever without it, and nothing else does.

Every program runs twice under one seed, so in the same order up to the first alarm: once as it is, and once with a
detector that never says anything. There a wait that could never end shows as one that lasts 1,000 virtual seconds.
"""

import logging
from collections.abc import Callable, Iterable
from typing import Final

import anyio
import msgspec
import pytest

from ceylon import Mesh
from ceylon.testing import Faults, Simulation, SimulationOutcome, run_simulation
from ceylon.testing.seeds import seeds_for
from support.errand_programs import program_of, settings_of
from support.errands import Log, Verdict, instruments_for
from support.simulated import instrumented

SEEDS: Final = 150
LOOK_EVERY: Final = 0.05
LOOKS: Final = 60


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Keep what fails on purpose, thousands of times, out of the log."""
    caplog.set_level(logging.CRITICAL + 1, "ceylon")


class Run(msgspec.Struct, frozen=True):
    """How one run of a program went."""

    log: Log
    outcome: SimulationOutcome
    left_behind: list[str]


def run(
    seed: int,
    verdict: Verdict | None = None,
    *,
    impatient: bool = False,
    faults: Faults | None = None,
    backend: str = "asyncio",
) -> Run:
    """Run the program of *seed* to its end, looking into the mesh at moments that the seed decides."""
    log, left = Log(), list[str]()
    program, settings = program_of(seed, impatient=impatient), settings_of(seed)

    async def test(simulation: Simulation) -> None:
        async with simulation.mesh(settings=settings) as mesh, anyio.create_task_group() as tasks:
            tasks.start_soon(look_into, mesh, simulation)
            await program.run(mesh, log)
            tasks.cancel_scope.cancel()
            left.extend(left_behind(mesh, log))

    with instrumented(instruments_for(log, verdict)):
        outcome = run_simulation(test, seed=seed, faults=faults, backend=backend)
    return Run(log, outcome, left)


async def look_into(mesh: Mesh, simulation: Simulation) -> None:
    """Ask the mesh everything there is to ask, again and again."""
    for _ in range(LOOKS):
        await anyio.sleep(simulation.random.random() * LOOK_EVERY)
        addresses = {*mesh.interior.router.cells, ""}
        waits = mesh.waits()
        ledger = mesh.ledger()
        assert ledger.is_balanced
        for message in ledger.open:
            why = mesh.why(message.message_id)
            assert why.state == message.place
            assert {*why.blocked_by} <= addresses
            waits += why.waits_for
            assert str(why)
        for wait in waits:
            assert {wait.waiter, wait.on.partition("/")[0]} <= addresses
            assert all(mesh.why(blocking) for blocking in wait.blocked_by), wait


def left_behind(mesh: Mesh, log: Log) -> list[str]:
    """Return what is not as it was before anything was sent."""
    router = mesh.interior.router
    found = [f"{cell!r} has {cell.slots} slots" for cell in router.cells.values() if not _is_as_new(cell)]
    found += [f"{origin!r} still waits" for origin in log.origins if origin.waits]
    return found + [f"call #{number} is open" for number in router.calls]


def _is_as_new(cell: object) -> bool:
    names = ("loans", "guests", "busy_keys", "leases", "parked", "mail", "under_way", "running")
    return not any(getattr(cell, name) for name in names) and cell.slots == cell.options.concurrency  # type: ignore[attr-defined]


def mistakes(seeds: Iterable[int], verdict: Verdict | None = None, backend: str = "asyncio") -> list[str]:
    """Return what is wrong with the detector, or with *verdict* in its place, a sentence each."""
    found: list[str] = []
    for seed in seeds:
        seeing, blind = run(seed, verdict, backend=backend), run(seed, lambda: False, backend=backend)
        alarms, overlooked, endless = seeing.log.alarms, seeing.log.timeouts, blind.log.timeouts
        # A thread goes on in its slot when its asker has left, a loan does not: what waits for it may wait too long.
        if (overlooked and not seeing.log.unattended) or (endless and not alarms):
            found.append(f"seed {seed}: overlooked: {[*overlooked, *endless][0]}")
        if alarms and not endless and not blind.log.left:
            found.append(f"seed {seed}: false alarm: {alarms[0]}")
        for each in (seeing, blind):
            found += [f"seed {seed}: {said}" for said in (*each.left_behind, *each.log.others)]
            found += [f"seed {seed}: {each.outcome.error!r}"] if each.outcome.error is not None else []
    return found


@pytest.mark.big
def test_every_wait_without_end_is_refused_and_no_other() -> None:
    assert mistakes(seeds_for(SEEDS)) == []


@pytest.mark.big
def test_so_it_is_on_trio() -> None:
    assert mistakes(seeds_for(30), backend="trio") == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_so_it_is_in_many_programs() -> None:
    assert mistakes(seeds_for(range(SEEDS, 1_200))) == []


@pytest.mark.parametrize("faults", [None, Faults()])
def test_whatever_is_given_up_or_goes_wrong_leaves_nothing_behind(faults: Faults | None) -> None:
    for seed in seeds_for(60):
        ended = run(seed, impatient=True, faults=faults)

        assert ended.left_behind == [], f"seed {seed}"
        assert ended.outcome.error is None, f"seed {seed}: {ended.outcome.error!r}"


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("faults", [None, Faults()])
def test_so_it_is_in_many_impatient_programs(faults: Faults | None) -> None:
    for seed in seeds_for(range(60, 400)):
        ended = run(seed, impatient=True, faults=faults)

        assert ended.left_behind == [], f"seed {seed}"
        assert ended.outcome.error is None, f"seed {seed}: {ended.outcome.error!r}"


@pytest.mark.parametrize(("verdict", "said"), [(lambda: False, "overlooked"), (lambda: True, "false alarm")])
@pytest.mark.big
def test_a_detector_that_says_always_the_same_is_found_out(verdict: Callable[[], bool], said: str) -> None:
    assert any(said in mistake for mistake in mistakes(range(20), verdict))
