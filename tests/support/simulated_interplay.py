"""A program for simulations in which everything about composition meets.

Keyed agents, a pool, pipelines, a group of subscribers, requests, ticks, approvals and interceptors of both kinds live
in one mesh; clients speak to all of them while members come and go and agents leave memory.
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Final

import anyio

from ceylon import (
    Agent,
    ApprovalRequest,
    Approved,
    Budget,
    CeylonError,
    Context,
    Denied,
    Mesh,
    Message,
    Pool,
    Request,
    action,
    every,
    on,
)
from ceylon.core.routings import Routing
from ceylon.messages import ActionCall, Envelope
from ceylon.pipelines import parallel, pipeline
from ceylon.testing import Simulation

__all__ = ["run_interplay"]

_CLIENTS: Final = 4
_ERRANDS: Final = 9
_PERIOD: Final = 0.7  # of the ticks, in virtual seconds
_LIMIT: Final = 2  # keyed agents in memory
_ROUTINGS: Final[tuple[Routing, ...]] = ("round_robin", "least_loaded")
_PLACES: Final = ("desk/a", "desk/b", "desk/c", "crew", "line", "outer")


class Job(Message[int], tag="simulated_interplay.Job"):
    """One of those that exactly one member of the group is to do."""

    number: int


class World:
    """What is seen of one run from outside."""

    def __init__(self, simulation: Simulation) -> None:
        self.chance = simulation.random
        self.capacity = self.chance.choice((1, 3))
        self.passed: Counter[int] = Counter()  # by envelope: how often it has passed the onion around delivery
        self.handled: Counter[int] = Counter()  # likewise around handling
        self.jobs: Counter[int] = Counter()
        self.ticks: Counter[str] = Counter()
        self.submitted: set[str] = set()  # requests, by id
        self.collected: set[str] = set()  # those somebody has awaited, or does not want any more
        self.wrong: list[str] = []

    async def fetch(self, request: Request[Any]) -> Any:
        """Await a request; unless that is cut short, it is collected then."""
        try:
            value = await request
        except CeylonError:
            self.collected.add(request.id)
            raise
        self.collected.add(request.id)
        return value

    async def pause(self) -> None:
        """Wait for no time or some."""
        await anyio.sleep(self.chance.choice((0.0, 0.0, 0.01, 0.2)))

    def around_delivery(self, envelope: Envelope, call_next: Callable[[Envelope], None]) -> None:
        """Count what passes; keep out what says so."""
        self.passed[envelope.id] += 1
        if self.passed[envelope.id] > 1:
            self.wrong.append(f"what is for {envelope.recipient} passed the onion twice")
        if envelope.message == "reject":
            raise PermissionError(envelope.message)
        call_next(envelope)

    async def around_handling(self, envelope: Envelope, call_next: Callable[[Envelope], Awaitable[Any]]) -> Any:
        """Count what is handled; it has passed the other onion."""
        self.handled[envelope.id] += 1
        if self.handled[envelope.id] > 1:
            self.wrong.append(f"{envelope.recipient} handles one envelope twice")
        if not self.passed[envelope.id]:
            self.wrong.append(f"{envelope.recipient} handles what has bypassed the onion: {envelope.message!r}")
        return await call_next(envelope)


class Member(Agent):
    """Does jobs and what else it is told; ticks; fails at some things."""

    on_failure = "restart"
    max_restarts = 1_000

    def __init__(self, name: str, world: World) -> None:
        super().__init__(name)
        self.world = world
        self.mailbox_capacity = world.capacity

    @on
    async def job(self, job: Job) -> int:
        self.world.jobs[job.number] += 1
        await self.world.pause()
        return job.number

    @on
    async def text(self, text: str) -> str:
        await self.world.pause()
        if text == "boom":
            raise ValueError(text)
        return text

    @every(_PERIOD)
    async def tick(self, context: Context) -> None:
        self.world.ticks[context.address] += 1
        await self.world.pause()

    @action(approve="boss/lisbon")
    async def pay(self, amount: int) -> int:
        """Pay so much."""
        await self.world.pause()
        return amount


class Desk(Member):
    """One for each key: asks the crew, submits to it, and follows the news for itself."""

    async def on_start(self, context: Context) -> None:
        context.subscribe("news.*")

    @on
    async def question(self, numbers: list, context: Context) -> Any:  # type: ignore[type-arg]
        if len(numbers) % 2:
            return await context.ask("crew", "from a desk", timeout=50)
        request = await context.submit("crew", "from a desk", timeout=50)
        self.world.submitted.add(request.id)
        return await self.world.fetch(request)


class Boss(Agent):
    """Says yes or no, in its own time."""

    def __init__(self, name: str, world: World) -> None:
        super().__init__(name)
        self.world = world

    @on
    async def decide(self, request: ApprovalRequest) -> Approved | Denied:
        await self.world.pause()
        return Approved(digest=request.digest) if request.arguments["amount"] % 2 else Denied("too much")


async def run_interplay(simulation: Simulation) -> None:
    """Let clients use all of it at once; see that nothing is lost, done twice, or bypasses an interceptor."""
    world = World(simulation)
    heard: Counter[int] = Counter()
    async with simulation.mesh("house", interceptors=[world.around_delivery, world.around_handling]) as mesh:
        crew = _furnish(mesh, world)
        began = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            for client in range(_CLIENTS):
                tasks.start_soon(_visit, mesh, world, heard, client)
            tasks.start_soon(_change, mesh, crew, world)
        await mesh.drain()
        results = [result.id for result in await mesh.collect()]
        _check_ticks(world, anyio.current_time() - began)
    assert not world.wrong, "; ".join(world.wrong)
    assert sorted([*results, *world.collected]) == sorted(world.submitted), "a request was lost, or collected twice"
    twice = [number for number, times in world.jobs.items() if times > 1]
    assert not twice, f"jobs {twice} were done more than once"
    lost = [number for number in heard if not world.jobs[number]]
    assert not lost, f"jobs {lost} were in a mailbox, and lost"


def _furnish(mesh: Mesh, world: World) -> Pool:
    mesh.register(lambda key: Desk(key, world), "desk", idle=0.5, limit=_LIMIT)
    mesh.register(lambda key: Boss(key, world), "boss", idle=0.3)
    routing = world.chance.choice(_ROUTINGS)
    crew = mesh.pool(lambda number: Member(number, world), "crew", size=2, routing=routing)
    line = pipeline(lambda text: text, mesh.ref("desk/a"), crew).named("line")
    mesh.add(line)
    mesh.add(pipeline(parallel(mesh.ref("line"), mesh.ref("desk/b"))).named("outer"))
    mesh.subscribe("jobs", crew, group="hands")
    mesh.subscribe("jobs", "desk/c", group="hands")
    return crew


async def _visit(mesh: Mesh, world: World, heard: Counter[int], client: int) -> None:
    for number in range(_ERRANDS):
        errand = world.chance.choice((_ask, _tell, _submit, _stream, _pay, _question, _news))
        try:
            if world.chance.random() < 0.3:
                job = 100 * client + number
                if await mesh.publish("jobs", Job(job)):
                    heard[job] += 1
            else:
                await errand(mesh, world)
        except CeylonError:
            continue
        await world.pause()


async def _ask(mesh: Mesh, world: World) -> None:
    ref = mesh.ref(world.chance.choice(_PLACES)).using(budget=Budget(calls=5), priority="high")
    await ref.ask(_text(world), timeout=world.chance.choice((0.1, 50)))


async def _tell(mesh: Mesh, world: World) -> None:
    await mesh.tell(world.chance.choice(_PLACES), _text(world))


async def _submit(mesh: Mesh, world: World) -> None:
    request = await mesh.submit(world.chance.choice(_PLACES), _text(world), timeout=world.chance.choice((0.1, 50)))
    world.submitted.add(request.id)
    fate = world.chance.random()
    if fate < 0.3 and request in mesh.pending():
        request.cancel()
        world.collected.add(request.id)
    elif fate < 0.6:
        await world.fetch(request)


async def _stream(mesh: Mesh, world: World) -> None:
    async with mesh.stream(world.chance.choice(("line", "outer")), _text(world), timeout=50) as events:
        async for _ in events:
            if world.chance.random() < 0.1:
                return


async def _pay(mesh: Mesh, world: World) -> None:
    place, amount = world.chance.choice(("crew", "desk/b")), world.chance.randint(1, 4)
    assert await mesh.ask(place, ActionCall("pay", {"amount": amount}), timeout=50) == amount


async def _question(mesh: Mesh, world: World) -> None:
    await mesh.ask(world.chance.choice(_PLACES[:3]), [0] * world.chance.randint(1, 2), timeout=50)


async def _news(mesh: Mesh, world: World) -> None:
    await mesh.publish("news.today", _text(world))


def _text(world: World) -> str:
    return world.chance.choice(("hello", "hello", "hello", "boom", "reject"))


async def _change(mesh: Mesh, crew: Pool, world: World) -> None:
    """Let members come and go, and agents leave memory."""
    for _ in range(4):
        await anyio.sleep(world.chance.random())
        if world.chance.random() < 0.5:
            await crew.resize(world.chance.randint(1, 4))
        else:
            await mesh.stop(f"desk/{world.chance.choice('abc')}")


def _check_ticks(world: World, seconds: float) -> None:
    """See that no agent ticks more often than time allows."""
    most = seconds / _PERIOD + 1
    for address, ticks in world.ticks.items():
        if address.startswith("crew/") and ticks > most:
            world.wrong.append(f"{address} had {ticks} ticks in {seconds:g} s")
