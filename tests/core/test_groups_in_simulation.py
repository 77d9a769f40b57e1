"""Keyed agents and pools under many orders of events: one at a time, nothing lost, everybody's order kept."""

import functools
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Final

import pytest

from ceylon.core.keeping import Keeping
from ceylon.core.keyed import KeyedAgents
from ceylon.core.keyed_cell import KeyedCell
from ceylon.core.lifecycle import Lifecycle
from ceylon.core.members import Members
from ceylon.core.pins import Pins
from ceylon.core.places import Places
from ceylon.testing import Faults, Simulation, simulate
from ceylon.testing.simulation import run_simulation
from support.sabotaged import replaced, silent_log
from support.simulated_groups import run_keyed, run_pool

FEW: Final = 25
MANY: Final = range(1_000, 1_500)
FAULTS: Final = Faults()
SEEDS: Final = 60  # in which a bug is found


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Let handlers fail without a word: that is what faults are for."""
    with silent_log():
        yield


@simulate(FEW)
async def test_keyed_agents_come_and_go_one_at_a_time_and_lose_nothing(simulation: Simulation) -> None:
    await run_keyed(simulation)


@simulate(FEW, faults=FAULTS)
async def test_keyed_agents_bear_faults(simulation: Simulation) -> None:
    await run_keyed(simulation, bears_faults=True)


@simulate(FEW)
async def test_a_pool_keeps_the_order_of_every_key_while_it_changes_its_size(simulation: Simulation) -> None:
    await run_pool(simulation)


@simulate(FEW, faults=FAULTS)
async def test_a_pool_bears_faults(simulation: Simulation) -> None:
    await run_pool(simulation, bears_faults=True)


@pytest.mark.slow
@simulate(MANY)
async def test_keyed_agents_under_many_seeds(simulation: Simulation) -> None:
    await run_keyed(simulation)


@pytest.mark.slow
@simulate(MANY)
async def test_pools_under_many_seeds(simulation: Simulation) -> None:
    await run_pool(simulation)


# -- sabotage ----------------------------------------------------------------------------------------------------------


def forget_who_leaves() -> AbstractContextManager[None]:
    """Let a message that comes while an agent leaves make another one at once."""
    leave = Lifecycle.leave

    async def broken(self: Lifecycle, cell: KeyedCell, until: float) -> BaseException | None:
        cell.family.left(cell)
        self._interior.router.cells.pop(cell.address, None)
        return await leave(self, cell, until)

    return replaced(Lifecycle, "leave", broken)


def drop_what_waits() -> AbstractContextManager[None]:
    """Let what came while an agent left go with it, properly counted as dead letters."""

    def broken(self: KeyedAgents, cell: KeyedCell) -> None:
        self._interior.lifecycle.vacate(cell)

    return replaced(KeyedAgents, "_come_again", broken)


def turn_the_mailbox_round() -> AbstractContextManager[None]:
    """Let what waited for the next instance be handled last come, first served."""
    furnish = KeyedCell.furnish

    def broken(self: KeyedCell, *parts: Any) -> None:
        furnish(self, *parts)
        if self.mail:
            self.mail.reverse()

    return replaced(KeyedCell, "furnish", broken)


def save_nothing() -> AbstractContextManager[None]:
    """Let an agent leave without having been asked for its state."""

    async def broken(self: Keeping, cell: KeyedCell) -> None:
        """Save nothing."""

    return replaced(Keeping, "save", broken)


def overfill() -> AbstractContextManager[None]:
    """Let there be as many agents in memory as there are keys."""

    def broken(self: Places) -> bool:
        return len(self.seated) < 2 * self.limit

    return replaced(Places, "has_free", broken)


def move_keys_at_once() -> AbstractContextManager[None]:
    """Let a key's new member begin with it while the old one still has messages of it."""

    def broken(self: Pins, key: bytes, envelope: Any) -> None:
        """Hold no key."""

    return replaced(Pins, "holder", broken)


def cut_members_off() -> AbstractContextManager[None]:
    """Let members that are too many go without having handled what they have."""

    def broken(self: Members, cell: Any) -> None:
        if cell in self.leaving and cell.is_there:
            cell.let_go()
            self._interior.run(lambda: self._interior.lifecycle.stop(cell), "stop", cell)

    return replaced(Members, "rested", broken)


@pytest.mark.breaks_the_law
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore:coroutine:RuntimeWarning")
@pytest.mark.parametrize(
    ("sabotage", "program", "words"),
    [
        (forget_who_leaves, run_keyed, "two activations"),
        (drop_what_waits, run_keyed, "lost"),
        (turn_the_mailbox_round, run_keyed, "out of order|overtook"),
        (save_nothing, run_keyed, "the state of"),
        (overfill, run_keyed, "are in memory, 3 may be"),
        (move_keys_at_once, run_pool, "two handlers|out of order"),
        (cut_members_off, run_pool, "lost"),
    ],
)
def test_a_mesh_that_breaks_a_promise_is_found(
    sabotage: Callable[[], AbstractContextManager[None]], program: Any, words: str
) -> None:
    with sabotage():
        failures = (run_simulation(program, seed=seed).error for seed in range(SEEDS))
        assert any(re.search(words, str(error)) for error in failures if isinstance(error, AssertionError))


def test_the_programs_themselves_have_no_mistake() -> None:
    for program in (run_keyed, run_pool):
        for faults, bears in ((None, False), (FAULTS, True)):
            outcome = run_simulation(functools.partial(program, bears_faults=bears), seed=7, faults=faults)
            assert outcome.error is None
