"""Programs for simulations about topics and interceptors, and what they check by themselves."""

import contextlib
from collections import Counter
from typing import Any

import anyio

from ceylon import Agent, CeylonError, Context, Mesh, Message, Subscription
from ceylon.messages import Envelope
from ceylon.testing import Simulation

__all__ = ["run_groups", "run_hasty_publisher", "run_hostile_interceptors"]


class Job(Message[None], tag="simulated_topics.Job"):
    """Work for one of a group."""

    publisher: int
    number: int


class Member(Agent):
    """Has little room, fails now and then, begins again or goes on."""

    mailbox_capacity = 2

    def __init__(self, name: str, done: dict[str, list[Job]], on_failure: str) -> None:
        super().__init__(name)
        self.done = done
        self.on_failure = on_failure  # type: ignore[assignment]

    async def on_message(self, job: Job) -> None:
        self.done.setdefault(self.name, []).append(job)
        await anyio.sleep(0.05)
        if job.number % 5 == 4:
            raise ValueError(job)


# -- groups ------------------------------------------------------------------------------------------------------------


async def run_groups(simulation: Simulation) -> None:
    """Let publishers publish for a group whose members come, go, fail and begin again; look at who got what."""
    chance, done, received = simulation.random, dict[str, list[Job]](), dict[Job, int]()
    async with simulation.mesh("market") as mesh:
        _join(mesh, "member-0", done, simulation)

        async def publish(publisher: int) -> None:
            for number in range(8):
                job = Job(publisher, number)
                received[job] = await mesh.publish(
                    f"jobs.{publisher}", job, when_full=chance.choice(("wait", "refuse"))
                )
                await anyio.sleep(chance.random() * 0.03)

        async with anyio.create_task_group() as tasks:
            for publisher in range(3):
                tasks.start_soon(publish, publisher)
            tasks.start_soon(_change_members, mesh, done, simulation)
        await mesh.drain()
        letters = Counter(letter.envelope.message for letter in mesh.dead_letters())
        counted = mesh.statistics()
    cancelled = sum(agent.cancelled for agent in (*counted.agents.values(), counted.stopped_agents))
    lost = _check_one_each(done, received, letters)
    assert len(lost) <= cancelled, f"{lost} were lost; {cancelled} were cancelled, perhaps before they had begun"
    _check_order(done)


async def _change_members(mesh: Mesh, done: dict[str, list[Job]], simulation: Simulation) -> None:
    """Let members come and go, by their own will or not."""
    chance, there = simulation.random, dict[str, Subscription]()
    for number in range(1, 9):
        await anyio.sleep(chance.random() * 0.1)
        name = f"member-{number}"
        there[name] = _join(mesh, name, done, simulation)
        if len(there) > 1:
            name = chance.choice(list(there))
            subscription = there.pop(name)
            if chance.random() < 0.5:
                subscription.cancel()
            else:
                await mesh.stop(name, at_once=chance.random() < 0.5)


def _join(mesh: Mesh, name: str, done: dict[str, list[Job]], simulation: Simulation) -> Subscription:
    mesh.add(Member(name, done, simulation.random.choice(("resume", "restart"))))
    return mesh.subscribe(simulation.random.choice(("jobs.*", "jobs.**")), name, group="hands")


def _check_one_each(done: dict[str, list[Job]], received: dict[Job, int], letters: Counter[Any]) -> list[Job]:
    """Look whether of the members exactly one has got each job; return what nobody has begun and no dead letter is."""
    handled = Counter(job for jobs in done.values() for job in jobs)
    for job, count in received.items():
        assert count in {0, 1}, f"{job} went to {count} members of one group"
        assert handled[job] <= count, f"{job} was handled {handled[job]} times, {count} had received it"
    return [job for job in received if not handled[job] and not letters[job]]


def _check_order(done: dict[str, list[Job]]) -> None:
    """Look whether what one publisher sends one member comes in order."""
    for name, jobs in done.items():
        for publisher in range(3):
            numbers = [job.number for job in jobs if job.publisher == publisher]
            assert numbers == sorted(numbers), f"{name} got {numbers} from publisher {publisher}"


# -- a publisher that never waits --------------------------------------------------------------------------------------


async def run_hasty_publisher(simulation: Simulation) -> None:
    """Publish to slow subscribers with little room, refusing to wait: no time passes, and every miss is counted."""
    done: dict[str, list[Job]] = {}
    async with simulation.mesh("market") as mesh:
        for number in range(3):
            mesh.add(Member(f"member-{number}", done, "resume"))
            mesh.subscribe("jobs", f"member-{number}", group=simulation.random.choice((None, "hands")))
        offered = received = 0
        for number in range(20):
            began = anyio.current_time()
            received += await mesh.publish("jobs", Job(0, number), when_full="refuse")
            assert anyio.current_time() == began, "the publisher has waited"
            offered += _receivers(mesh)
            await anyio.sleep(simulation.random.random() * 0.05)
        await mesh.drain()
        counted = mesh.statistics()
        assert counted.dead_letters.get("full", 0) == offered - received
        assert sum(agent.accepted for agent in counted.agents.values()) == received


def _receivers(mesh: Mesh) -> int:
    found = mesh.interior.subscriptions.receivers("jobs")
    return len(found.each) + len(found.groups)


# -- hostile interceptors ----------------------------------------------------------------------------------------------


class Worker(Agent):
    """Handles on the loop, in a thread, part by part, and by asking another."""

    async def on_message(self, message: Any, context: Context) -> Any:
        await anyio.sleep(0.02)
        if message == "ask" and context.address != "last":
            return await context.ask("last", message)
        if message == "break":
            raise ValueError(message)
        return message


class ThreadWorker(Agent):
    """The same in a thread."""

    def on_message(self, message: Any) -> Any:
        if message == "break":
            raise ValueError(message)
        return message


async def run_hostile_interceptors(simulation: Simulation) -> None:
    """Let interceptors raise, swallow, go on twice or never, wait, and cancel: every ask ends, the law holds."""
    hostile = _Hostile(simulation)
    ended, sent = Counter[str](), 0
    async with simulation.mesh("market", interceptors=[hostile.deliver, hostile.handle, hostile.deliver]) as mesh:
        for agent in (Worker("first"), Worker("last"), ThreadWorker("thread")):
            mesh.add(agent)
        mesh.subscribe("all", "first")
        mesh.subscribe("all", "thread", group="g")

        async def send(client: int) -> None:
            for number in range(6):
                name = ("first", "last", "thread")[(client + number) % 3]
                message = simulation.random.choice(("ask", "break", "x", "y"))
                with anyio.move_on_after(0.5 if simulation.random.random() < 0.2 else 60) as scope:
                    ended[await _outcome(mesh, name, message, number)] += 1
                ended["left"] += scope.cancelled_caught

        async with anyio.create_task_group() as tasks:
            for client in range(3):
                tasks.start_soon(send, client)
                sent += 6
        await mesh.drain()
        counted = mesh.statistics()
    assert ended.total() == sent
    assert counted.is_balanced
    assert counted.pending_asks == 0
    assert counted.dead_letters.get("rejected", 0) == hostile.rejected


async def _outcome(mesh: Mesh, name: str, message: Any, number: int) -> str:
    """Send *message* in one of the ways there are; say how that ended."""
    try:
        if number % 3 == 0:
            await mesh.tell(name, message)
        elif number % 3 == 1:
            await mesh.ask(name, message, timeout=5)
        else:
            await mesh.publish("all", message)
    except CeylonError as error:
        return type(error).__name__
    return "done"


class _Hostile:
    """Interceptors that do, by chance, whatever they should not."""

    def __init__(self, simulation: Simulation) -> None:
        self._chance = simulation.random
        self._depth = 0
        self.rejected = 0

    def deliver(self, envelope: Envelope, call_next: Any) -> None:
        """Stand around delivery; twice in one onion."""
        self._depth += 1
        try:
            self._deliver(envelope, call_next)
        except BaseException:
            self.rejected += self._depth == 1
            raise
        finally:
            self._depth -= 1

    def _deliver(self, envelope: Envelope, call_next: Any) -> None:
        what = self._chance.random()
        if what < 0.1:
            raise PermissionError
        call_next(envelope)
        if what < 0.2:
            with contextlib.suppress(CeylonError):
                call_next(envelope)
        elif what < 0.25:
            call_next(envelope)

    async def handle(self, envelope: Envelope, call_next: Any) -> Any:
        """Stand around handling."""
        what = self._chance.random()
        if what < 0.1:
            raise PermissionError
        if what < 0.2:
            return "no"
        if what < 0.3:
            with anyio.move_on_after(0.01):
                return await call_next(envelope)
            return "too slow"
        reply = await call_next(envelope)
        if what < 0.4:
            with contextlib.suppress(CeylonError):
                await call_next(envelope)
        elif what < 0.5:
            await call_next(envelope)
        elif what < 0.6:
            await anyio.sleep(1)
        elif what < 0.65:
            raise anyio.get_cancelled_exc_class()
        return reply
