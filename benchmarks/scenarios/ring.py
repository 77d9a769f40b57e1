"""A token goes round a ring of a thousand agents; the hop limit is raised where there is one."""

import asyncio
from dataclasses import dataclass

from benchmarks.contest import Run, Scenario

__all__ = ["ring"]

RING = 1_000
ring = Scenario(name="ring", title="thread-ring of 1,000 agents", size=200_000, quick=10_000)


@ring.contender("bare asyncio")
async def bare(run: Run) -> None:
    """Use a thousand tasks with a queue each."""
    queues: list[asyncio.Queue[int]] = [asyncio.Queue(1_000) for _ in range(RING)]
    done = asyncio.Event()

    async def serve(mine: asyncio.Queue[int], following: asyncio.Queue[int]) -> None:
        while True:
            left = await mine.get()
            if left:
                await following.put(left - 1)
            else:
                done.set()

    serving = [asyncio.create_task(serve(queues[at], queues[(at + 1) % RING])) for at in range(RING)]
    for messages in run.passes():
        done.clear()
        with run.timed(messages):
            await queues[0].put(messages - 1)
            await done.wait()
    for task in serving:
        task.cancel()


@ring.contender("ceylon")
async def ceylon(run: Run) -> None:
    """Let a thousand agents tell the next one."""
    from ceylon import Agent, Context, Mesh

    class Link(Agent):
        """Passes the token on."""

        def __init__(self, name: str, following: str) -> None:
            super().__init__(name)
            self.following = following

        async def on_message(self, message: int, context: Context) -> None:
            """Pass it on, unless it has gone far enough."""
            if message:
                await context.tell(self.following, message - 1)

    async with Mesh(max_hops=run.size) as mesh:
        for at in range(RING):
            mesh.add(Link(f"link-{at}", f"link-{(at + 1) % RING}"))
        for messages in run.passes():
            with run.timed(messages):
                await mesh.tell("link-0", messages - 1)
                await mesh.drain()
        statistics = mesh.statistics()
        assert statistics.is_balanced
        assert sum(each.completed for each in statistics.agents.values()) == run.total


@ring.contender("everything-is-an-actor")
async def everything_is_an_actor(run: Run) -> None:
    """Let a thousand actors tell the next one."""
    from actor_for_agents import Actor, ActorRef, ActorSystem

    done = asyncio.Event()

    class Link(Actor[int | ActorRef, None]):
        following: ActorRef

        async def on_receive(self, message: int | ActorRef) -> None:
            if isinstance(message, ActorRef):
                self.following = message
            elif message:
                await self.following.tell(message - 1)
            else:
                done.set()

    system = ActorSystem()
    refs = [await system.spawn(Link, f"link-{at}") for at in range(RING)]
    for at, ref in enumerate(refs):
        await ref.ask(refs[(at + 1) % RING])
    for messages in run.passes():
        done.clear()
        with run.timed(messages):
            await refs[0].tell(messages - 1)
            await done.wait()
    await system.shutdown()


@ring.contender("casty")
async def casty(run: Run) -> None:
    """Let a thousand actors tell the next one."""
    from casty import ActorSystem, Context, Ref, actor

    done = asyncio.Event()

    @dataclass(frozen=True)
    class Token:
        left: int

    @dataclass(frozen=True)
    class Meet:
        following: Ref[Token]

    @actor(initial=0)
    async def link(ctx: Context[int, Token | Meet]) -> None:
        following: Ref[Token] | None = None
        async for message in ctx.inbox:
            match message:
                case Meet(other):
                    following = other
                case Token(left) if left and following is not None:
                    following.tell(Token(left - 1))
                case _:
                    done.set()

    async with ActorSystem() as system:
        refs = [system.ref(link, f"link-{at}") for at in range(RING)]
        for at, ref in enumerate(refs):
            ref.tell(Meet(refs[(at + 1) % RING]))
        for messages in run.passes():
            done.clear()
            with run.timed(messages):
                refs[0].tell(Token(messages - 1))
                await done.wait()
