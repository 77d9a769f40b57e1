"""The pauses between the tries of a stage: what failed together does not come back together."""

import itertools
from collections.abc import Callable
from typing import Any, Final

import anyio
import pytest

from ceylon.pipelines import each, pipeline, retry
from ceylon.pipelines.policies import RetryUnit
from ceylon.settings import DEFAULTS
from ceylon.testing import Simulation, run_simulation, simulate

MANY: Final = 30
Wrap = Callable[[Any], Any]


async def pauses_of(simulation: Simulation, wrap: Wrap, failures: int = 1) -> list[list[float]]:
    """Let many stages fail at one moment; return the seconds before each further try, stage by stage."""
    tries: dict[int, list[float]] = {number: [] for number in range(MANY)}

    async def fail(number: int) -> None:
        tries[number].append(anyio.current_time())
        if len(tries[number]) <= failures:
            raise ValueError(number)

    async with simulation.mesh() as mesh:
        await mesh.add(pipeline(each(wrap(fail), concurrency=MANY))).ask(list(range(MANY)), timeout=10_000)
    return [[round(later - at, 9) for at, later in itertools.pairwise(each)] for each in tries.values()]


async def check_spread(simulation: Simulation, wrap: Wrap, least: float, most: float) -> None:
    """Let many fail at once: their second tries are all over the time between *least* and *most*."""
    pauses = [pause for (pause,) in await pauses_of(simulation, wrap)]
    assert all(least <= pause <= most for pause in pauses), pauses
    assert len(set(pauses)) == MANY, "some come back together"
    width = most - least
    assert min(pauses) < least + 0.3 * width, pauses
    assert max(pauses) > most - 0.3 * width, pauses


@simulate(seeds=3)
async def test_by_default_all_of_a_pause_is_left_to_chance(simulation: Simulation) -> None:
    assert DEFAULTS.stage_jitter == 1.0
    await check_spread(simulation, retry, 0.0, DEFAULTS.stage_pause)


@simulate(seeds=3)
async def test_one_may_leave_a_part_of_it_to_chance(simulation: Simulation) -> None:
    await check_spread(simulation, lambda step: retry(step, pause=8.0, jitter=0.25), 6.0, 8.0)


@simulate(seeds=2)
async def test_without_jitter_pauses_are_exact(simulation: Simulation) -> None:
    pauses = await pauses_of(simulation, lambda step: retry(step, 4, pause=1.0, factor=3.0, jitter=0), failures=3)

    assert pauses == [pytest.approx([1.0, 3.0, 9.0])] * MANY


@simulate(seeds=2)
async def test_the_longest_pause_is_the_most_that_chance_may_give(simulation: Simulation) -> None:
    pauses = await pauses_of(simulation, lambda step: retry(step, 4, pause=50.0, factor=100.0), failures=3)

    assert all(pause <= most for each in pauses for pause, most in zip(each, (50.0, 60.0, 60.0), strict=True))
    assert max(pause for each in pauses for pause in each[1:]) > 40.0


def test_a_simulation_draws_the_same_pauses_again() -> None:
    seen: list[Any] = []

    async def look(simulation: Simulation) -> None:
        seen.append(await pauses_of(simulation, retry))

    for seed in (1, 1, 2):
        assert run_simulation(look, seed=seed).error is None

    assert seen[0] == seen[1]
    assert seen[0] != seen[2]


def test_stages_that_come_back_together_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RetryUnit, "_pause", lambda *_: DEFAULTS.stage_pause)

    async def check(simulation: Simulation) -> None:
        await check_spread(simulation, retry, 0.0, DEFAULTS.stage_pause)

    error = run_simulation(check, seed=0).error
    assert "some come back together" in str(error)


def test_the_jitter_is_part_of_the_description() -> None:
    retried = retry(len, jitter=0.5).describe()["children"][0]

    assert retried["facts"]["jitter"] == 0.5
