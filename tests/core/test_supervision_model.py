"""Random trees of agents fail at random; what stops and starts, and in which order, is what a model says."""

import random
from typing import Any

import anyio
import pytest

from ceylon import Agent, Context, Mesh, Message, on
from support.family_model import FamilyModel, Kin, plant
from support.law import lawful_mesh
from support.leftovers import eventually, quick

SEEDS = 500
STEPS = 4


class Explode(Message[None], tag="model.explode"):
    """Fail."""


class Relative(Agent):
    """Does what its `Kin` says, and waits for each child before it spawns the next."""

    max_restarts = 100

    def __init__(self, kin: Kin, story: list[str]) -> None:
        super().__init__(kin.name)
        self.kin, self.story = kin, story
        self.strategy = kin.strategy  # type: ignore[assignment]
        self.on_failure = kin.on_failure  # type: ignore[assignment]

    async def on_start(self, context: Context) -> None:
        self.story.append(f"+{self.name}")
        for child in self.kin.children:
            await context.spawn(Relative(child, self.story)).ask("are you there?")

    async def on_stop(self) -> None:
        self.story.append(f"-{self.name}")

    @on
    async def explode(self, explode: Explode) -> None:
        raise ValueError(self.name)

    async def on_message(self, message: Any) -> Any:
        return message


async def act(seed: int, mesh: Mesh, story: list[str]) -> FamilyModel:
    """Let agents fail and be stopped, here and in the model, and wait after each step until the stories agree."""
    root, choose = plant(seed), random.Random(seed)  # noqa: S311 – a test's choice
    model = FamilyModel(root)
    mesh.add(Relative(root, story))
    for step in range(STEPS + 1):
        await eventually(lambda: len(story) >= len(model.story) and is_quiet(mesh))
        assert story == model.story, f"seed {seed}, step {step}: {root}"
        assert sorted(mesh.agents) == model.names
        if step == STEPS or not model.names:
            break
        name = choose.choice(model.names)
        if choose.random() < 0.15:
            model.stop(name)
            await mesh.stop(name)
        else:
            model.fail(name)
            await mesh.tell(name, Explode())
    return model


def is_quiet(mesh: Mesh) -> bool:
    """Say whether every agent runs, and has nothing to do."""
    agents = mesh.statistics().agents.values()
    return all(agent.state == "running" and not agent.pending for agent in agents)


@pytest.mark.parametrize("part", range(10))
async def test_random_families_end_and_begin_as_the_model_says(part: int, anyio_backend: str) -> None:
    for seed in range(2 * part + (anyio_backend == "trio"), SEEDS, 20):  # half of them on each event loop
        story: list[str] = []
        async with lawful_mesh(settings=quick(backoff_first=0.0)) as mesh:
            with anyio.fail_after(20):
                model = await act(seed, mesh, story)
        for name in ["n0"] if model.names else []:
            model.stop(name)
        assert story == model.story, f"seed {seed}, at the end"


def test_the_model_knows_every_strategy_and_directive() -> None:
    kin = [each for seed in range(SEEDS) for each in plant(seed).everyone()]

    assert {each.strategy for each in kin} == {"one_for_one", "one_for_all", "rest_for_one"}
    assert {each.on_failure for each in kin} == {"resume", "restart", "stop", "escalate"}
    assert max(len(plant(seed).everyone()) for seed in range(SEEDS)) >= 10


async def test_a_model_with_a_wrong_order_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FamilyModel, "_take_down", lambda self, name: self.story.append(f"-{name}"))

    with pytest.raises(AssertionError):
        for seed in range(30):
            async with lawful_mesh(settings=quick(backoff_first=0.0)) as mesh:
                await act(seed, mesh, [])
