"""Two agents tell one another the same ball, so many times; the hop limit is raised where there is one."""

import asyncio
from dataclasses import dataclass

from benchmarks.contest import Run, Scenario

__all__ = ["ping_pong"]

ping_pong = Scenario(name="ping_pong", title="ping-pong of two agents", size=200_000, quick=10_000)


@ping_pong.contender("bare asyncio")
async def bare(run: Run) -> None:
    """Play with two tasks that have a queue each."""
    queues: tuple[asyncio.Queue[int], asyncio.Queue[int]] = asyncio.Queue(1_000), asyncio.Queue(1_000)
    done = asyncio.Event()

    async def play(mine: asyncio.Queue[int], other: asyncio.Queue[int]) -> None:
        while True:
            left = await mine.get()
            if left:
                await other.put(left - 1)
            else:
                done.set()

    players = [asyncio.create_task(play(*pair)) for pair in (queues, queues[::-1])]
    for messages in run.passes():
        done.clear()
        with run.timed(messages):
            await queues[0].put(messages - 1)
            await done.wait()
    for player in players:
        player.cancel()


@ping_pong.contender("ceylon")
async def ceylon(run: Run) -> None:
    """Let two agents tell."""
    from ceylon import Agent, Context, Mesh

    class Player(Agent):
        """Plays the ball back."""

        def __init__(self, name: str, other: str) -> None:
            super().__init__(name)
            self.other = other

        async def on_message(self, message: int, context: Context) -> None:
            """Play it back, unless it was the last."""
            if message:
                await context.tell(self.other, message - 1)

    async with Mesh(max_hops=run.size) as mesh:
        ping = mesh.add(Player("ping", "pong"))
        mesh.add(Player("pong", "ping"))
        for messages in run.passes():
            with run.timed(messages):
                await ping.tell(messages - 1)
                await mesh.drain()
        statistics = mesh.statistics()
        assert statistics.is_balanced
        assert sum(each.completed for each in statistics.agents.values()) == run.total


@ping_pong.contender("everything-is-an-actor")
async def everything_is_an_actor(run: Run) -> None:
    """Let two actors tell."""
    from actor_for_agents import Actor, ActorRef, ActorSystem

    done = asyncio.Event()

    class Player(Actor[int | ActorRef, None]):
        other: ActorRef

        async def on_receive(self, message: int | ActorRef) -> None:
            if isinstance(message, ActorRef):
                self.other = message
            elif message:
                await self.other.tell(message - 1)
            else:
                done.set()

    system = ActorSystem()
    ping, pong = await system.spawn(Player, "ping"), await system.spawn(Player, "pong")
    await ping.ask(pong)
    await pong.ask(ping)
    for messages in run.passes():
        done.clear()
        with run.timed(messages):
            await ping.tell(messages - 1)
            await done.wait()
    await system.shutdown()


@ping_pong.contender("casty")
async def casty(run: Run) -> None:
    """Let two actors tell."""
    from casty import ActorSystem, Context, Ref, actor

    done = asyncio.Event()

    @dataclass(frozen=True)
    class Ball:
        left: int

    @dataclass(frozen=True)
    class Meet:
        other: Ref[Ball]

    @actor(initial=0)
    async def player(ctx: Context[int, Ball | Meet]) -> None:
        other: Ref[Ball] | None = None
        async for message in ctx.inbox:
            match message:
                case Meet(met):
                    other = met
                case Ball(left) if left and other is not None:
                    other.tell(Ball(left - 1))
                case _:
                    done.set()

    async with ActorSystem() as system:
        ping, pong = system.ref(player, "ping"), system.ref(player, "pong")
        ping.tell(Meet(pong))
        pong.tell(Meet(ping))
        for messages in run.passes():
            done.clear()
            with run.timed(messages):
                ping.tell(Ball(messages - 1))
                await done.wait()
