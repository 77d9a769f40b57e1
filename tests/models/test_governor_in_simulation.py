"""A crowd before a provider that tells none its limit: nobody fails, little goes unused, the urgent go first."""

from collections.abc import Callable
from typing import Any, Final

import anyio
import pytest

from ceylon import LlmAgent
from ceylon.core.terms import Priority
from ceylon.settings import DEFAULTS
from ceylon.testing import Simulation, SimulationOutcome, run_simulation
from support.providers import LimitedProvider

AGENTS: Final = 512
QUERIES: Final = 3
PATIENCE: Final = 3_000.0


class Crowd:
    """Agents that ask a limited provider, and what came of it."""

    def __init__(self, agents: int = AGENTS, hedge: float | None = None, **limits: Any) -> None:
        self._agents, self._hedge, self._limits = agents, hedge, limits
        self.errors: list[Exception] = []
        self.provider: LimitedProvider
        self.seconds = 0.0

    async def __call__(self, simulation: Simulation) -> None:
        chance = simulation.random
        self.provider = LimitedProvider(latency=lambda: chance.uniform(0.5, 1.5), **self._limits)
        async with simulation.mesh() as mesh:
            agents = [LlmAgent(f"agent{number}", self.provider, hedge=self._hedge) for number in range(self._agents)]
            refs = [mesh.add(agent) for agent in agents]
            began = anyio.current_time()

            async def work(ask: Callable[..., Any]) -> None:
                for _ in range(QUERIES):
                    try:
                        await ask("hi", timeout=PATIENCE)
                    except Exception as error:  # noqa: BLE001 – that is what is counted
                        self.errors.append(error)

            async with anyio.create_task_group() as tasks:
                for ref in refs:
                    tasks.start_soon(work, ref.ask)
            self.seconds = anyio.current_time() - began


def run(program: Any, seed: int = 2) -> SimulationOutcome:
    outcome = run_simulation(program, seed=seed)
    assert outcome.error is None, outcome.error
    return outcome


@pytest.mark.parametrize(
    ("rate", "burst", "tells"),
    [(10.0, 10, False), pytest.param(50.0, 20, True, marks=pytest.mark.big), (10.0, 10, True)],
)
def test_a_crowd_behind_a_hidden_rate_uses_it_and_nobody_fails(rate: float, burst: int, tells: bool) -> None:  # noqa: FBT001 – a parameter
    crowd = Crowd(rate=rate, burst=burst, retry_after=tells)
    run(crowd)

    served = crowd.provider.served
    assert crowd.errors == []
    assert len(served) == AGENTS * QUERIES
    assert len(served) >= 0.9 * (burst + rate * (served[-1] - served[0]))
    assert len(crowd.provider.refused) <= 0.1 * len(served)


def test_hedges_take_no_place_of_a_crowd_that_waits() -> None:
    plain, hedged = (Crowd(agents=48, hedge=hedge, rate=10.0, burst=10) for hedge in (None, 1.0))
    run(plain)
    run(hedged)

    count = 48 * QUERIES
    assert hedged.errors == []
    assert count <= len(hedged.provider.served) <= 1.1 * count + DEFAULTS.hedge_spare
    assert len(hedged.provider.refused) <= 1.1 * len(plain.provider.refused) + DEFAULTS.hedge_spare
    assert hedged.seconds <= 1.1 * plain.seconds


@pytest.mark.parametrize("tells", [False, pytest.param(True, marks=pytest.mark.big)])
def test_a_crowd_behind_a_hidden_quota_a_minute_uses_it_and_nobody_fails(tells: bool) -> None:  # noqa: FBT001 – a parameter
    crowd = Crowd(rate=0.0, burst=600, window=60.0, retry_after=tells)
    run(crowd)

    served = crowd.provider.served
    whole_minutes = int((served[-1] - served[0]) // 60)
    in_them = [at for at in served if at - served[0] < 60 * whole_minutes]
    assert crowd.errors == []
    assert whole_minutes >= 2
    assert len(in_them) >= 0.9 * 600 * whole_minutes


class Flood:
    """A few urgent questions, alone or while a flood of others waits for the same model."""

    def __init__(self, agents: int, *, questions: int = 100, has_lanes: bool = True) -> None:
        self._agents, self._questions = agents, questions
        self._priorities: tuple[Priority, Priority] = ("high", "low") if has_lanes else ("normal", "normal")
        self.waited: list[float] = []
        self.served = 0

    async def __call__(self, simulation: Simulation) -> None:
        provider = LimitedProvider(10.0, 10, latency=lambda: 1.0)
        async with simulation.mesh() as mesh:
            flood = [mesh.add(LlmAgent(f"flood{number}", provider)) for number in range(self._agents)]
            high, low = self._priorities
            urgent = mesh.add(LlmAgent("urgent", provider)).using(priority=high, timeout=PATIENCE)
            is_over = False

            async def background(ask: Callable[..., Any]) -> None:
                while not is_over:
                    await ask("hi", timeout=PATIENCE)

            async with anyio.create_task_group() as tasks:
                for ref in flood:
                    tasks.start_soon(background, ref.using(priority=low).ask)
                await anyio.sleep(30)  # virtual: the flood has found its pace
                for _ in range(self._questions):
                    began = anyio.current_time()
                    await urgent.ask("hi")
                    self.waited.append(anyio.current_time() - began)
                    await anyio.sleep(0.3)
                self.served = len(provider.served)
                is_over = True
                tasks.cancel_scope.cancel()


def p99(waited: list[float]) -> float:
    return sorted(waited)[int(len(waited) * 0.99) - 1]


def test_the_urgent_are_not_held_up_by_a_flood_in_the_background() -> None:
    alone, flooded = Flood(0), Flood(AGENTS)
    run(alone)
    run(flooded)

    assert flooded.served > 3 * alone.served  # there was a flood
    assert p99(alone.waited) == pytest.approx(1.0, abs=0.1)
    assert p99(flooded.waited) <= p99(alone.waited) + 0.5


def test_without_lanes_the_same_question_waits_behind_the_flood() -> None:
    flooded = Flood(AGENTS, questions=3, has_lanes=False)
    run(flooded)

    assert min(flooded.waited) > 10.0


def test_the_same_seed_gives_the_same_story() -> None:
    first, second = Crowd(rate=10.0, burst=10), Crowd(rate=10.0, burst=10)

    assert run(first, 4).history.digest() == run(second, 4).history.digest()
    assert first.provider.asked == second.provider.asked
