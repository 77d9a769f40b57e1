"""Plain `def` handlers: threads in numbers, in order, and out of each other's way."""

import contextvars
import itertools
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import anyio
import pytest

from ceylon import Agent, BlockingContext, Context, DeadlockError, HandlerError, Mesh, on
from ceylon.errors import AskTimeoutError
from support.core_agents import SECONDS, HeldInAThread, until
from support.leftovers import DEADLINE, eventually, threads_left, tidy_mesh

VARIABLE: Final[contextvars.ContextVar[int]] = contextvars.ContextVar("threads_variable", default=0)


@pytest.fixture
async def mesh(anyio_backend: str) -> AsyncIterator[Mesh]:
    """A mesh that must end tidily."""
    async with tidy_mesh() as mesh:
        yield mesh


class Gate:
    """Lets threads in, counts them, and holds them until it is opened."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self._lock = threading.Lock()
        self.inside: Counter[str] = Counter()
        self.most: Counter[str] = Counter()

    def open(self) -> None:
        """Let everybody out."""
        self._open.set()

    def enter(self, name: str) -> None:
        """Wait inside until the gate is open."""
        self._count(name, 1)
        try:
            assert self._open.wait(DEADLINE)
        finally:
            self._count(name, -1)

    def _count(self, name: str, step: int) -> None:
        with self._lock:
            for key in (name, "all"):
                self.inside[key] += step
                self.most[key] = max(self.most[key], self.inside[key])


class Visitor(Agent):
    """Enters the gate for every message, in up to *concurrency* threads."""

    def __init__(self, name: str, gate: Gate, concurrency: int = 1) -> None:
        super().__init__(name)
        self.gate, self.concurrency = gate, concurrency

    def on_message(self, message: Any) -> str:
        self.gate.enter(self.name)
        return threading.current_thread().name


async def test_a_mesh_runs_handlers_in_so_many_threads_and_an_agent_in_four() -> None:
    gate = Gate()
    async with tidy_mesh() as mesh:
        for number in range(12):
            ref = mesh.add(Visitor(f"visitor-{number}", gate, concurrency=8))
            for _ in range(8):
                ref.tell_nowait("enter")
        await eventually(lambda: gate.inside["all"] == 32)
        await anyio.wait_all_tasks_blocked()
        full = mesh.statistics().threads
        gate.open()
        await mesh.drain()

    assert full.running == 32
    assert gate.most["all"] == 32
    assert max(count for name, count in gate.most.items() if name != "all") <= 4
    assert mesh.statistics().stopped_agents.completed == 96


async def test_threads_carry_the_mesh_s_name(mesh: Mesh) -> None:
    gate = Gate()
    gate.open()
    ref = mesh.add(Visitor("visitor", gate))

    name = await ref.ask("enter")

    assert name.startswith("ceylon test ")


async def test_one_thread_is_used_again_and_again(mesh: Mesh) -> None:
    gate = Gate()
    gate.open()
    ref = mesh.add(Visitor("visitor", gate))

    names = {await ref.ask("enter") for _ in range(50)}

    assert len(names) <= 2


async def test_a_stuck_agent_holds_up_no_other(mesh: Mesh) -> None:
    stuck, free = Gate(), Gate()
    free.open()
    mesh.add(Visitor("stuck", stuck, concurrency=100))
    for _ in range(100):
        mesh.ref("stuck").tell_nowait("enter")
    other = mesh.add(Visitor("other", free))

    with anyio.fail_after(DEADLINE):
        for _ in range(20):
            await other.ask("enter")

    stuck.open()


class Link(Agent):
    """Asks the next one in the chain, blocking its thread."""

    def __init__(self, name: str, following: str) -> None:
        super().__init__(name)
        self.following = following

    def on_message(self, message: int, context: BlockingContext) -> int:
        if not self.following:
            return message
        answer: int = context.ask(self.following, message + 1)
        return answer


def chain(mesh: Mesh, length: int) -> None:
    """Add agents 1 to *length*, each of which asks the next."""
    for number in range(1, length + 1):
        following = f"link-{number + 1}" if number < length else ""
        mesh.add(Link(f"link-{number}", following))


@pytest.mark.parametrize("backend_threads", [1, 32])
async def test_a_thread_that_waits_for_an_answer_gives_its_slot_to_another(backend_threads: int) -> None:
    async with tidy_mesh(threads=backend_threads) as mesh:
        chain(mesh, 40)

        assert await mesh.ask("link-1", 0, timeout=DEADLINE) == 39

        await eventually(lambda: not (mesh.statistics().threads.running or mesh.statistics().threads.blocked))


async def test_too_many_waiting_threads_are_a_deadlock_that_names_the_limiter() -> None:
    async with tidy_mesh(threads=4, thread_cap=8) as mesh:
        chain(mesh, 20)

        with anyio.fail_after(DEADLINE), pytest.raises(DeadlockError, match="thread limiter") as caught:
            await mesh.ask("link-1", 0)

        assert "8 threads of mesh 'test'" in str(caught.value)
        await mesh.drain()
        assert [mesh.statistics().agents[f"link-{number}"].accepted for number in range(9, 21)] == [0] * 12
        assert await mesh.ask("link-15", 0) == 5


async def test_the_cap_holds_for_running_and_waiting_threads_together() -> None:
    gate = Gate()

    class Hub(Agent):
        concurrency = 4

        def on_message(self, message: int, context: BlockingContext) -> Any:
            return context.ask(f"end-{self.name}", message)

    async with tidy_mesh(threads=4, thread_cap=6) as mesh:
        for number in range(3):
            mesh.add(Hub(f"hub-{number}"))
            mesh.add(Visitor(f"end-hub-{number}", gate, concurrency=4))
            for _ in range(4):
                mesh.ref(f"hub-{number}").tell_nowait(1)
        await eventually(lambda: gate.inside["all"] or mesh.statistics().threads.blocked >= 5)
        await anyio.wait_all_tasks_blocked()
        most = len([name for name in threads_left("test") if name.rpartition(" ")[2].isdigit()])  # not the watchdog
        gate.open()
        await mesh.drain()

    assert most <= 6


# -- leases ------------------------------------------------------------------------------------------------------------


class Counting(Agent):
    """Keeps what it was told, with a look at who else is inside."""

    def __init__(self, name: str, *, fails_at: frozenset[int] = frozenset(), log: list[Any] | None = None) -> None:
        super().__init__(name)
        self.fails_at = fails_at
        self.log: list[Any] = [] if log is None else log
        self.inside = 0
        self.most = 0

    @on
    def count(self, number: int) -> int:
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            self.log.append(number)
            if number in self.fails_at:
                raise ValueError(number)
            return number
        finally:
            self.inside -= 1

    @on
    async def count_on_the_loop(self, word: str) -> str:
        self.inside += 1
        self.most = max(self.most, self.inside)
        await anyio.lowlevel.checkpoint()
        self.log.append(word)
        self.inside -= 1
        return word


async def test_a_lease_keeps_the_order(mesh: Mesh) -> None:
    agent = Counting("agent")
    ref = mesh.add(agent)

    for number in range(900):
        ref.tell_nowait(number)
    assert await ref.ask(900) == 900

    assert agent.log == list(range(901))
    assert agent.most == 1


async def test_sync_and_async_handlers_of_one_agent_keep_one_order(mesh: Mesh) -> None:
    agent = Counting("agent")
    ref = mesh.add(agent)
    sent: list[Any] = [number if number % 3 else str(number) for number in range(300)]

    for message in sent:
        ref.tell_nowait(message)
    await ref.ask("end")

    assert agent.log == [*sent, "end"]
    assert agent.most == 1


async def test_askers_in_one_lease_get_each_their_own_answer(mesh: Mesh) -> None:
    ref = mesh.add(Counting("agent", fails_at=frozenset({50})))
    answers: dict[int, Any] = {}

    async def ask(number: int) -> None:
        try:
            answers[number] = await ref.ask(number)
        except HandlerError as error:
            answers[number] = type(error.root)

    async with anyio.create_task_group() as group:
        for number in range(100):
            group.start_soon(ask, number)

    assert answers == {**{number: number for number in range(100)}, 50: ValueError}


async def test_a_failure_inside_a_lease_restarts_before_the_next_message(mesh: Mesh) -> None:
    class Restarting(Counting):
        on_failure = "restart"

        @on
        def count(self, number: int) -> int:
            self.log.append(id(self))
            return super().count(number)

    log: list[Any] = []
    ref = mesh.add(Restarting("agent", fails_at=frozenset({5}), log=log))

    for number in range(10):
        ref.tell_nowait(number)
    await ref.ask("end")

    instances, numbers = log[:-1:2], log[1:-1:2]
    assert numbers == list(range(10))
    assert len(set(instances[:6])) == len(set(instances[6:])) == 1
    assert instances[5] != instances[6]


async def test_what_a_lease_holds_is_pending(mesh: Mesh) -> None:
    gate = Gate()
    ref = mesh.add(Visitor("visitor", gate))
    for _ in range(10):
        ref.tell_nowait("enter")
    await eventually(lambda: gate.inside["all"])

    during = mesh.statistics()
    gate.open()
    await mesh.drain()

    assert during.agents["visitor"].pending == 10
    assert during.is_balanced
    assert mesh.statistics().agents["visitor"].completed == 10


async def test_a_late_answer_of_a_thread_is_dropped_and_counted(mesh: Mesh) -> None:
    gate = Gate()
    ref = mesh.add(Visitor("visitor", gate))

    while not gate.inside["all"]:  # on a busy machine a thread may take longer to begin than the asker waits
        with pytest.raises(AskTimeoutError):
            await ref.ask("enter", timeout=0.01)
    gate.open()
    await mesh.drain()

    statistics = mesh.statistics()
    assert statistics.late_replies == 1
    assert statistics.agents["visitor"].completed == 1
    assert statistics.pending_asks == 0


async def test_what_expires_in_a_lease_is_not_handled(mesh: Mesh) -> None:
    gate = Gate()
    agent = Visitor("visitor", gate)
    ref = mesh.add(agent)
    ref.tell_nowait("enter")
    await eventually(lambda: gate.inside["all"])

    with pytest.raises(AskTimeoutError):
        await ref.ask("too late", timeout=0.01)
    gate.open()
    await mesh.drain()

    statistics = mesh.statistics().agents["visitor"]
    assert (statistics.completed, statistics.expired + statistics.cancelled) == (1, 1)


@pytest.mark.big
async def test_a_hundred_thousand_tells_to_a_thread_are_all_counted(mesh: Mesh) -> None:
    agent = Counting("agent")
    ref = mesh.add(agent)

    for number in range(100_000):
        await ref.tell(number)
    await mesh.drain()

    assert agent.log == list(range(100_000))
    assert mesh.statistics().agents["agent"].completed == 100_000


class Variable(Agent):
    @on
    def change(self, number: int) -> int:
        before = VARIABLE.get()
        VARIABLE.set(number)
        return before


async def test_context_variables_do_not_pass_from_message_to_message(mesh: Mesh) -> None:
    ref = mesh.add(Variable("agent"))
    for number in range(1, 10):
        ref.tell_nowait(number)

    assert await ref.ask(100) == 0
    assert VARIABLE.get() == 0


# -- results that are not yet results ----------------------------------------------------------------------------------


class Lazy(Agent):
    """A sync agent whose results are finished on the loop."""

    def __init__(self, name: str, may_go: anyio.Event) -> None:
        super().__init__(name)
        self.may_go = may_go
        self.log: list[str] = []

    @on
    def slow(self, word: str) -> Any:
        return self.finish(word)

    @on
    def quick(self, number: int) -> int:
        self.log.append(str(number))
        return number

    async def finish(self, word: str) -> str:
        self.log.append(f"{word} begins")
        await self.may_go.wait()
        self.log.append(f"{word} ends")
        return word


async def test_a_returned_coroutine_holds_the_agent_until_it_is_done(mesh: Mesh) -> None:
    may_go = anyio.Event()
    agent = Lazy("agent", may_go)
    ref = mesh.add(agent)

    for message in ("one", 2, "three", 4):
        ref.tell_nowait(message)
    await eventually(lambda: agent.log)
    await anyio.wait_all_tasks_blocked()
    during = mesh.statistics()
    may_go.set()
    await ref.ask(5, timeout=60)

    assert agent.log == ["one begins", "one ends", "2", "three begins", "three ends", "4", "5"]
    assert during.agents["agent"].pending == 4
    assert during.is_balanced


async def test_a_returned_coroutine_that_waits_is_cancelled_at_the_stop() -> None:
    async with tidy_mesh(drain_timeout=0.05, stop_grace=60.0) as mesh:
        agent = Lazy("agent", anyio.Event())
        ref = mesh.add(agent)
        ref.tell_nowait("one")
        await eventually(lambda: agent.log)

        with anyio.fail_after(20):
            await mesh.stop(ref)

    assert mesh.statistics().stopped_agents.cancelled == 1


# -- generators --------------------------------------------------------------------------------------------------------


class Storyteller(Agent):
    """Tells stories part by part, from a thread."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.told = 0
        self.has_closed = threading.Event()
        self.may_go_on = threading.Event()

    @on
    def tell_for_ever(self, word: str) -> Iterator[str]:
        try:
            for number in itertools.count(1):
                self.told = number
                yield f"{word} {number}"
        finally:
            self.has_closed.set()

    @on
    def tell_and_wait(self, number: int) -> Iterator[int]:
        yield number
        assert self.may_go_on.wait(DEADLINE)
        yield number + 1

    @on
    def break_off(self, number: float) -> Iterator[float]:
        yield number
        raise ValueError("lost the thread")


async def test_the_first_part_arrives_while_the_producer_is_still_at_work(mesh: Mesh) -> None:
    agent = Storyteller("agent")
    stream = mesh.add(agent).stream(7)

    with anyio.fail_after(DEADLINE):
        first = await anext(stream)
    agent.may_go_on.set()

    assert [first, *await stream.result()] == [7, 8]


async def test_a_producer_is_never_more_than_its_credit_ahead() -> None:
    async with tidy_mesh(stream_credit=4, threads=1) as mesh:
        agent = Storyteller("agent")
        other = mesh.add(Counting("other"))
        stream = mesh.add(agent).stream("part")

        first = await anext(stream)
        assert await other.ask(1) == 1  # the only thread is free although the producer has not ended
        await eventually(lambda: agent.told >= 4)
        await other.ask(2)
        told = agent.told
        taken = [await anext(stream) for _ in range(9)]
        await stream.aclose()
        await eventually(agent.has_closed.is_set)

    assert [first, *taken] == [f"part {number}" for number in range(1, 11)]
    assert told <= 1 + 4 + 1


async def test_a_stream_left_early_closes_the_generator(mesh: Mesh) -> None:
    agent = Storyteller("agent")
    ref = mesh.add(agent)

    async with ref.stream("part") as stream:
        async for part in stream:
            assert part == "part 1"
            break

    await eventually(agent.has_closed.is_set)
    assert await ref.stream(1.5, timeout=60).__anext__() == 1.5


async def test_a_generator_that_fails_gives_its_parts_first(mesh: Mesh) -> None:
    stream = mesh.add(Storyteller("agent")).stream(1.5)

    parts = [await anext(stream)]
    with pytest.raises(HandlerError, match="lost the thread"):
        await anext(stream)

    assert parts == [1.5]


class Mixed(Agent):
    """Has both kinds of context."""

    @on
    async def on_loop(self, word: str, context: Context) -> type:
        return type(context)

    @on
    def in_thread(self, number: int, context: BlockingContext) -> type:
        return type(context)

    @on
    def generate(self, number: float, context: BlockingContext) -> Iterator[type]:
        yield type(context)


async def test_each_handler_gets_the_context_of_its_colour(mesh: Mesh) -> None:
    ref = mesh.add(Mixed("agent"))

    assert await ref.ask("word") is Context
    assert await ref.ask(1) is BlockingContext
    assert await ref.ask(1.5) == [BlockingContext]


async def test_a_sender_comes_in_while_a_thread_is_at_its_next_message(mesh: Mesh) -> None:
    class Small(HeldInAThread):
        mailbox_capacity = 1

    gates = {"first": threading.Event(), "second": threading.Event()}

    class Gated(Small):
        def on_message(self, message: str) -> None:
            self.begun.append(message)
            if message in gates:
                assert gates[message].wait(SECONDS)

    agent = Gated("gated")
    ref = mesh.add(agent)
    await ref.tell("first")
    await until(lambda: agent.begun)
    await ref.tell("second")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ref.tell, "waits for room")
        await until(lambda: mesh.interior.router.cells["gated"].parked)

        gates["first"].set()  # the same lease goes on with the second, which takes its time

        await until(lambda: agent.begun == ["first", "second"])
        await until(lambda: not mesh.interior.router.cells["gated"].parked)
        gates["second"].set()
    await mesh.drain()

    assert agent.begun == ["first", "second", "waits for room"]
