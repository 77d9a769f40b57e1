"""Interceptors, requests, ticks, keyed agents, pools, groups, pipelines and approvals in one program, many orders."""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Final

import pytest

from ceylon.core.agent_timers import AgentTimers
from ceylon.core.group_calls import GroupCall
from ceylon.core.publication import Publication
from ceylon.core.requests import Requests
from ceylon.testing import Simulation, simulate
from ceylon.testing.simulation import run_simulation
from support.sabotaged import replaced, silent_log
from support.simulated_interplay import run_interplay

FEW: Final = 40
MANY: Final = range(1_000, 1_300)
SEEDS: Final = 60  # in which a bug is found


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Let handlers fail without a word."""
    with silent_log():
        yield


@simulate(FEW)
async def test_all_of_composition_in_one_mesh_loses_nothing_and_does_nothing_twice(simulation: Simulation) -> None:
    await run_interplay(simulation)


@pytest.mark.slow
@simulate(MANY)
async def test_all_of_composition_in_one_mesh_under_many_seeds(simulation: Simulation) -> None:
    await run_interplay(simulation)


# -- sabotage ----------------------------------------------------------------------------------------------------------


def submit_past_the_onion() -> AbstractContextManager[None]:
    """Let what is submitted be seen by no interceptor."""
    submit = Requests.submit

    def broken(self: Requests, *arguments: Any) -> Any:
        router: Any = self._router
        router.let_pass = lambda _: None
        try:
            return submit(self, *arguments)
        finally:
            del router.let_pass

    return replaced(Requests, "submit", broken)


def wait_past_the_onion() -> AbstractContextManager[None]:
    """Let what waits for one of a group be seen by no interceptor."""
    stand_before = GroupCall.stand_before

    def broken(self: GroupCall, member: Any, envelope: Any, cell: Any) -> None:
        stand_before(self, member, self.publication.envelope_to(member.address), cell)

    return replaced(GroupCall, "stand_before", broken)


def tick_twice() -> AbstractContextManager[None]:
    """Let every agent have its ticks twice."""
    begin = AgentTimers.begin

    def broken(self: AgentTimers, cell: Any, ticking: Any) -> None:
        begin(self, cell, ticking)
        for schedule, tick in ticking.schedules:
            self._set(cell, schedule, tick)

    return replaced(AgentTimers, "begin", broken)


def give_to_all() -> AbstractContextManager[None]:
    """Let every member of a group have everything."""

    def broken(self: Publication, name: str, group: Any, until: float | None = None) -> None:
        for members in group:
            for address in members:
                self.offer(address, waits=False)

    return replaced(Publication, "offer_group", broken)


def forget_requests() -> AbstractContextManager[None]:
    """Let results go that nobody waits for yet."""
    end = Requests._end  # noqa: SLF001 – to be broken

    def broken(self: Requests, ticket: Any, outcome: Any) -> None:
        has_waits = bool(ticket.waits)
        end(self, ticket, outcome)
        if not has_waits:
            self.kept.take(ticket)

    return replaced(Requests, "_end", broken)


@pytest.mark.parametrize(
    ("sabotage", "words"),
    [
        (submit_past_the_onion, "bypassed the onion"),
        (wait_past_the_onion, "bypassed the onion"),
        (tick_twice, "ticks in"),
        (give_to_all, "more than once"),
        (forget_requests, "a request was lost"),
    ],
)
def test_a_mesh_that_breaks_a_promise_is_found(
    sabotage: Callable[[], AbstractContextManager[None]], words: str
) -> None:
    with sabotage():
        failures = (run_simulation(run_interplay, seed=seed).error for seed in range(SEEDS))
        assert any(re.search(words, str(error)) for error in failures if isinstance(error, AssertionError))
