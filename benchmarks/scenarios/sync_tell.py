"""One sender tells one agent whose handler is a plain `def`, which may block and so runs in a thread."""

import asyncio
import queue
import threading

from benchmarks.contest import Run, Scenario

__all__ = ["sync_tell"]

sync_tell = Scenario(
    name="sync_tell", title="tell, to a sync handler in a thread", size=200_000, quick=20_000, clock="wall", rounds=5
)


@sync_tell.contender("bare asyncio")
async def bare(run: Run) -> None:
    """Put into an unbounded queue that one thread serves; it sets a future at the end."""
    waiting: queue.SimpleQueue[tuple[int, asyncio.Future[None] | None]] = queue.SimpleQueue()
    loop = asyncio.get_running_loop()
    count = 0

    def serve() -> None:
        nonlocal count
        while True:
            number, last = waiting.get()
            if number < 0:
                return
            count += number
            if last is not None:
                loop.call_soon_threadsafe(last.set_result, None)

    thread = threading.Thread(target=serve)
    thread.start()
    for messages in run.passes():
        with run.timed(messages):
            last: asyncio.Future[None] = loop.create_future()
            for _ in range(messages - 1):
                waiting.put((1, None))
            waiting.put((1, last))
            await last
    waiting.put((-1, None))
    thread.join()
    assert count == run.total


@sync_tell.contender("ceylon")
async def ceylon(run: Run) -> None:
    """Tell, then drain."""
    from ceylon import Agent, BlockingContext, Mesh, Message, on

    class Add(Message):
        """Add *number*."""

        number: int

    class Counter(Agent):
        """Counts in a thread."""

        def __init__(self, name: str) -> None:
            super().__init__(name)
            self.count = 0

        @on
        def add(self, message: Add, context: BlockingContext) -> None:
            """Count it."""
            self.count += message.number

    message = Add(1)
    async with Mesh() as mesh:
        counter = Counter("counter")
        ref = mesh.add(counter)
        for messages in run.passes():
            with run.timed(messages):
                for _ in range(messages):
                    await ref.tell(message)
                await mesh.drain()
        assert mesh.statistics().is_balanced
    assert counter.count == run.total


@sync_tell.contender("pykka")
def pykka(run: Run) -> None:
    """Tell; every actor of pykka's is a thread. The answer to the last message shows that all are done."""
    import pykka as library

    class Counter(library.ThreadingActor):
        count = 0

        def on_receive(self, message: int) -> int:
            self.count += message
            return self.count

    ref = Counter.start()
    count = 0
    for messages in run.passes():
        with run.timed(messages):
            for _ in range(messages):
                ref.tell(1)
            count = ref.ask(0)
    ref.stop()
    assert count == run.total


@sync_tell.contender("everything-is-an-actor", share=0.05)
async def everything_is_an_actor(run: Run) -> None:
    """Tell; the handler takes the blocking part to the system's thread pool."""
    from actor_for_agents import Actor, ActorSystem

    class Counter(Actor[int, int]):
        count = 0

        def add(self, message: int) -> int:
            self.count += message
            return self.count

        async def on_receive(self, message: int) -> int:
            count: int = await self.context.run_in_executor(self.add, message)
            return count

    system = ActorSystem()
    ref = await system.spawn(Counter, "counter")
    count = 0
    for messages in run.passes():
        with run.timed(messages):
            for _ in range(messages):
                await ref.tell(1)
            count = await ref.ask(0, timeout=60)
    await system.shutdown()
    assert count == run.total


@sync_tell.contender("casty", share=0.05)
async def casty(run: Run) -> None:
    """Tell; the body takes the blocking part to a thread."""
    from dataclasses import dataclass

    from casty import ActorSystem, Askable, Context, actor

    @dataclass(frozen=True)
    class Add:
        number: int

    @dataclass(frozen=True)
    class Get(Askable[int]):
        pass

    def add(count: int, number: int) -> int:
        return count + number

    @actor(initial=0)
    async def counter(ctx: Context[int, Add | Get]) -> None:
        count = 0
        async for message in ctx.inbox:
            match message:
                case Add(number):
                    count = await asyncio.to_thread(add, count, number)
                case Get():
                    message.reply_to.tell(count)

    message = Add(1)
    async with ActorSystem() as system:
        ref = system.ref(counter, "counter")
        count = 0
        for messages in run.passes():
            with run.timed(messages):
                for _ in range(messages):
                    ref.tell(message)
                count = await ref.ask(Get())
        assert count == run.total
