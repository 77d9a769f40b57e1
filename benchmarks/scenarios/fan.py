"""An agent asks a thousand others at once and adds up what they answer."""

import asyncio
from dataclasses import dataclass

from benchmarks.contest import Run, Scenario

__all__ = ["fan"]

WIDTH = 1_000
fan = Scenario(name="fan", title="fan-out to 1,000 agents and fan-in", size=100_000, quick=5_000)


@fan.contender("bare asyncio")
async def bare(run: Run) -> None:
    """Use a thousand tasks with a queue each; the answers are futures under one `gather`."""
    loop = asyncio.get_running_loop()
    queues: list[asyncio.Queue[asyncio.Future[int]]] = [asyncio.Queue(1_000) for _ in range(WIDTH)]

    async def answer() -> int:
        return 1

    async def serve(queue: asyncio.Queue[asyncio.Future[int]]) -> None:
        while True:
            (await queue.get()).set_result(await answer())

    async def ask(queue: asyncio.Queue[asyncio.Future[int]]) -> int:
        future: asyncio.Future[int] = loop.create_future()
        await queue.put(future)
        return await future

    serving = [asyncio.create_task(serve(queue)) for queue in queues]
    for messages in run.passes(WIDTH):
        with run.timed(messages):
            for _ in range(messages // WIDTH):
                assert sum(await asyncio.gather(*(ask(queue) for queue in queues))) == WIDTH
    for task in serving:
        task.cancel()


@fan.contender("ceylon")
async def ceylon(run: Run) -> None:
    """Ask under `gather` in the handler."""
    from ceylon import Agent, Context, Mesh

    class One(Agent):
        """Answers."""

        async def on_message(self, message: int, context: Context) -> int:
            """Give it back."""
            return message

    class Boss(Agent):
        """Asks everybody."""

        async def on_message(self, message: int, context: Context) -> int:
            """Ask and add up."""
            return sum(await asyncio.gather(*(context.ask(name, message) for name in names)))

    names = [f"one-{number}" for number in range(WIDTH)]
    async with Mesh() as mesh:
        boss = mesh.add(Boss("boss"))
        for name in names:
            mesh.add(One(name))
        for messages in run.passes(WIDTH):
            with run.timed(messages):
                for _ in range(messages // WIDTH):
                    assert await boss.ask(1) == WIDTH
        assert mesh.statistics().is_balanced


@fan.contender("everything-is-an-actor", share=0.5)
async def everything_is_an_actor(run: Run) -> None:
    """Ask by the context's `sequence`, which does so concurrently."""
    from actor_for_agents import Actor, ActorSystem

    class One(Actor[int, int]):
        async def on_receive(self, message: int) -> int:
            return message

    class Boss(Actor[int, int]):
        async def on_receive(self, message: int) -> int:
            return sum(await self.context.sequence([(ref, message) for ref in refs]))

    system = ActorSystem()
    boss = await system.spawn(Boss, "boss")
    refs = [await system.spawn(One, f"one-{number}") for number in range(WIDTH)]
    for messages in run.passes(WIDTH):
        with run.timed(messages):
            for _ in range(messages // WIDTH):
                assert await boss.ask(1) == WIDTH
    await system.shutdown()


@fan.contender("casty", share=0.5)
async def casty(run: Run) -> None:
    """Ask under `gather` in the body."""
    from casty import ActorSystem, Askable, Context, actor

    @dataclass(frozen=True)
    class Number(Askable[int]):
        value: int

    @actor(initial=0)
    async def one(ctx: Context[int, Number]) -> None:
        async for message in ctx.inbox:
            message.reply_to.tell(message.value)

    @actor(initial=0)
    async def boss(ctx: Context[int, Number]) -> None:
        async for message in ctx.inbox:
            answers = await asyncio.gather(*(ref.ask(Number(message.value)) for ref in refs))
            message.reply_to.tell(sum(answers))

    async with ActorSystem() as system:
        refs = [system.ref(one, f"one-{number}") for number in range(WIDTH)]
        asked = system.ref(boss, "boss")
        for messages in run.passes(WIDTH):
            with run.timed(messages):
                for _ in range(messages // WIDTH):
                    assert await asked.ask(Number(1)) == WIDTH
