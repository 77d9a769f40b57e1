"""Handlers in real threads ask each other in rings, round after round, while slots are lent and leases change."""

import contextlib
import itertools
import random
import threading
import time
from collections.abc import Iterator
from typing import Any, Final

import anyio
import pytest

from ceylon import Agent, BlockingContext, CeylonError, Context, DeadlockError, Mesh, Message, on
from support.core_agents import SECONDS, until
from support.law import lawful_mesh
from support.leftovers import quick

ROUNDS: Final = 25
ASKS: Final = 12
PATIENCE: Final = 30.0  # of the asks; far more than all rounds take


class Walk(Message[int]):
    """Go on to the next of the places, with the rest of the way; return how many were reached."""

    way: tuple[str, ...] = ()


class InThreads(Agent):
    """Walks in worker threads, and counts how many handlers were at work, not waiting, at one time."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._lock = threading.Lock()
        self._at_work = self.at_most = 0

    @on
    def walk(self, walk: Walk, context: BlockingContext) -> int:
        with self._working():
            if not walk.way:
                return 1
        try:
            reached = context.ask(walk.way[0], Walk(walk.way[1:]), timeout=PATIENCE)
        except DeadlockError:
            reached = 0
        with self._working():
            return 1 + reached

    @contextlib.contextmanager
    def _working(self) -> Iterator[None]:
        with self._lock:
            self._at_work += 1
            self.at_most = max(self.at_most, self._at_work)
        time.sleep(0)  # lets another thread in, if one may run
        yield
        with self._lock:
            self._at_work -= 1


class OnTheLoop(Agent):
    """Walks on the loop."""

    @on
    async def walk(self, walk: Walk, context: Context) -> int:
        if not walk.way:
            return 1
        try:
            return 1 + await context.ask(walk.way[0], Walk(walk.way[1:]), timeout=PATIENCE)
        except DeadlockError:
            return 1


def _agents(chance: random.Random) -> list[Agent]:
    agents: list[Agent] = [*(InThreads(f"thread{number}") for number in range(4)), OnTheLoop("loop")]
    for agent in agents:
        agent.concurrency = chance.choice([1, 1, 2, 3, 4])
        agent.reentrant = chance.random() < 0.4
        agent.mailbox_capacity = chance.choice([1, 2, 1_000])
    return agents


@pytest.mark.parametrize("threads", [2, 8])
async def test_no_wake_up_is_missed_and_every_slot_is_given_back(threads: int) -> None:
    chance = random.Random(threads)  # noqa: S311 – no secret
    settings = quick(
        threads=threads, threads_per_agent=2, lease_messages=3, ask_timeout=PATIENCE, tell_timeout=PATIENCE
    )
    for number in range(ROUNDS):
        async with lawful_mesh(settings=settings) as mesh:
            agents = _agents(chance)
            for agent in agents:
                mesh.add(agent)
            with anyio.fail_after(4 * SECONDS):
                await _walk_about(mesh, chance)
                await mesh.drain()
                await _come_to_rest(mesh)
            assert _left(mesh) == [], f"round {number}"
            for agent in agents:
                assert not isinstance(agent, InThreads) or agent.at_most <= agent.concurrency, (
                    f"round {number}: {agent}"
                )


async def _walk_about(mesh: Mesh, chance: random.Random) -> None:
    names = list(mesh.interior.router.cells)
    ways = [tuple(chance.choices(names, k=chance.randrange(1, 7))) for _ in range(ASKS)]
    reached: list[int] = []

    async def walk(way: tuple[str, ...]) -> None:
        reached.append(await mesh.ask(way[0], Walk(way[1:]), timeout=PATIENCE))

    async with anyio.create_task_group() as tasks:
        for way in ways:
            tasks.start_soon(walk, way)
        for name in itertools.islice(itertools.cycle(names), ASKS):
            tasks.start_soon(_tell, mesh, name)
    assert len(reached) == ASKS


async def _tell(mesh: Mesh, name: str) -> None:
    try:
        await mesh.tell(name, Walk())
    except CeylonError as error:  # pragma: no cover – says more than a count
        raise AssertionError(name) from error


async def _come_to_rest(mesh: Mesh) -> None:
    """Wait until the threads have given back what they hold; they say so a moment after the last message."""
    cells = mesh.interior.router.cells.values()
    await until(lambda: not any(cell.leases for cell in cells))


def _left(mesh: Mesh) -> list[Any]:
    cells = mesh.interior.router.cells.values()
    return [
        (cell, cell.slots, cell.loans, cell.guests)
        for cell in cells
        if cell.running or cell.loans or cell.guests or cell.slots != cell.options.concurrency or cell.parked
    ] + list(mesh.interior.router.calls)
