"""In a simulation the seed chooses whether a handler runs by the loop, in a step, or following another in a step."""

import sys
from typing import Final

import pytest

from ceylon import Agent, Context
from ceylon.core.backends.chosen_steps import ChosenSteps
from ceylon.core.backends.steps import Steps
from ceylon.testing import Simulation, run_simulation

SEEDS: Final = 30
_LOOP, _STEP, _FOLLOWS = "by the loop", "in a step", "following in a step"


class Relay(Agent):
    """Says by which way its handler came to run, and asks the next."""

    async def on_message(self, left: int, context: Context) -> list[str]:
        ways = [_way_here()]
        return ways + await context.ask(f"relay-{left - 1}", left - 1) if left else ways


def _way_here() -> str:
    frame = sys._getframe()  # noqa: SLF001 – as `inspect` does
    while frame.f_back is not None:
        if frame.f_code is Steps.follow.__code__:
            return _FOLLOWS
        if frame.f_code.co_qualname == "AsyncioTask.step":
            return _STEP
        frame = frame.f_back
    return _LOOP


def ways_of(seed: int, backend: str = "asyncio") -> list[str]:
    found: list[str] = []

    async def test(simulation: Simulation) -> None:
        async with simulation.mesh() as mesh:
            for number in range(4):
                mesh.add(Relay(f"relay-{number}"))
            for _ in range(3):
                found.extend(await mesh.ask("relay-3", 3))

    outcome = run_simulation(test, seed=seed, backend=backend)
    assert outcome.error is None, f"seed {seed}: {outcome.error!r}"
    return found


def test_seeds_choose_among_all_ways() -> None:
    ways = [ways_of(seed) for seed in range(SEEDS)]

    assert {way for each in ways for way in each} == {_LOOP, _STEP, _FOLLOWS}
    assert len({tuple(each) for each in ways}) > SEEDS / 2


def test_the_same_seed_chooses_the_same_ways() -> None:
    assert [ways_of(seed) for seed in range(SEEDS)] == [ways_of(seed) for seed in range(SEEDS)]


def test_without_a_choice_there_is_one_way_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ChosenSteps, "may_begin", Steps.may_begin)
    monkeypatch.setattr(ChosenSteps, "is_deep", Steps.is_deep)

    assert _FOLLOWS not in {way for seed in range(SEEDS) for way in ways_of(seed)}


def test_on_trio_everything_goes_by_the_loop() -> None:
    assert {way for seed in range(3) for way in ways_of(seed, "trio")} == {_LOOP}
