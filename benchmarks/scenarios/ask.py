"""One asker asks one agent, one question after the other; its handler counts and answers."""

import asyncio
from dataclasses import dataclass

from benchmarks.contest import Run, Scenario

__all__ = ["ask"]

ask = Scenario(name="ask", title="ask, one after the other", size=150_000, quick=10_000, rounds=5)


@ask.contender("bare asyncio")
async def bare(run: Run) -> None:
    """Put a future beside the message into a bounded queue; the task that serves it sets the result."""
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[tuple[int, asyncio.Future[int]]] = asyncio.Queue(1_000)
    count = 0

    async def answer(number: int) -> int:
        nonlocal count
        count += number
        return number

    async def serve() -> None:
        while True:
            number, future = await queue.get()
            future.set_result(await answer(number))

    async def ask() -> int:
        future: asyncio.Future[int] = loop.create_future()
        await queue.put((1, future))
        return await future

    serving = asyncio.create_task(serve())
    for messages in run.passes():
        with run.timed(messages):
            for _ in range(messages):
                await ask()
    serving.cancel()
    assert count == run.total


@ask.contender("ceylon")
async def ceylon(run: Run) -> None:
    """Ask, each time with the default deadline of 30 s."""
    from ceylon import Agent, Context, Mesh, Message, on

    class Add(Message[int]):
        number: int

    class Counter(Agent):
        def __init__(self, name: str) -> None:
            super().__init__(name)
            self.count = 0

        @on
        async def add(self, message: Add, context: Context) -> int:
            self.count += message.number
            return message.number

    message = Add(1)
    async with Mesh() as mesh:
        counter = Counter("counter")
        ref = mesh.add(counter)
        for messages in run.passes():
            with run.timed(messages):
                for _ in range(messages):
                    await ref.ask(message)
        assert mesh.statistics().is_balanced
        assert mesh.statistics().agents["counter"].completed == run.total
    assert counter.count == run.total


@ask.contender("pykka", share=0.2)
def pykka(run: Run) -> None:
    """Ask, which blocks until the answer is there."""
    import pykka as library

    class Counter(library.ThreadingActor):
        count = 0

        def on_receive(self, message: int) -> int:
            self.count += message
            return self.count

    ref = Counter.start()
    for messages in run.passes():
        with run.timed(messages):
            for _ in range(messages):
                ref.ask(1)
    assert ref.ask(0) == run.total
    ref.stop()


@ask.contender("xoscar", share=0.1)
async def xoscar(run: Run) -> None:
    """Call an actor of the pool in this process, which is the nearest one."""
    import xoscar as library

    class Counter(library.Actor):
        count = 0

        async def add(self, number: int) -> int:
            self.count += number
            return self.count

    pool = await library.create_actor_pool(address="127.0.0.1:0", n_process=0)
    async with pool:
        ref = await library.create_actor(Counter, address=pool.external_address, uid="counter")
        for messages in run.passes():
            with run.timed(messages):
                for _ in range(messages):
                    await ref.add(1)
        assert await ref.add(0) == run.total


@ask.contender("thespian", share=0.2)
def thespian(run: Run) -> None:
    """Ask an actor of the default system, which runs it at once, in the same thread."""
    from thespian.actors import Actor, ActorSystem

    class Counter(Actor):
        count = 0

        def receiveMessage(self, message: int, sender: object) -> None:  # noqa: N802 – thespian's name
            self.count += message
            self.send(sender, self.count)

    system = ActorSystem()
    counter = system.createActor(Counter)
    for messages in run.passes():
        with run.timed(messages):
            for _ in range(messages):
                system.ask(counter, 1)
    assert system.ask(counter, 0) == run.total
    system.shutdown()


@ask.contender("autogen-core", share=0.05)
async def autogen_core(run: Run) -> None:
    """Send a message, which waits for the answer."""
    from autogen_core import AgentId, MessageContext, RoutedAgent, SingleThreadedAgentRuntime, message_handler

    count = 0

    @dataclass
    class Add:
        number: int

    class Counter(RoutedAgent):
        @message_handler
        async def add(self, message: Add, ctx: MessageContext) -> int:
            nonlocal count
            count += message.number
            return message.number

    runtime = SingleThreadedAgentRuntime()
    await Counter.register(runtime, "counter", lambda: Counter("counts"))
    runtime.start()
    message, counter = Add(1), AgentId("counter", "one")
    for messages in run.passes():
        with run.timed(messages):
            for _ in range(messages):
                await runtime.send_message(message, counter)
    await runtime.stop_when_idle()
    assert count == run.total


@ask.contender("everything-is-an-actor", share=0.3)
async def everything_is_an_actor(run: Run) -> None:
    """Ask, each time with the default deadline of 5 s."""
    from actor_for_agents import Actor, ActorSystem

    class Counter(Actor[int, int]):
        count = 0

        async def on_receive(self, message: int) -> int:
            self.count += message
            return self.count

    system = ActorSystem()
    ref = await system.spawn(Counter, "counter")
    for messages in run.passes():
        with run.timed(messages):
            for _ in range(messages):
                await ref.ask(1)
    assert await ref.ask(0) == run.total
    await system.shutdown()


@ask.contender("casty", share=0.3)
async def casty(run: Run) -> None:
    """Ask, each time with the default deadline of 10 s."""
    from casty import ActorSystem, Askable, Context, actor

    @dataclass(frozen=True)
    class Add(Askable[int]):
        number: int

    @actor(initial=0)
    async def counter(ctx: Context[int, Add]) -> None:
        count = 0
        async for message in ctx.inbox:
            count += message.number
            message.reply_to.tell(count)

    message = Add(1)
    async with ActorSystem() as system:
        ref = system.ref(counter, "counter")
        for messages in run.passes():
            with run.timed(messages):
                for _ in range(messages):
                    await ref.ask(message)
        assert await ref.ask(Add(0)) == run.total


@ask.contender("ray", share=0.01)
def ray(run: Run) -> None:
    """Call and get what comes back."""
    import ray as library

    class Counter:
        count = 0

        async def add(self, number: int) -> int:
            self.count += number
            return self.count

    library.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    counter = library.remote(Counter).remote()
    library.get(counter.add.remote(0))
    for messages in run.passes():
        with run.timed(messages):
            for _ in range(messages):
                library.get(counter.add.remote(1))
    assert library.get(counter.add.remote(0)) == run.total


ask.without(
    "ceylonai-next", "no reply reaches the asker: `query` and `wait_for` time out, for plain and async handlers"
)
