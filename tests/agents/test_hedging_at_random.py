"""Hedged queries in simulation: whatever is slow, fails or is given up, each is answered once, and nobody is left."""

from typing import Any, Final

import anyio
import msgspec
import pytest

from ceylon import LlmAgent
from ceylon.agents.seat import Seat
from ceylon.errors import CeylonError, ModelStatusError, ModelTimeoutError
from ceylon.models.hedging import Race
from ceylon.settings import DEFAULTS
from ceylon.testing import Simulation, run_simulation
from support.lagging import Lagging
from support.sabotaged import replaced

HEDGE: Final = 1.0
QUERIES: Final = 8
ERRORS: Final = (
    ModelStatusError("m", 500, "ill", should_retry=False),
    ModelStatusError("m", 400, "no"),
    ModelTimeoutError("m", 1.0),
)


class Queries:
    """Some agents that hedge, and those who ask them."""

    def __init__(self) -> None:
        self.models: list[Lagging] = []
        self.told: list[Any] = []

    async def __call__(self, simulation: Simulation) -> None:
        chance = simulation.random
        self.models = [Lagging(name=f"openai::{name}") for name in "abc"]
        for model in self.models:
            model.says = [(chance.choice((0.1, 0.9, 1.5, 4.0)), self._said(chance, model)) for _ in range(4 * QUERIES)]
        settings = msgspec.structs.replace(DEFAULTS, hedge_share=1.0, retry_tries=1)
        async with simulation.mesh(settings=settings) as mesh:
            agents = [
                LlmAgent("one", self.models[0], hedge=HEDGE),
                LlmAgent("two", self.models[0], fallback=self.models[1], hedge=HEDGE),
                LlmAgent("three", self.models[2], fallback=self.models[:2], hedge=HEDGE),
            ]
            async with anyio.create_task_group() as tasks:
                for agent in agents:
                    mesh.add(agent)
                for _ in range(QUERIES):
                    tasks.start_soon(self._ask, chance.choice(agents), chance.random() < 0.5, chance.uniform(0.5, 20.0))
            await anyio.sleep(0.05)  # those who gave up do not wait for what they left
            assert [model.under_way for model in self.models] == [0, 0, 0]
            sessions = await Seat(mesh.interior, "nobody", 1).sessions()
            assert [sessions.governor(model).under_way for model in self.models] == [0, 0, 0]

    @staticmethod
    def _said(chance: Any, model: Lagging) -> Any:
        return chance.choice(ERRORS) if chance.random() < 0.25 else f"said by {model.name}"

    async def _ask(self, agent: LlmAgent, is_streamed: bool, patience: float) -> None:  # noqa: FBT001 – drawn
        try:
            with anyio.move_on_after(patience):
                if is_streamed:
                    words = [part async for part in agent.stream("hi")]
                    assert words == ["said", "by", words[-1]]
                else:
                    words = (await agent.complete("hi")).text.split()
                self.told.append(words[-1])
                return
            self.told.append("nothing in time")
        except CeylonError as error:
            self.told.append(type(error))

    @property
    def asked(self) -> int:
        return sum(len(model.asked) for model in self.models)


def run(seed: int, backend: str) -> Queries:
    queries = Queries()
    outcome = run_simulation(queries, seed=seed, backend=backend)
    assert outcome.error is None, f"seed {seed}: {outcome.error!r}"
    assert outcome.violations == [], f"seed {seed}"
    assert len(queries.told) == QUERIES, f"seed {seed}"
    return queries


@pytest.mark.parametrize(
    ("backend", "seeds"),
    [
        ("asyncio", range(8)),
        ("trio", range(100, 104)),
        pytest.param("asyncio", range(8, 80), marks=pytest.mark.slow),
        pytest.param("trio", range(104, 124), marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_each_query_is_answered_once_and_leaves_nobody_at_work(backend: str, seeds: range) -> None:
    runs = [run(seed, backend) for seed in seeds]

    told = [each for queries in runs for each in queries.told]
    assert len(set(told)) >= 3
    assert len(told) < sum(queries.asked for queries in runs) <= 4 * len(told)  # three models in order, and a hedge


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_same_seed_gives_the_same_run(backend: str) -> None:
    one, other = run(3, backend), run(3, backend)

    assert one.told == other.told
    assert [model.asked for model in one.models] == [model.asked for model in other.models]


def test_a_loser_that_goes_on_is_found() -> None:
    ask_second = Race._ask_second  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] – sabotage comes from inside

    async def stubborn(self: Race[Any]) -> None:
        with anyio.CancelScope(shield=True):
            await ask_second(self)

    with replaced(Race, "_ask_second", stubborn), pytest.raises(AssertionError, match="seed"):
        for seed in range(80):  # about one in fifteen shows it
            run(seed, "asyncio")
