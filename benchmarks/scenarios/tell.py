"""One sender tells one agent; its handler counts. Timed until everything has been handled."""

import asyncio
from dataclasses import dataclass

from benchmarks.contest import Run, Scenario

__all__ = ["tell"]

tell = Scenario(name="tell", title="tell, to an async handler", size=300_000, quick=20_000, rounds=5)


@dataclass(frozen=True)
class Add:
    """What autogen-core and casty are told; they want a type."""

    number: int


@tell.contender("bare asyncio")
async def bare(run: Run) -> None:
    """Put into a bounded queue, as large as Ceylon's mailbox, that one task serves."""
    queue: asyncio.Queue[int] = asyncio.Queue(1_000)
    count = 0

    async def serve(messages: int) -> None:
        nonlocal count
        for _ in range(messages):
            count += await queue.get()

    for messages in run.passes():
        with run.timed(messages):
            serving = asyncio.create_task(serve(messages))
            for _ in range(messages):
                await queue.put(1)
            await serving
    assert count == run.total


@tell.contender("ceylon")
async def ceylon(run: Run) -> None:
    """Tell, then drain."""
    from ceylon import Agent, Context, Mesh, Message, on

    class Number(Message):
        number: int

    class Counter(Agent):
        def __init__(self, name: str) -> None:
            super().__init__(name)
            self.count = 0

        @on
        async def add(self, message: Number, context: Context) -> None:
            self.count += message.number

    message = Number(1)
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


@tell.contender("pykka")
def pykka(run: Run) -> None:
    """Tell; the answer to the last message shows that all are done."""
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
                ref.tell(1)
            ref.ask(0)
    assert ref.ask(0) == run.total
    ref.stop()


@tell.contender("xoscar", share=0.1)
async def xoscar(run: Run) -> None:
    """Tell an actor of the pool in this process, which is the nearest one."""
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
                    await ref.add.tell(1)
                await ref.add(0)
        assert await ref.add(0) == run.total


@tell.contender("thespian", share=0.1)
def thespian(run: Run) -> None:
    """Tell an actor of the default system, which runs it at once, in the same thread."""
    from thespian.actors import Actor, ActorSystem

    class Counter(Actor):
        count = 0

        def receiveMessage(self, message: int, sender: object) -> None:  # noqa: N802 – thespian's name
            self.count += message
            if not message:
                self.send(sender, self.count)

    system = ActorSystem()
    counter = system.createActor(Counter)
    for messages in run.passes():
        with run.timed(messages):
            for _ in range(messages):
                system.tell(counter, 1)
            system.ask(counter, 0)
    assert system.ask(counter, 0) == run.total
    system.shutdown()


@tell.contender("autogen-core", share=0.01)
async def autogen_core(run: Run) -> None:
    """Publish to a topic of one agent: its `send_message` always waits for the answer."""
    import autogen_core as library

    count = 0

    class Counter(library.RoutedAgent):
        @library.message_handler
        async def add(self, message: Add, ctx: library.MessageContext) -> None:
            nonlocal count
            count += message.number

    runtime = library.SingleThreadedAgentRuntime()
    await Counter.register(runtime, "counter", lambda: Counter("counts"))
    await runtime.add_subscription(library.TypeSubscription(topic_type="numbers", agent_type="counter"))
    message, topic = Add(1), library.TopicId("numbers", "one")
    for messages in run.passes():
        runtime.start()
        with run.timed(messages):
            for _ in range(messages):
                await runtime.publish_message(message, topic)
            await runtime.stop_when_idle()
    assert count == run.total


@tell.contender("everything-is-an-actor")
async def everything_is_an_actor(run: Run) -> None:
    """Tell; the answer to the last message shows that all are done."""
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
                await ref.tell(1)
            await ref.ask(0)
    assert await ref.ask(0) == run.total
    await system.shutdown()


@tell.contender("casty")
async def casty(run: Run) -> None:
    """Tell; the answer to the last message shows that all are done."""
    from casty import ActorSystem, Askable, Context, actor

    @dataclass(frozen=True)
    class Get(Askable[int]):
        pass

    @actor(initial=0)
    async def counter(ctx: Context[int, Add | Get]) -> None:
        count = 0
        async for message in ctx.inbox:
            match message:
                case Add(number):
                    count += number
                case Get():
                    message.reply_to.tell(count)

    message = Add(1)
    async with ActorSystem() as system:
        ref = system.ref(counter, "counter")
        for messages in run.passes():
            with run.timed(messages):
                for _ in range(messages):
                    ref.tell(message)
                await ref.ask(Get())
        assert await ref.ask(Get()) == run.total


@tell.contender("ray", share=0.01)
def ray(run: Run) -> None:
    """Call without getting what comes back, but for the last."""
    import ray as library

    class Counter:
        count = 0

        async def add(self, number: int) -> int:
            self.count += number
            return self.count

    library.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    counter = library.remote(Counter).remote()
    for messages in run.passes():
        with run.timed(messages):
            for _ in range(messages):
                counter.add.remote(1)
            library.get(counter.add.remote(0))
    assert library.get(counter.add.remote(0)) == run.total


@tell.contender("ceylonai-next")
def ceylonai_next(run: Run) -> None:
    """Send, then have the messages processed; without that call nobody handles them."""
    from ceylonai_next import Agent, LocalMesh

    class Counter(Agent):
        count = 0

        def on_message(self, message: bytes, context: object = None) -> str:
            self.count += 1
            return "done"

    mesh, counter = LocalMesh("bench"), Counter("counter")
    mesh.add_agent(counter)
    for messages in run.passes():
        with run.timed(messages):
            for _ in range(messages):
                mesh.send_to_sync("counter", "1")
            while counter.count < run.total:
                mesh.process_messages()
    assert counter.count == run.total
