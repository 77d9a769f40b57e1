"""A stream of numbers from one agent (1 hop), and through four others that pass each part on (5 hops).

What a hop costs a part is a fourth of the difference between both, by the part.
"""

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

from benchmarks.contest import Run, Scenario, Section

__all__ = ["stream", "stream_five", "stream_hop"]

stream = Scenario(name="stream", title="stream, parts over 1 hop", size=500_000, quick=10_000)
stream_five = Scenario(name="stream_five", title="stream, parts over 5 hops", size=100_000, quick=2_000)
stream_hop = Scenario(
    name="stream_hop",
    title="stream, a part over one more hop",
    size=100_000,
    quick=2_000,
    shows="figure",
    unit="µs",
    rounds=5,
)
CREDIT = 64


async def _bare(run: Run, hops: int, sizes: list[int]) -> Section:
    """Let a task per hop put parts into a queue that holds as many as Ceylon's streams may be ahead."""
    end = -1

    async def produce(queue: asyncio.Queue[int], parts: int) -> None:
        for number in range(parts):
            await queue.put(number)
        await queue.put(end)

    async def relay(source: asyncio.Queue[int], queue: asyncio.Queue[int]) -> None:
        part = 0
        while part != end:
            part = await source.get()
            await queue.put(part)

    sections = []
    for parts in sizes:
        queues: list[asyncio.Queue[int]] = [asyncio.Queue(CREDIT) for _ in range(hops)]
        with run.timed(parts) as section:
            tasks = [asyncio.create_task(produce(queues[0], parts))]
            tasks += [asyncio.create_task(relay(*pair)) for pair in pairwise(queues)]
            count = 0
            while await queues[-1].get() != end:
                count += 1
        assert count == parts
        sections.append(section)
    return sections[-1]


async def _ceylon(run: Run, hops: int, sizes: list[int]) -> Section:
    """Let a generator handler yield the parts, and others yield what they stream from the next agent."""
    from ceylon import Agent, Context, Mesh

    class Source(Agent):
        """Yields numbers."""

        async def on_message(self, message: int, context: Context) -> AsyncIterator[int]:
            """Yield so many."""
            for number in range(message):
                yield number

    class Relay(Agent):
        """Yields what another one yields."""

        def __init__(self, name: str, following: str) -> None:
            super().__init__(name)
            self.following = following

        async def on_message(self, message: int, context: Context) -> AsyncIterator[Any]:
            """Pass it on."""
            async for part in context.stream(self.following, message):
                yield part

    sections = []
    async with Mesh() as mesh:
        mesh.add(Source("hop-1"))
        for hop in range(2, hops + 1):
            mesh.add(Relay(f"hop-{hop}", f"hop-{hop - 1}"))
        for parts in sizes:
            with run.timed(parts) as section:
                count = 0
                async for _ in mesh.stream(f"hop-{hops}", parts):
                    count += 1
            assert count == parts
            sections.append(section)
        assert mesh.statistics().is_balanced
    return sections[-1]


async def _actors(run: Run, hops: int, sizes: list[int]) -> Section:
    """Let an agent of everything-is-an-actor yield the parts, and others yield what they stream from the next one."""
    from actor_for_agents.agents import AgentActor, AgentSystem, Task
    from actor_for_agents.agents.task import StreamEvent

    class Source(AgentActor[int, list[int]]):
        async def execute(self, input: int) -> AsyncIterator[int]:  # noqa: A002 – its name
            for number in range(input):
                yield number

    class Relay(AgentActor[tuple[int, int], list[int]]):
        async def execute(self, input: tuple[int, int]) -> AsyncIterator[int]:  # noqa: A002 – its name
            left, parts = input
            following, task = (Source, Task(input=parts)) if left == 1 else (Relay, Task(input=(left - 1, parts)))
            async for item in self.context.stream(following, task):
                if isinstance(item, StreamEvent) and item.event.type == "task_chunk":
                    yield item.event.data

    sections = []
    system = AgentSystem("bench")
    for parts in sizes:
        ref = await system.spawn(Source if hops == 1 else Relay, f"agent-{hops}-{parts}")
        task = Task(input=parts) if hops == 1 else Task(input=(hops - 1, parts))
        with run.timed(parts) as section:
            count = 0
            async for item in ref.ask_stream(task):
                count += isinstance(item, StreamEvent) and item.event.type == "task_chunk"
        assert count == parts
        sections.append(section)
    await system.shutdown()
    return sections[-1]


@stream.contender("bare asyncio")
async def bare(run: Run) -> None:
    """Use one task."""
    await _bare(run, 1, list(run.passes()))


@stream.contender("ceylon")
async def ceylon(run: Run) -> None:
    """Use one agent."""
    await _ceylon(run, 1, list(run.passes()))


@stream.contender("everything-is-an-actor", share=0.2)
async def everything_is_an_actor(run: Run) -> None:
    """Use one agent."""
    await _actors(run, 1, list(run.passes()))


@stream_five.contender("bare asyncio")
async def bare_five(run: Run) -> None:
    """Use five tasks."""
    await _bare(run, 5, list(run.passes()))


@stream_five.contender("ceylon")
async def ceylon_five(run: Run) -> None:
    """Use five agents."""
    await _ceylon(run, 5, list(run.passes()))


@stream_five.contender("everything-is-an-actor", share=0.2)
async def everything_is_an_actor_five(run: Run) -> None:
    """Use five agents."""
    await _actors(run, 5, list(run.passes()))


@stream_hop.contender("bare asyncio")
async def bare_hop(run: Run) -> None:
    """Measure both lengths."""
    sizes = list(run.passes())
    one, five = await _bare(run, 1, sizes), await _bare(run, 5, sizes)
    run.figure("stream_hop", (five.seconds - one.seconds) / 4 / run.size * 1e6)


@stream_hop.contender("ceylon")
async def ceylon_hop(run: Run) -> None:
    """Measure both lengths."""
    sizes = list(run.passes())
    one, five = await _ceylon(run, 1, sizes), await _ceylon(run, 5, sizes)
    run.figure("stream_hop", (five.seconds - one.seconds) / 4 / run.size * 1e6)


for _scenario in (stream, stream_five, stream_hop):
    _scenario.without("casty", "an actor answers once; it has no stream of answers")
