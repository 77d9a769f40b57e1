"""How often agents begin again before they are given up: exact at the edge of the period, bounded in a crash loop."""

import random
from collections import deque
from typing import Any

import anyio
import pytest

from ceylon import Agent, Context, Mesh, Message, Terminated, on
from ceylon.core.ports import AgentOptions, Strategy
from ceylon.core.supervision import Supervisor
from support.law import lawful_mesh
from support.leftovers import quick
from support.virtual_time import run_virtually

TICK = 2**-10
"""About a millisecond, and exact in floating point."""

BACKENDS = ["asyncio", "trio"]
ALLOWED = 2  # restarts of a `Brittle`


def _options(**changes: Any) -> AgentOptions:
    return AgentOptions(1, None, None, "restart", takes_keys=False, **changes)


# -- the edge ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("offset", [-TICK, 0.0, TICK])
@pytest.mark.parametrize("allowed", range(1, 12))
def test_a_restart_exactly_the_period_ago_counts_no_more(allowed: int, offset: float) -> None:
    supervisor = Supervisor(quick(), random.Random(1))  # noqa: S311 – jitter
    options = _options(max_restarts=allowed, restart_period=30.0)

    for begin in range(7):
        failures: deque[float] = deque()
        granted = [supervisor.may_restart(failures, float(begin), options) for _ in range(allowed)]

        assert granted == [True] * allowed
        assert supervisor.may_restart(failures, begin + 30.0 + offset, options) is (offset >= 0)


def test_restarts_that_were_refused_do_not_count() -> None:
    supervisor = Supervisor(quick(), random.Random(1))  # noqa: S311 – jitter
    failures: deque[float] = deque()
    options = _options(max_restarts=1, restart_period=30.0)

    said = [supervisor.may_restart(failures, now, options) for now in (0.0, 29.0, 29.5, 30.0)]

    assert said == [True, False, False, True]
    assert len(failures) == 1


def test_very_many_restarts_still_have_a_pause() -> None:
    supervisor = Supervisor(quick(backoff_most=10.0), random.Random(1))  # noqa: S311 – jitter

    assert 0 <= supervisor.pause(deque([0.0] * 5000)) <= 10.0


class Explode(Message[None], tag="intensity.explode"):
    """Fail."""


class Brittle(Agent):
    """Fails at every message, and notes when each instance was made."""

    on_failure = "restart"
    max_restarts = ALLOWED
    restart_period = 30.0

    def __init__(self, name: str, made: list[float]) -> None:
        super().__init__(name)
        self.made = made
        made.append(anyio.current_time())

    @on
    async def explode(self, explode: Explode) -> None:
        raise ValueError("boom")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("offset", "survives"), [(-TICK, False), (0.0, True), (TICK, True)])
def test_the_edge_is_where_it_is_also_for_an_agent(offset: float, survives: bool, backend: str) -> None:  # noqa: FBT001
    made: list[float] = []

    async def main() -> bool:
        async with lawful_mesh(settings=quick(backoff_first=0.0)) as mesh:
            brittle = mesh.add(Brittle("brittle", made))
            begun = anyio.current_time()
            for when in (0.0, 1.0, 30.0 + offset):
                await anyio.sleep_until(begun + when)
                await brittle.tell(Explode())
            await anyio.sleep_until(begun + 40)
            return "brittle" in mesh.agents

    assert run_virtually(backend, main) is survives
    assert len(made) == (4 if survives else 3)


class Family(Agent):
    """Has two brittle children."""

    def __init__(self, name: str, strategy: Strategy, made: list[float]) -> None:
        super().__init__(name)
        self.strategy = strategy
        self.made = made

    max_restarts = 3  # of its children, when they begin again together

    async def on_start(self, context: Context) -> None:
        for name in ("left", "right"):
            context.spawn(Brittle(name, self.made))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("strategy", "agents", "restarts"),
    [
        ("one_for_one", ["family", "left", "right"], 4),
        ("one_for_all", ["family", "right"], 3 * 2),
        ("rest_for_one", ["family", "right"], 1 + 2 + 1),
    ],
)
def test_siblings_that_begin_again_together_are_counted_together(
    strategy: Strategy, agents: list[str], restarts: int, backend: str
) -> None:
    async def main() -> None:
        async with lawful_mesh(settings=quick(backoff_first=0.0)) as mesh:
            mesh.add(Family("family", strategy, []))
            for name in ("right", "left") * 2:
                await anyio.sleep(1)
                await mesh.tell(name, Explode())
            await anyio.sleep(1)
            statistics = mesh.statistics()
            there = [statistics.stopped_agents, *statistics.agents.values()]
            assert (mesh.agents, sum(agent.restarts for agent in there)) == (agents, restarts)

    run_virtually(backend, main)


# -- levels ------------------------------------------------------------------------------------------------------------


class Level(Agent):
    """One of several nested levels; the innermost fails as soon as it has begun."""

    on_failure = "restart"
    restart_period = 3600.0

    def __init__(self, name: str, below: int, allowed: int, made: list[str]) -> None:
        super().__init__(name)
        self.below, self.allowed, self.made = below, allowed, made
        self.max_restarts = allowed
        made.append(name)

    async def on_start(self, context: Context) -> None:
        if self.below:
            context.spawn(Level(f"level{self.below - 1}", self.below - 1, self.allowed, self.made))
        else:
            context.ref().tell_nowait(Explode())

    @on
    async def explode(self, explode: Explode) -> None:
        raise ValueError("boom")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("levels", "allowed"), [(1, 0), (1, 5), (2, 3), (3, 2), (4, 1)])
def test_restarts_of_nested_levels_multiply(levels: int, allowed: int, backend: str) -> None:
    made: list[str] = []

    async def main() -> None:
        async with lawful_mesh(settings=quick()) as mesh:
            mesh.add(Level(f"level{levels - 1}", levels - 1, allowed, made))
            while mesh.agents:  # noqa: ASYNC110 – virtual time
                await anyio.sleep(1)

    run_virtually(backend, main)

    for level in range(levels):
        assert made.count(f"level{level}") == (allowed + 1) ** (levels - level)


# -- loops -------------------------------------------------------------------------------------------------------------


def _most_within(moments: list[float], period: float) -> int:
    return max(sum(begin <= moment < begin + period for moment in moments) for begin in moments)


class Stubborn(Agent):
    """Spawns its child again whenever that has been given up, a while later."""

    def __init__(self, name: str, made: list[float]) -> None:
        super().__init__(name)
        self.made = made

    async def on_start(self, context: Context) -> None:
        await self.again("again", context)

    @on
    async def wait(self, ended: Terminated, context: Context) -> None:
        context.after(30.0, "again")

    @on
    async def again(self, word: str, context: Context) -> None:
        context.spawn(Brittle("brittle", self.made))
        context.watch("brittle")


@pytest.mark.parametrize("backend", BACKENDS)
def test_ten_minutes_of_crashes_stay_within_the_policy(backend: str) -> None:
    made: list[float] = []
    sent = 0

    async def main() -> Mesh:
        nonlocal sent
        async with lawful_mesh(settings=quick()) as mesh:
            mesh.add(Stubborn("stubborn", made))
            while anyio.current_time() < 600:
                await anyio.sleep(0.5)
                if "brittle" in mesh.agents:
                    await mesh.tell("brittle", Explode())
                    sent += 1
            return mesh

    mesh = run_virtually(backend, main)

    assert _most_within(made, 30.0) <= ALLOWED + 1
    assert 40 <= len(made) <= 600 / 30 * (ALLOWED + 1)
    kept = [letter.envelope.message for letter in mesh.dead_letters()]
    assert kept.count(Explode()) == sent  # every message is accounted for


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_agent_that_fails_just_seldom_enough_is_never_given_up(backend: str) -> None:
    made: list[float] = []

    async def main() -> list[str]:
        async with lawful_mesh(settings=quick(backoff_first=0.0)) as mesh:
            brittle = mesh.add(Brittle("brittle", made))
            while anyio.current_time() < 600:
                await brittle.tell(Explode())
                await anyio.sleep(15.0)
            return mesh.agents

    assert run_virtually(backend, main) == ["brittle"]
    assert len(made) == 41
    assert _most_within(made[1:], 30.0) == ALLOWED
