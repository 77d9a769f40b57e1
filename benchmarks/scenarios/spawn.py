"""Agents are made and take messages; how many in a second. Names are made before the clock runs."""

import asyncio
from dataclasses import dataclass

from benchmarks.contest import Run, Scenario

__all__ = ["spawn"]

spawn = Scenario(name="spawn", title="agents made", size=100_000, quick=5_000, rounds=5)


@spawn.contender("bare asyncio")
async def bare(run: Run) -> None:
    """Make an object, a bounded queue and a task that serves it; run each task up to its wait."""

    class Idle:
        def __init__(self, name: str) -> None:
            self.name = name
            self.queue: asyncio.Queue[int] = asyncio.Queue(1_000)

        async def serve(self) -> None:
            while await self.queue.get():
                pass

    names = [f"agent-{number}" for number in range(run.size)]
    with run.timed(run.size):
        serving = [asyncio.create_task(Idle(name).serve()) for name in names]
        await asyncio.sleep(0)
    assert len(serving) == run.size
    for task in serving:
        task.cancel()


@spawn.contender("ceylon")
async def ceylon(run: Run) -> None:
    """Add agents to a mesh, then drain, so that all have started."""
    from ceylon import Agent, Context, Mesh

    class Idle(Agent):
        """Waits for a message."""

        async def on_message(self, message: int, context: Context) -> int:
            """Give it back."""
            return message

    names = [f"agent-{number}" for number in range(run.size)]
    async with Mesh() as mesh:
        assert await mesh.add(Idle("first")).ask(1) == 1
        with run.timed(run.size):
            for name in names:
                mesh.add(Idle(name))
            await mesh.drain()
        assert await mesh.ask(names[-1], 1) == 1
        assert len(mesh.agents) == run.size + 1
        assert mesh.statistics().is_balanced


@spawn.contender("pykka", share=0.02)
def pykka(run: Run) -> None:
    """Start actors; each is a thread."""
    import pykka as library

    class Idle(library.ThreadingActor):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

        def on_receive(self, message: int) -> int:
            return message

    names = [f"agent-{number}" for number in range(run.size)]
    with run.timed(run.size):
        refs = [Idle.start(name) for name in names]
    assert refs[-1].ask(1) == 1
    assert len(library.ActorRegistry.get_all()) == run.size
    library.ActorRegistry.stop_all()


@spawn.contender("xoscar", share=0.05)
async def xoscar(run: Run) -> None:
    """Create actors in the pool of this process."""
    import xoscar as library

    class Idle(library.Actor):
        async def answer(self, message: int) -> int:
            return message

    names = [f"agent-{number}" for number in range(run.size)]
    pool = await library.create_actor_pool(address="127.0.0.1:0", n_process=0)
    async with pool:
        address = pool.external_address
        with run.timed(run.size):
            refs = [await library.create_actor(Idle, address=address, uid=name) for name in names]
        assert await refs[-1].answer(1) == 1


@spawn.contender("thespian", share=0.05)
def thespian(run: Run) -> None:
    """Create actors in the default system, which runs them in the same thread."""
    from thespian.actors import Actor, ActorSystem

    class Idle(Actor):
        def receiveMessage(self, message: int, sender: object) -> None:  # noqa: N802 – thespian's name
            self.send(sender, message)

    system = ActorSystem()
    with run.timed(run.size):
        addresses = [system.createActor(Idle) for _ in range(run.size)]
    assert system.ask(addresses[-1], 1) == 1
    system.shutdown()


@spawn.contender("autogen-core", share=0.05)
async def autogen_core(run: Run) -> None:
    """Have the runtime make an agent per id; it does so for the first message, or when asked for the instance."""
    from autogen_core import AgentId, MessageContext, RoutedAgent, SingleThreadedAgentRuntime, message_handler

    @dataclass
    class Number:
        value: int

    class Idle(RoutedAgent):
        @message_handler
        async def answer(self, message: Number, ctx: MessageContext) -> int:
            return message.value

    names = [f"agent-{number}" for number in range(run.size)]
    runtime = SingleThreadedAgentRuntime()
    await Idle.register(runtime, "idle", lambda: Idle("waits"))
    runtime.start()
    with run.timed(run.size):
        for name in names:
            await runtime.try_get_underlying_agent_instance(AgentId("idle", name))
    assert await runtime.send_message(Number(1), AgentId("idle", names[-1])) == 1
    await runtime.stop_when_idle()


@spawn.contender("everything-is-an-actor", share=0.3)
async def everything_is_an_actor(run: Run) -> None:
    """Spawn actors, and let their tasks run up to their wait."""
    from actor_for_agents import Actor, ActorSystem

    class Idle(Actor[int, int]):
        async def on_receive(self, message: int) -> int:
            return message

    names = [f"agent-{number}" for number in range(run.size)]
    system = ActorSystem()
    with run.timed(run.size):
        refs = [await system.spawn(Idle, name) for name in names]
        await asyncio.sleep(0)
    assert await refs[-1].ask(1) == 1
    await system.shutdown()


@spawn.contender("casty", share=0.3)
async def casty(run: Run) -> None:
    """Tell each key a message, which makes its actor; an ask shows that the last one is there."""
    from casty import ActorSystem, Askable, Context, actor

    @dataclass(frozen=True)
    class Number(Askable[int]):
        value: int

    @actor(initial=0)
    async def idle(ctx: Context[int, Number]) -> None:
        async for message in ctx.inbox:
            message.reply_to.tell(message.value)

    names = [f"agent-{number}" for number in range(run.size)]
    message = Number(1)
    async with ActorSystem() as system:
        with run.timed(run.size):
            await asyncio.gather(*(system.ref(idle, name).ask(message) for name in names))
        assert len(system.activations()) == run.size


@spawn.contender("ray", share=0.0001)
def ray(run: Run) -> None:
    """Make remote actors; each is a process, so it answers once before it counts."""
    import ray as library

    class Idle:
        async def answer(self, message: int) -> int:
            return message

    library.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    remote = library.remote(num_cpus=0)(Idle)
    with run.timed(run.size):
        actors = [remote.remote() for _ in range(run.size)]
        answers = library.get([each.answer.remote(1) for each in actors])
    assert answers == [1] * run.size


@spawn.contender("ceylonai-next", share=0.1)
def ceylonai_next(run: Run) -> None:
    """Add agents to a local mesh."""
    from ceylonai_next import Agent, LocalMesh

    class Idle(Agent):
        count = 0

        def on_message(self, message: bytes, context: object = None) -> str:
            self.count += 1
            return "done"

    names = [f"agent-{number}" for number in range(run.size)]
    mesh = LocalMesh("bench")
    agents = []
    with run.timed(run.size):
        for name in names:
            agents.append(Idle(name))
            mesh.add_agent(agents[-1])
    mesh.send_to_sync(names[-1], "1")
    while not agents[-1].count:
        mesh.process_messages()
