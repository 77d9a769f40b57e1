"""Every request ends exactly once, whatever stops, begins again, expires or leaves: under many seeds."""

import contextlib
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager

import pytest

from ceylon.core.kept_results import KeptResults
from ceylon.core.request_calls import RequestWait
from ceylon.core.requests import Requests
from ceylon.core.tickets import Ticket
from ceylon.messages import Outcome
from ceylon.testing import Faults, Simulation, run_simulation, simulate
from ceylon.testing.history import What
from support.simulated_requests import run_requests

FAULTS = Faults()


@simulate(50, faults=FAULTS)
async def test_every_request_ends_once(simulation: Simulation) -> None:
    await run_requests(simulation)


@simulate(10, faults=FAULTS, backend="trio")
async def test_every_request_ends_once_on_trio(simulation: Simulation) -> None:
    await run_requests(simulation)


@pytest.mark.slow
@pytest.mark.timeout(300)
@simulate(range(1_000, 1_500), faults=FAULTS)
async def test_every_request_ends_once_in_many_runs(simulation: Simulation) -> None:
    await run_requests(simulation)


def test_the_runs_see_answers_failures_and_deadlocks() -> None:
    notes = ""
    for seed in range(15):
        notes += " ".join(event.detail for event in run_simulation(run_requests, seed=seed).history.of(What.NOTE))

    assert all(how in notes for how in ("answered:", "failed:", "deadlock:"))


# -- and they can turn red ---------------------------------------------------------------------------------------------


@contextlib.contextmanager
def outcomes_lost() -> Generator[None]:
    """Lose the outcomes of some requests: as when a store forgets what it was to keep."""
    end = Requests._end  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] – what is broken on purpose

    def broken(self: Requests, ticket: Ticket, outcome: Outcome) -> None:
        if int(ticket.id.rpartition("-")[2], 16) % 7 != 3:
            end(self, ticket, outcome)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Requests, "_end", broken)
        yield


@contextlib.contextmanager
def results_kept() -> Generator[None]:
    """Leave a result among the others although somebody has collected it."""

    def broken(self: KeptResults) -> list[object]:
        return [*self.results()]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(KeptResults, "take_all", broken)
        yield


@contextlib.contextmanager
def waits_unseen() -> Generator[None]:
    """Keep those who wait for requests out of the graph of waits."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RequestWait, "groups", lambda _, __: ())
        yield


@pytest.mark.breaks_the_law
@pytest.mark.parametrize("plant", [outcomes_lost, results_kept, waits_unseen])
def test_a_planted_bug_is_found(plant: Callable[[], AbstractContextManager[None]]) -> None:
    with plant():
        assert any(run_simulation(run_requests, seed=seed, faults=FAULTS).error is not None for seed in range(60))
