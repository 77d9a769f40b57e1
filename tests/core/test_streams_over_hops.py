"""A stream through five agents: how far ahead each of them is, and how its end passes through all of them."""

import itertools
from collections.abc import AsyncIterator
from typing import Any, Final

import anyio
import msgspec
import pytest

from ceylon import Agent, AskTimeoutError, Context, HandlerError, Mesh, on
from ceylon.errors import StreamTimeoutError
from ceylon.settings import DEFAULTS
from support.core_agents import Counter, Keeper
from support.law import lawful_mesh
from support.leftovers import tasks_left
from support.virtual_time import run_virtually

both_backends: Final = pytest.mark.parametrize("backend", ["asyncio", "trio"])
HOPS: Final = 5
AT_A_HOP: Final = 2
"""Times the credit that may lie between two agents: the parts taken in one go, and as many that wait for the next."""


class Hop(Agent):
    """Passes the parts of the next agent on."""

    def __init__(self, number: int) -> None:
        super().__init__(f"hop-{number}")
        self.following = f"hop-{number + 1}" if number < HOPS else "source"
        self.passed = 0
        self.left = ""
        self.deadline: float | None = None

    async def on_message(self, message: Any, context: Context) -> AsyncIterator[Any]:
        self.deadline = context.deadline
        try:
            async for part in context.stream(self.following, message, idle_timeout=5):
                self.passed += 1
                yield part
        except BaseException as error:
            self.left = type(error).__name__
            raise
        else:
            self.left = "end"


class Source(Counter):
    """Makes parts, or stalls after so many."""

    def __init__(self, name: str = "source") -> None:
        super().__init__(name)
        self.deadline: float | None = None

    @on
    async def count(self, most: int, context: Context) -> AsyncIterator[int]:  # type: ignore[override]
        self.deadline = context.deadline
        try:
            for number in range(abs(most)):
                self.made += 1
                yield number
            if most < 0:
                await anyio.sleep_forever()
        finally:
            self.closed += 1


def add_hops(mesh: Mesh, source: Agent) -> list[Hop]:
    """Add five agents that pass on what *source* makes; return them, the first is asked."""
    hops = [Hop(number) for number in range(1, HOPS + 1)]
    for agent in (source, *hops):
        mesh.add(agent)
    return hops


def settings(credit: int) -> Any:
    """Return settings for virtual time, in which the watchdog's thread has no place."""
    return msgspec.structs.replace(DEFAULTS, stream_credit=credit, block_warning=None)


@both_backends
@pytest.mark.parametrize("credit", [1, 4, DEFAULTS.stream_credit])
def test_a_slow_consumer_bounds_what_every_agent_on_the_way_is_ahead(backend: str, credit: int) -> None:
    async def main() -> int:
        async with lawful_mesh(settings=settings(credit)) as mesh:
            source = Source()
            hops = add_hops(mesh, source)
            consumed = furthest = 0

            async with mesh.stream("hop-1", 1_000_000) as stream:
                while consumed < 20 * credit:
                    assert await anext(stream) == consumed
                    consumed += 1
                    await anyio.sleep(1)  # an age for all the others
                    counts = [consumed, *(hop.passed for hop in hops), source.made]
                    for after, before in itertools.pairwise(counts):
                        assert before - after <= AT_A_HOP * credit + 2
                    furthest = max(furthest, source.made - consumed)
            await mesh.drain()
            assert furthest <= (HOPS + 1) * (AT_A_HOP * credit + 1)
            assert source.closed == 1
            return furthest

    assert run_virtually(backend, main) > 0


@both_backends
def test_a_consumer_that_leaves_ends_five_agents_and_the_source_at_once(backend: str) -> None:
    async def main() -> None:
        before = tasks_left()
        async with lawful_mesh(settings=settings(4)) as mesh:
            source, keeper = Source(), Keeper("keeper")
            hops = add_hops(mesh, source)
            mesh.add(keeper)

            async with mesh.stream("hop-1", 1_000_000) as stream:
                assert [await anext(stream) for _ in range(10)] == list(range(10))
            left_at = anyio.current_time()
            await mesh.tell("keeper", "tea")
            await mesh.drain()

            assert anyio.current_time() - left_at < 0.05
            agents = mesh.statistics().agents
            assert [agents[hop.name].cancelled for hop in hops] == [1] * HOPS
            assert (agents["source"].cancelled, source.closed, keeper.kept) == (1, 1, ["tea"])
            assert mesh.statistics().timers == 0
            made = source.made
            await anyio.sleep(60)
            assert source.made == made
        await anyio.sleep(1)
        assert not tasks_left() - before

    run_virtually(backend, main)


@both_backends
def test_a_deadline_is_carried_to_the_source_and_ends_everything(backend: str) -> None:
    async def main() -> None:
        async with lawful_mesh(settings=settings(4)) as mesh:
            source = Source()
            hops = add_hops(mesh, source)
            began, taken = anyio.current_time(), list[int]()

            with pytest.raises(AskTimeoutError):
                async for part in mesh.stream("hop-1", 1_000_000, timeout=3):
                    taken.append(part)
                    await anyio.sleep(0.5)
            over = anyio.current_time() - began
            await mesh.drain()

            deadlines = {source.deadline, *(hop.deadline for hop in hops)}
            assert deadlines == {began + 3}
            assert 3 <= over <= 3 + 0.5 * 2 * 4 + 0.5  # the parts at hand are read before the error
            assert taken == list(range(len(taken)))
            assert source.closed == 1
            assert mesh.statistics().timers == 0

    run_virtually(backend, main)


@both_backends
def test_a_source_that_stalls_ends_the_stream_by_its_idle_time_at_every_hop(backend: str) -> None:
    async def main() -> None:
        async with lawful_mesh(settings=settings(4)) as mesh:
            source = Source()
            hops = add_hops(mesh, source)
            began, taken = anyio.current_time(), list[int]()

            with pytest.raises((HandlerError, StreamTimeoutError)) as caught:
                async for part in mesh.stream("hop-1", -10, idle_timeout=60):
                    taken.append(part)
            over = anyio.current_time() - began
            await mesh.drain()

            assert taken == list(range(10))
            assert 5 <= over < 5.05
            root = caught.value.root if isinstance(caught.value, HandlerError) else caught.value
            assert isinstance(root, StreamTimeoutError)
            assert [hop.left != "end" for hop in hops] == [True] * HOPS
            assert (source.closed, mesh.statistics().agents["source"].cancelled) == (1, 1)
            assert mesh.statistics().timers == 0

    run_virtually(backend, main)
