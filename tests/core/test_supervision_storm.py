"""Families under fire: failures, stops and spawns at once, in random order; whatever happens, lives stay in order."""

import random
from collections import Counter
from typing import Any

import anyio
import pytest

from ceylon import Agent, Context, Mesh, Message, on
from ceylon.errors import CeylonError
from support.family_model import Kin, plant
from support.law import lawful_mesh
from support.leftovers import quick
from support.virtual_time import run_virtually


class Explode(Message[None], tag="storm.explode"):
    """Fail."""


class Work(Message[int], tag="storm.work"):
    """Take a while."""

    seconds: float


class Lives:
    """Every instance that is alive, under its parent's; says when a life is out of order."""

    def __init__(self) -> None:
        self.alive: dict[Relative, Relative | None] = {}
        self.counts: Counter[str] = Counter()
        self.complaints: list[str] = []

    def begin(self, agent: "Relative") -> None:
        if agent in self.alive or any(other.name == agent.name for other in self.alive):
            self.complaints.append(f"{agent.name} begins while it is there")
        self.alive[agent] = agent.above
        self.counts["begun"] += 1

    def fail(self, agent: "Relative") -> None:
        del self.alive[agent]
        self.counts["ended"] += 1

    def end(self, agent: "Relative") -> None:
        if agent not in self.alive:
            self.complaints.append(f"{agent.name} ends and is not there")
        orphans = [other.name for other, above in self.alive.items() if above is agent]
        if orphans:
            self.complaints.append(f"{agent.name} ends before {orphans}")
        self.alive.pop(agent, None)
        self.counts["ended"] += 1


class Relative(Agent):
    """Does what its `Kin` says; all its hooks take some time, and some starts fail."""

    concurrency = 2
    max_restarts = 3
    restart_period = 5.0

    def __init__(self, kin: Kin, lives: Lives, above: "Relative | None", choose: random.Random) -> None:
        super().__init__(kin.name)
        self.kin, self.lives, self.above, self.choose = kin, lives, above, choose
        self.strategy = kin.strategy  # type: ignore[assignment]
        self.on_failure = kin.on_failure  # type: ignore[assignment]
        self.has_begun = False

    async def on_start(self, context: Context) -> None:
        await anyio.sleep(self.choose.random() * 0.1)
        if self.choose.random() < 0.1:
            raise OSError(self.name)
        self.has_begun = True
        self.lives.begin(self)
        try:
            await self.spawn_children(context)
        except CeylonError:  # the mesh is stopping; who has not started does not stop
            self.lives.fail(self)
            raise

    async def spawn_children(self, context: Context) -> None:
        for child in self.kin.children:
            context.spawn(Relative(child, self.lives, self, self.choose))
            context.watch(child.name)
            await anyio.sleep(self.choose.random() * 0.05)

    async def on_stop(self) -> None:
        if self.has_begun:
            await anyio.sleep(self.choose.random() * 0.1)
            self.lives.end(self)

    @on
    async def explode(self, explode: Explode) -> None:
        raise ValueError(self.name)

    @on
    async def work(self, work: Work) -> int:
        await anyio.sleep(work.seconds)
        return 1

    async def on_message(self, message: Any) -> None:
        self.lives.counts["told"] += 1


async def rage(mesh: Mesh, choose: random.Random, root: Kin) -> None:
    """Do something to somebody, again and again."""
    names = [kin.name for kin in root.everyone()]
    for _ in range(40):
        name = choose.choice(names)
        try:
            match choose.randrange(8):
                case 0 | 1 | 2:
                    mesh.tell_nowait(name, Explode())
                case 3 | 4:
                    mesh.tell_nowait(name, Work(choose.random()))
                case 5:
                    await mesh.ask(name, Work(0.01), timeout=0.3)
                case 6 if choose.random() < 0.3:
                    await mesh.stop(name, at_once=choose.random() < 0.5)
                case _:
                    mesh.tell_nowait(name, "hello")
        except CeylonError:
            pass
        await anyio.sleep(choose.random() * 0.2)


async def storm(seed: int) -> Lives:
    """Let a family live through it; return what there was to see."""
    choose, root, lives = random.Random(seed), plant(seed), Lives()  # noqa: S311 – a test's choice
    async with lawful_mesh(settings=quick(backoff_first=0.05, drain_timeout=1.0, stop_grace=10.0)) as mesh:
        for number in range(3):
            family = _renamed(root, f"f{number}-")
            mesh.add(Relative(family, lives, None, choose))
        async with anyio.create_task_group() as group:
            for number in range(3):
                group.start_soon(rage, mesh, choose, _renamed(root, f"f{number}-"))
        began = anyio.current_time()
    assert anyio.current_time() - began < 11.0
    return lives


def _renamed(kin: Kin, prefix: str) -> Kin:
    return Kin(
        prefix + kin.name, kin.strategy, kin.on_failure, tuple(_renamed(child, prefix) for child in kin.children)
    )


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("part", range(5))
def test_lives_stay_in_order_in_a_storm(part: int, backend: str) -> None:
    seen: Counter[str] = Counter()
    for seed in range(part, 60, 5):
        lives = run_virtually(backend, lambda seed=seed: storm(seed))  # type: ignore[misc]
        assert (lives.complaints, list(lives.alive)) == ([], []), f"seed {seed}"
        assert lives.counts["begun"] == lives.counts["ended"]
        seen += lives.counts
    assert seen["begun"] > 12 * 6  # it was one


def test_a_life_out_of_order_is_found_out() -> None:
    class Backwards(Lives):
        def end(self, agent: Relative) -> None:
            if agent.above is None:
                super().end(agent)

    lives, choose = Backwards(), random.Random(1)  # noqa: S311 – a test's choice

    async def main() -> None:
        async with lawful_mesh() as mesh:
            mesh.add(
                Relative(
                    Kin("top", "one_for_one", "resume", (Kin("low", "one_for_one", "resume"),)), lives, None, choose
                )
            )
            await anyio.sleep(1)

    run_virtually("asyncio", main)

    assert lives.complaints == ["top ends before ['low']"]
