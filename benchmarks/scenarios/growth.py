"""How the cost of a message grows with the number of agents and with how full the mailbox is; 1 is flat.

*agents*: the same agent is used while it is alone, and again while so many idle ones are beside it. *spread*: asks go
to one agent after the other, so that the processor's caches are of no help either; the floor shows what that costs
anybody. *depth*: a mailbox is filled to 1 (or 10, 100) and emptied, and to its bound and emptied; *in flight*: one
asker, and as many as the mailbox holds.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from benchmarks.contest import Run, Scenario

__all__ = ["growth_ask", "growth_depth", "growth_in_flight", "growth_spread", "growth_tell"]

BOUND = 1_000
MESSAGES = 50_000


def _scenario(name: str, title: str, size: int = 100_000, quick: int = 2_000, floor: str = "bare asyncio") -> Scenario:
    options: Any = {"floor": floor, "shows": "figure", "unit": "×", "loops": ("asyncio",), "rounds": 5}
    return Scenario(name=name, title=f"growth: {title}", size=size, quick=quick, **options)


growth_tell = _scenario("growth_tell", "a tell, from 1 to 100,000 agents", floor="")
growth_ask = _scenario("growth_ask", "an ask, from 1 to 100,000 agents", floor="")
growth_spread = _scenario("growth_spread", "an ask, from 1 to 100,000 agents, to each in turn")
growth_depth = _scenario("growth_depth", "a tell, from mailbox depth 1 to the bound", MESSAGES, 2_000)
growth_in_flight = _scenario("growth_in_flight", "an ask, from 1 in flight to the bound", MESSAGES, 2_000)


async def _cost(run: Run, messages: int, work: Callable[[int], Awaitable[Any]]) -> float:
    """Return the seconds that one of *messages* costs: the least of three times, after a warm-up."""
    await work(max(BOUND, messages // 10))
    least = sys.float_info.max
    for _ in range(3):
        with run.timed(messages) as section:
            await work(messages)
        least = min(least, section.seconds)
    return least / messages


async def _askers(messages: int, ask: Callable[[], Awaitable[Any]]) -> None:
    async def asker() -> None:
        for _ in range(messages // BOUND):
            await ask()

    await asyncio.gather(*(asker() for _ in range(BOUND)))


class Bare:
    """A queue and the task that serves it: the floor."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[asyncio.Future[int] | None] = asyncio.Queue(BOUND)
        self.task = asyncio.create_task(self.serve())

    async def serve(self) -> None:
        """Answer everything."""
        while True:
            future = await self.queue.get()
            if future is not None:
                future.set_result(1)
            self.queue.task_done()

    async def ask(self) -> int:
        """Put a future and wait for it."""
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        await self.queue.put(future)
        return await future


@growth_spread.contender("bare asyncio")
async def bare_spread(run: Run) -> None:
    """Ask one, then each of so many."""
    alone = Bare()

    async def one(messages: int) -> None:
        for _ in range(messages):
            await alone.ask()

    async def each(messages: int) -> None:
        for at in range(messages):
            await many[at % len(many)].ask()

    first = await _cost(run, MESSAGES, one)
    many = [Bare() for _ in range(run.size)]
    await asyncio.sleep(0)
    run.figure("growth_spread", await _cost(run, max(run.size, MESSAGES), each) / first)


@growth_depth.contender("bare asyncio")
async def bare_depth(run: Run) -> None:
    """Fill a queue and empty it."""
    bare = Bare()

    async def fill(messages: int, depth: int) -> None:
        for _ in range(messages // depth):
            for _ in range(depth):
                bare.queue.put_nowait(None)
            await bare.queue.join()

    await _depths(run, fill)


@growth_in_flight.contender("bare asyncio")
async def bare_in_flight(run: Run) -> None:
    """Ask one after the other, then under `gather`."""
    bare = Bare()
    await _in_flight(run, bare.ask)


async def _depths(run: Run, fill: Callable[..., Awaitable[None]]) -> None:
    depths = (1, 10, 100, BOUND)
    costs = {depth: await _cost(run, run.size, partial(fill, depth=depth)) for depth in depths}
    run.figure("growth_depth", costs[BOUND] / costs[1])
    for depth in (10, 100):
        run.figure(f"to depth {depth}", costs[depth] / costs[1])


async def _in_flight(run: Run, ask: Callable[[], Awaitable[Any]]) -> None:
    async def one(messages: int) -> None:
        for _ in range(messages):
            await ask()

    alone = await _cost(run, run.size, one)
    run.figure("growth_in_flight", await _cost(run, run.size, lambda messages: _askers(messages, ask)) / alone)


async def _ceylon(run: Run, measure: Callable[[Any, Any, Callable[[], None]], Awaitable[None]]) -> None:
    """Give *measure* a mesh, the ref of an agent in it, and what adds the crowd."""
    from ceylon import Agent, Context, Mesh

    class Answerer(Agent):
        """Answers."""

        async def on_message(self, message: int, context: Context) -> int:
            """Give it back."""
            return message

    def add_crowd() -> None:
        for number in range(run.size):
            mesh.add(Answerer(f"agent-{number}"))

    async with Mesh() as mesh:
        await measure(mesh, mesh.add(Answerer("one")), add_crowd)
        await mesh.drain()
        assert mesh.statistics().is_balanced


@growth_tell.contender("ceylon")
async def ceylon_tell(run: Run) -> None:
    """Tell the same agent, alone and in the crowd."""

    async def measure(mesh: Any, ref: Any, add_crowd: Callable[[], None]) -> None:
        async def tell(messages: int) -> None:
            for _ in range(messages):
                await ref.tell(1)
            await mesh.drain()

        alone = await _cost(run, MESSAGES, tell)
        add_crowd()
        run.figure("growth_tell", await _cost(run, MESSAGES, tell) / alone)

    await _ceylon(run, measure)


@growth_ask.contender("ceylon")
async def ceylon_ask(run: Run) -> None:
    """Ask the same agent, alone and in the crowd."""

    async def measure(_: Any, ref: Any, add_crowd: Callable[[], None]) -> None:
        async def ask(messages: int) -> None:
            for _ in range(messages):
                await ref.ask(1)

        alone = await _cost(run, MESSAGES, ask)
        add_crowd()
        run.figure("growth_ask", await _cost(run, MESSAGES, ask) / alone)

    await _ceylon(run, measure)


@growth_spread.contender("ceylon")
async def ceylon_spread(run: Run) -> None:
    """Ask one, then each of so many."""

    async def measure(mesh: Any, ref: Any, add_crowd: Callable[[], None]) -> None:
        refs = [ref]

        async def ask(messages: int) -> None:
            for at in range(messages):
                await refs[at % len(refs)].ask(1)

        alone = await _cost(run, MESSAGES, ask)
        add_crowd()
        refs = [mesh.ref(f"agent-{number}") for number in range(run.size)]
        run.figure("growth_spread", await _cost(run, max(run.size, MESSAGES), ask) / alone)

    await _ceylon(run, measure)


@growth_depth.contender("ceylon")
async def ceylon_depth(run: Run) -> None:
    """Fill a mailbox and drain it."""

    async def measure(mesh: Any, ref: Any, _: Callable[[], None]) -> None:
        async def fill(messages: int, depth: int) -> None:
            for _ in range(messages // depth):
                for _ in range(depth):
                    ref.tell_nowait(1)
                await mesh.drain()

        await _depths(run, fill)

    await _ceylon(run, measure)


@growth_in_flight.contender("ceylon")
async def ceylon_in_flight(run: Run) -> None:
    """Ask one after the other, then under `gather`."""

    async def measure(_: Any, ref: Any, __: Callable[[], None]) -> None:
        await _in_flight(run, lambda: ref.ask(1))

    await _ceylon(run, measure)
