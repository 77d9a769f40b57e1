"""Stopping in order while 10,000 messages wait, 200 with each of 50 agents; `handled` is how many still were."""

import asyncio
from dataclasses import dataclass

from benchmarks.contest import Run, Scenario

__all__ = ["stop"]

WAITING = 200
stop = Scenario(name="stop", title="stop with 10,000 messages pending", size=50, quick=50, shows="cost", unit="ms")


@stop.contender("bare asyncio")
async def bare(run: Run) -> None:
    """Tell each task to end behind what waits, and wait for all."""
    count = 0

    async def serve(queue: asyncio.Queue[int]) -> None:
        nonlocal count
        while True:
            number = await queue.get()
            if not number:
                return
            count += number

    queues: list[asyncio.Queue[int]] = [asyncio.Queue(1_000) for _ in range(run.size)]
    serving = [asyncio.create_task(serve(queue)) for queue in queues]
    await asyncio.sleep(0)
    for queue in queues:
        for _ in range(WAITING):
            queue.put_nowait(1)
    with run.timed(1):
        for queue in queues:
            queue.put_nowait(0)
        await asyncio.gather(*serving)
    run.figure("handled", count)
    assert count == run.size * WAITING


@stop.contender("ceylon")
async def ceylon(run: Run) -> None:
    """Stop the mesh, which drains it."""
    from ceylon import Agent, Context, Mesh

    class Counter(Agent):
        """Counts."""

        def __init__(self, name: str) -> None:
            super().__init__(name)
            self.count = 0

        async def on_message(self, message: int, context: Context) -> None:
            """Count it."""
            self.count += message

    mesh = await Mesh().start()
    counters = [Counter(f"agent-{number}") for number in range(run.size)]
    for counter in counters:
        await mesh.add(counter).ask(0)
    refs = [mesh.ref(counter.name) for counter in counters]
    for ref in refs:
        for _ in range(WAITING):
            ref.tell_nowait(1)
    with run.timed(1):
        await mesh.stop()
    handled = sum(counter.count for counter in counters)
    run.figure("handled", handled)
    assert handled == run.size * WAITING
    assert mesh.statistics().is_balanced


@stop.contender("everything-is-an-actor")
async def everything_is_an_actor(run: Run) -> None:
    """Shut the system down."""
    from actor_for_agents import Actor, ActorSystem

    count = 0

    class Counter(Actor[int, int]):
        async def on_receive(self, message: int) -> int:
            nonlocal count
            count += message
            return count

    system = ActorSystem()
    refs = [await system.spawn(Counter, f"agent-{number}") for number in range(run.size)]
    await refs[-1].ask(0)
    for ref in refs:
        for _ in range(WAITING):
            await ref.tell(1)
    with run.timed(1):
        await system.shutdown()
    run.figure("handled", count)


@stop.contender("casty")
async def casty(run: Run) -> None:
    """Leave the system's block."""
    from casty import ActorSystem, Askable, Context, actor

    count = 0

    @dataclass(frozen=True)
    class Add(Askable[int]):
        number: int

    @actor(initial=0)
    async def counter(ctx: Context[int, Add]) -> None:
        nonlocal count
        async for message in ctx.inbox:
            count += message.number
            if not message.number:
                message.reply_to.tell(count)

    system = ActorSystem()
    await system.__aenter__()
    refs = [system.ref(counter, f"agent-{number}") for number in range(run.size)]
    for ref in refs:
        await ref.ask(Add(0))
    message = Add(1)
    for ref in refs:
        for _ in range(WAITING):
            ref.tell(message)
    with run.timed(1):
        await system.__aexit__(None, None, None)
    run.figure("handled", count)
