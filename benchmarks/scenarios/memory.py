"""What agents that wait for a message take of a fresh process's memory.

`over its own attributes` is what an agent takes in a mesh beyond an agent of the same class that was made but never
added; `over a plain object`, beyond an object of a class without a base that has the same attributes.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

from benchmarks.contest import Run, Scenario, resident

__all__ = ["memory_1m", "memory_10k", "memory_100k"]


def _scenario(name: str, size: int, quick: int, rounds: int = 3, timeout: float = 60.0) -> Scenario:
    title = f"memory of an idle agent, {size:,} of them"
    options: Any = {"shows": "figure", "unit": "B", "loops": ("asyncio",), "rounds": rounds, "timeout": timeout}
    return Scenario(name=name, title=title, size=size, quick=quick, **options)


memory_10k = _scenario("memory_10k", 10_000, 1_000)
memory_100k = _scenario("memory_100k", 100_000, 5_000)
memory_1m = _scenario("memory_1m", 1_000_000, 10_000, rounds=2, timeout=300.0)


def _report(run: Run, empty: int, full: int) -> None:
    """Report the bytes by the agent, and those of the whole process."""
    run.figure(run.scenario, (full - empty) / run.size)
    run.figure("process", full)


async def bare(run: Run) -> None:
    """Keep an object, a queue and a task that waits for it."""

    class Idle:
        def __init__(self, name: str) -> None:
            self.name = name
            self.queue: asyncio.Queue[int] = asyncio.Queue(1_000)

        async def serve(self) -> None:
            while await self.queue.get():
                pass

    empty = resident()
    serving = [asyncio.create_task(Idle(f"agent-{number}").serve()) for number in range(run.size)]
    await asyncio.sleep(0)
    _report(run, empty, resident())
    for task in serving:
        task.cancel()


async def ceylon(run: Run) -> None:
    """Keep agents, made first and added then, so that both can be weighed."""
    from ceylon import Agent, Context, Mesh

    class Idle(Agent):
        """Waits for a message."""

        async def on_message(self, message: int, context: Context) -> int:
            """Give it back."""
            return message

    class Plain:
        def __init__(self, name: str) -> None:
            self.name = name

    async with Mesh() as mesh:
        assert await mesh.add(Idle("first")).ask(1) == 1
        empty = resident()
        agents = [Idle(f"agent-{number}") for number in range(run.size)]
        made = resident()
        for agent in agents:
            mesh.add(agent)
        await mesh.drain()
        added = resident()
        del agents
        _report(run, empty, added)
        alive = resident()
        plain = [Plain(f"agent-{number}") for number in range(run.size)]
        run.figure("process", alive)
        run.figure("over its own attributes", (added - made) / run.size)
        run.figure("over a plain object", (added - empty - (resident() - alive)) / len(plain))
        assert await mesh.ask(f"agent-{run.size - 1}", 1) == 1
        assert mesh.statistics().is_balanced


async def everything_is_an_actor(run: Run) -> None:
    """Keep actors that were spawned."""
    from actor_for_agents import Actor, ActorSystem

    class Idle(Actor[int, int]):
        async def on_receive(self, message: int) -> int:
            return message

    system = ActorSystem()
    assert await (await system.spawn(Idle, "first")).ask(1) == 1
    empty = resident()
    for number in range(run.size):
        await system.spawn(Idle, f"agent-{number}")
    await asyncio.sleep(0)
    _report(run, empty, resident())


async def casty(run: Run) -> None:
    """Keep actors that have answered once, which made them."""
    from casty import ActorSystem, Askable, Context, actor

    @dataclass(frozen=True)
    class Number(Askable[int]):
        value: int

    @actor(initial=0)
    async def idle(ctx: Context[int, Number]) -> None:
        async for message in ctx.inbox:
            message.reply_to.tell(message.value)

    async with ActorSystem() as system:
        assert await system.ref(idle, "first").ask(Number(1)) == 1
        empty = resident()
        for number in range(run.size):
            await system.ref(idle, f"agent-{number}").ask(Number(1))
        _report(run, empty, resident())
        assert len(system.activations()) == run.size + 1


def pykka(run: Run) -> None:
    """Keep actors that were started; each is a thread."""
    import pykka as library

    class Idle(library.ThreadingActor):
        def on_receive(self, message: int) -> int:
            return message

    assert Idle.start().ask(1) == 1
    empty = resident()
    for _ in range(run.size):
        Idle.start()
    _report(run, empty, resident())
    library.ActorRegistry.stop_all()


async def xoscar(run: Run) -> None:
    """Keep actors in the pool of this process."""
    import xoscar as library

    class Idle(library.Actor):
        async def answer(self, message: int) -> int:
            return message

    pool = await library.create_actor_pool(address="127.0.0.1:0", n_process=0)
    async with pool:
        address = pool.external_address
        assert await (await library.create_actor(Idle, address=address, uid="first")).answer(1) == 1
        empty = resident()
        for number in range(run.size):
            await library.create_actor(Idle, address=address, uid=f"agent-{number}")
        _report(run, empty, resident())


def thespian(run: Run) -> None:
    """Keep actors in the default system."""
    from thespian.actors import Actor, ActorSystem

    class Idle(Actor):
        def receiveMessage(self, message: int, sender: object) -> None:  # noqa: N802 – thespian's name
            self.send(sender, message)

    system = ActorSystem()
    assert system.ask(system.createActor(Idle), 1) == 1
    empty = resident()
    for _ in range(run.size):
        system.createActor(Idle)
    _report(run, empty, resident())
    system.shutdown()


async def autogen_core(run: Run) -> None:
    """Keep agents that the runtime has made for their ids."""
    import autogen_core as library

    class Idle(library.RoutedAgent):
        pass

    runtime = library.SingleThreadedAgentRuntime()
    await Idle.register(runtime, "idle", lambda: Idle("waits"))
    await runtime.try_get_underlying_agent_instance(library.AgentId("idle", "first"))
    empty = resident()
    for number in range(run.size):
        await runtime.try_get_underlying_agent_instance(library.AgentId("idle", f"agent-{number}"))
    _report(run, empty, resident())


def ray(run: Run) -> None:
    """Keep actors, each a process, and let each weigh its own; what processes share is counted in all of them."""
    import ray as library

    class Idle:
        def weigh(self) -> int:
            return resident()

    library.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    remote = library.remote(num_cpus=0)(Idle)
    actors = [remote.remote() for _ in range(run.size)]
    _report(run, 0, sum(library.get([each.weigh.remote() for each in actors])))


def ceylonai_next(run: Run) -> None:
    """Keep agents in a local mesh."""
    from ceylonai_next import Agent, LocalMesh

    class Idle(Agent):
        def on_message(self, message: bytes, context: object = None) -> str:
            return "done"

    mesh = LocalMesh("bench")
    mesh.add_agent(Idle("first"))
    empty = resident()
    for number in range(run.size):
        mesh.add_agent(Idle(f"agent-{number}"))
    _report(run, empty, resident())


for _each in (memory_10k, memory_100k, memory_1m):
    _each.contender("bare asyncio", share=0.2 if _each is memory_1m else 1.0)(bare)
    _each.contender("ceylon")(ceylon)
    if _each is not memory_1m:
        _each.contender("everything-is-an-actor")(everything_is_an_actor)
        _each.contender("casty")(casty)
memory_10k.contender("pykka", share=0.2)(pykka)
memory_10k.contender("xoscar")(xoscar)
memory_10k.contender("thespian")(thespian)
memory_10k.contender("autogen-core")(autogen_core)
memory_10k.contender("ray", share=0.0005)(ray)
memory_10k.contender("ceylonai-next")(ceylonai_next)
