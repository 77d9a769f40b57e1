"""Bugs are planted in the core, one at a time, and a program that knows none of them finds every one."""

import functools
import importlib.util
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

import msgspec
import pytest

from bugs.workload import FAULTS, run_workload
from ceylon import LawBrokenError
from ceylon.testing import Faults, SimulationOutcome, run_simulation
from ceylon.testing.simulation.report import concerned, leaves, relevant
from ceylon.testing.simulation.shrinking import shrink
from support.sabotaged import silent_log

SEEDS: Final = 500
SECONDS: Final = 60.0
READABLE: Final = 30
"""Events that somebody may be asked to read."""
PLANTED: Final = sorted((Path(__file__).parent / "planted").glob("*.py"))

pytestmark = [
    pytest.mark.breaks_the_law,
    pytest.mark.big,
    # A broken mesh leaves coroutines behind that nobody runs to their end.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore:coroutine:RuntimeWarning"),
]


class Find(msgspec.Struct, frozen=True):
    """How a bug was found, and what is left of the run after it was made smaller."""

    seed: int
    seconds: float
    failed: SimulationOutcome
    smallest: SimulationOutcome

    @property
    def essence(self) -> int:
        """Count the events that one has to read: the whole run, or those of the messages that the failure names."""
        return min(len(self.smallest.history), len(concerned(self.smallest)))


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Let the agents fail without a word: hundreds of runs do so on purpose."""
    with silent_log():
        yield


def _bug_in(path: Path) -> Callable[[], AbstractContextManager[None]]:
    specification = importlib.util.spec_from_file_location(f"planted_{path.stem}", path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    plant: Callable[[], AbstractContextManager[None]] = module.plant
    return plant


@functools.cache
def find(path: Path) -> Find | None:
    """Return how the bug in this file was found; its name tells the search nothing."""
    run = functools.partial(run_simulation, run_workload)
    with _bug_in(path)():
        began = time.process_time()  # of the processor: other programs of a busy machine find no bugs
        for seed in range(SEEDS):
            failed = run(seed=seed, faults=FAULTS)
            if failed.error is not None:
                seconds = time.process_time() - began
                smallest = shrink(failed, FAULTS, lambda faults, cuts: run(seed=seed, faults=faults, cuts=cuts))  # noqa: B023 – used here only
                return Find(seed, seconds, failed, smallest)
    return None


@pytest.mark.parametrize("path", PLANTED, ids=[path.stem for path in PLANTED])
def test_a_planted_bug_is_found_within_500_seeds_and_a_minute(path: Path) -> None:
    found = find(path)

    assert found is not None
    assert found.seconds < SECONDS
    assert found.smallest.error is not None
    assert len(relevant(found.smallest)) <= READABLE


def test_what_is_left_of_most_of_them_can_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    finds = {path.stem: found for path in PLANTED if (found := find(path)) is not None}
    with capsys.disabled():
        print()  # noqa: T201 – the table is what one wants to see
        print("\n".join(_table(finds)))  # noqa: T201

    whole = [name for name, found in finds.items() if len(found.smallest.history) <= READABLE]
    essential = [name for name, found in finds.items() if found.essence <= READABLE]
    assert len(finds) == len(PLANTED) >= 20
    assert len(whole) >= 0.75 * len(PLANTED), f"as whole runs: {sorted(set(finds) - set(whole))} cannot"
    assert len(essential) >= 0.95 * len(PLANTED), f"{sorted(set(finds) - set(essential))} cannot"


def _table(finds: dict[str, Find]) -> list[str]:
    lines = [f"{'bug':26} {'seed':>5} {'seconds':>8} {'events':>7} {'left':>5} {'named':>6}"]
    for name, found in finds.items():
        before, after = len(found.failed.history), len(found.smallest.history)
        lines.append(f"{name:26} {found.seed:5} {found.seconds:8.2f} {before:7} {after:5} {found.essence:6}")
    return lines


def test_nothing_is_found_where_nothing_is_planted() -> None:
    for seed in range(SEEDS):
        outcome = run_simulation(run_workload, seed=seed, faults=FAULTS)

        assert outcome.error is None, f"seed {seed}: {outcome.error!r}"


def test_nothing_is_found_on_trio_either() -> None:
    for seed in range(SEEDS // 5):
        outcome = run_simulation(run_workload, seed=seed, faults=FAULTS, backend="trio")

        assert outcome.error is None, f"seed {seed}: {outcome.error!r}"


def test_crashes_break_nothing_but_what_they_hit() -> None:
    """The activities may fail then; order, the law, and what a mesh owes at rest may not."""
    for seed in range(SEEDS):
        outcome = run_simulation(run_workload, seed=seed, faults=Faults(crash=0.2))

        assert not outcome.violations, f"seed {seed}: {outcome.violations}"
        assert not any(isinstance(error, LawBrokenError) for error in leaves(outcome.error)), f"seed {seed}"


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_nothing_is_found_in_many_runs(backend: str) -> None:
    for seed in range(SEEDS, 3 * SEEDS):
        outcome = run_simulation(run_workload, seed=seed, faults=FAULTS, backend=backend)

        assert outcome.error is None, f"seed {seed}: {outcome.error!r}"


def test_the_same_seed_gives_the_same_run() -> None:
    for seed in range(SEEDS // 5):
        first, second = (run_simulation(run_workload, seed=seed, faults=FAULTS).history.encoded() for _ in range(2))

        assert first == second, f"seed {seed}"
