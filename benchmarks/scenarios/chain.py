"""An ask goes through a hundred agents, each of which asks the next, and the answer comes all the way back.

The hop limit is raised where there is one.
"""

import asyncio
from dataclasses import dataclass
from itertools import pairwise

from benchmarks.contest import Run, Scenario

__all__ = ["chain"]

LENGTH = 100
chain = Scenario(name="chain", title="chain of 100 asks", size=50_000, quick=2_000)


@chain.contender("bare asyncio")
async def bare(run: Run) -> None:
    """Use a hundred tasks with a queue each; the answers are futures."""
    loop = asyncio.get_running_loop()
    queues: list[asyncio.Queue[asyncio.Future[int]]] = [asyncio.Queue(1_000) for _ in range(LENGTH)]

    async def ask(at: int) -> int:
        future: asyncio.Future[int] = loop.create_future()
        await queues[at].put(future)
        return await future

    async def answer(at: int) -> int:
        return 1 if at + 1 == LENGTH else 1 + await ask(at + 1)

    async def serve(at: int) -> None:
        while True:
            (await queues[at].get()).set_result(await answer(at))

    serving = [asyncio.create_task(serve(at)) for at in range(LENGTH)]
    for messages in run.passes(LENGTH):
        with run.timed(messages):
            for _ in range(messages // LENGTH):
                assert await ask(0) == LENGTH
    for task in serving:
        task.cancel()


@chain.contender("ceylon")
async def ceylon(run: Run) -> None:
    """Ask the next agent in the handler."""
    from ceylon import Agent, Context, Mesh

    class Link(Agent):
        """Asks the next one."""

        def __init__(self, name: str, following: str | None) -> None:
            super().__init__(name)
            self.following = following

        async def on_message(self, message: int, context: Context) -> int:
            """Ask, unless this is the last."""
            if self.following is None:
                return message
            answer: int = await context.ask(self.following, message)
            return answer + message

    async with Mesh(max_hops=LENGTH) as mesh:
        for at in range(LENGTH):
            mesh.add(Link(f"link-{at}", f"link-{at + 1}" if at + 1 < LENGTH else None))
        for messages in run.passes(LENGTH):
            with run.timed(messages):
                for _ in range(messages // LENGTH):
                    assert await mesh.ask("link-0", 1) == LENGTH
        statistics = mesh.statistics()
        assert statistics.is_balanced
        assert sum(each.completed for each in statistics.agents.values()) == run.total


@chain.contender("everything-is-an-actor", share=0.5)
async def everything_is_an_actor(run: Run) -> None:
    """Ask the next actor in the handler."""
    from actor_for_agents import Actor, ActorRef, ActorSystem

    class Link(Actor[int | ActorRef, int]):
        following: ActorRef | None = None

        async def on_receive(self, message: int | ActorRef) -> int:
            if isinstance(message, ActorRef):
                self.following = message
                return 0
            if self.following is None:
                return message
            answer: int = await self.context.ask(self.following, message)
            return answer + message

    system = ActorSystem()
    refs = [await system.spawn(Link, f"link-{at}") for at in range(LENGTH)]
    for ref, following in pairwise(refs):
        await ref.ask(following)
    for messages in run.passes(LENGTH):
        with run.timed(messages):
            for _ in range(messages // LENGTH):
                assert await refs[0].ask(1) == LENGTH
    await system.shutdown()


@chain.contender("casty", share=0.5)
async def casty(run: Run) -> None:
    """Ask the next actor, whose key is the next number, in the body."""
    from casty import ActorSystem, Askable, Context, actor

    @dataclass(frozen=True)
    class Number(Askable[int]):
        value: int

    @actor(initial=0)
    async def link(ctx: Context[int, Number]) -> None:
        at = int(ctx.key)
        following = refs[at + 1] if at + 1 < LENGTH else None
        async for message in ctx.inbox:
            answer = 0 if following is None else await following.ask(Number(message.value))
            message.reply_to.tell(answer + message.value)

    async with ActorSystem() as system:
        refs = [system.ref(link, str(at)) for at in range(LENGTH)]
        for messages in run.passes(LENGTH):
            with run.timed(messages):
                for _ in range(messages // LENGTH):
                    assert await refs[0].ask(Number(1)) == LENGTH
