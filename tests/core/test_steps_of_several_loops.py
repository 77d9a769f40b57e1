"""Loops in several threads, and meshes on one loop, step without getting into each other's way."""

import asyncio
import threading
import traceback
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from ceylon import Agent, Mesh
from ceylon.core.backends.steps import Parking, steps_of

LONG = 60.0
"""Seconds; nobody waits so long unless something is broken."""


def _turn_of_loop(_: asyncio.AbstractEventLoop) -> None:
    """What a task yields that gives way for one turn."""


def _answer(loop: asyncio.AbstractEventLoop) -> "asyncio.Future[None]":
    """Return what a task yields that waits for an answer, which comes."""
    awaited = loop.create_future()
    awaited._asyncio_future_blocking = True  # noqa: SLF001 – as `await` does
    loop.call_soon(awaited.set_result, None)
    return awaited


@pytest.mark.parametrize("make", [_turn_of_loop, _answer])
def test_tasks_of_two_loops_may_go_on_in_the_same_moment(make: Callable[[asyncio.AbstractEventLoop], Any]) -> None:
    meeting = threading.Barrier(2)
    ended: list[str] = []

    class Meeting(Parking):
        def _go_on(self, _: object = None) -> None:
            meeting.wait(LONG)
            super()._go_on()

    async def wait() -> None:
        steps = steps_of(asyncio.get_running_loop())
        place = Meeting(loop=steps.loop)
        place.variables = steps.no_variables
        place.stand_for(make(steps.loop))
        steps.loop.set_exception_handler(lambda _, context: place.set_exception(context["exception"]))
        await place
        ended.append(threading.current_thread().name)

    def run() -> None:
        try:
            asyncio.run(wait())
        except RuntimeError:
            meeting.abort()

    threads = [threading.Thread(target=run, name=name) for name in ("first", "second")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(ended) == ["first", "second"]


class Hop(Agent):
    """Asks on, each time in the next mesh of several; the last says how deep the stack was at its deepest."""

    def __init__(self, name: str, meshes: list[Mesh]) -> None:
        super().__init__(name)
        self._meshes = meshes

    async def on_message(self, left: int) -> int:
        here = sum(1 for _ in traceback.walk_stack(None))
        following = self._meshes[left % len(self._meshes)]
        return max(here, await following.ask(f"hop-{left - 1}", left - 1)) if left else here


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_chain_through_many_meshes_takes_no_more_of_the_stack_than_one_through_one() -> None:
    deepest: dict[int, int] = {}
    for count in (1, 8):
        async with AsyncExitStack() as stack:
            meshes = [Mesh(f"mesh-{number}", max_hops=100) for number in range(count)]
            for mesh in meshes:
                await stack.enter_async_context(mesh)
            for number in range(81):
                meshes[(number + 1) % count].add(Hop(f"hop-{number}", meshes))
            deepest[count] = max([await meshes[81 % count].ask("hop-80", 80) for _ in range(5)])

    assert deepest[8] <= deepest[1]
