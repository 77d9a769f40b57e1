"""The end of a mesh: refuse, drain, cancel, give up; whoever asks for it, and whatever is under way."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anyio
import pytest

from ceylon import Agent, BlockingContext, Context, HandlerError, Mesh, MeshClosedError, UnknownAgentError, on
from ceylon.errors import AgentStoppedError
from support.hostile_agents import Stubborn, Wait
from support.law import check_end, check_law, lawful_mesh
from support.leftovers import DEADLINE, eventually, quick, tasks_left, threads_left, tidy_mesh


@pytest.fixture
async def mesh(anyio_backend: str) -> AsyncIterator[Mesh]:
    """A mesh that must end tidily."""
    async with tidy_mesh() as mesh:
        yield mesh


@pytest.fixture
async def hasty(anyio_backend: str) -> AsyncIterator[Mesh]:
    """The same for what never ends by itself: it does not wait long."""
    async with tidy_mesh(drain_timeout=0.1, stop_grace=0.1) as mesh:
        yield mesh


class Sleeper(Agent):
    """Sleeps until it is cancelled or woken."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.is_asleep, self.may_wake = anyio.Event(), anyio.Event()
        self.log: list[str] = []

    @on
    async def sleep(self, word: str) -> str:
        self.is_asleep.set()
        try:
            await self.may_wake.wait()
        except anyio.get_cancelled_exc_class():
            self.log.append(f"{word} cancelled")
            raise
        self.log.append(f"{word} done")
        return word


class Stuck(Agent):
    """Blocks its thread until it is released."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.is_stuck, self.may_end, self.has_ended = threading.Event(), threading.Event(), threading.Event()

    @on
    def block(self, word: str) -> str:
        self.is_stuck.set()
        assert self.may_end.wait(DEADLINE)
        self.has_ended.set()
        return word

    @on
    def add(self, number: int) -> int:
        return number + 1


async def told(errors: list[BaseException], ask: Awaitable[Any]) -> None:
    """Await *ask* and keep what it raises."""
    try:
        await ask
    except Exception as error:  # noqa: BLE001 – the test looks at it
        errors.append(error)


# -- refuse and drain --------------------------------------------------------------------------------------------------


class Relay(Agent):
    """Passes on what it gets, once it may; by a tell and an ask."""

    def __init__(self, name: str, may_go: anyio.Event) -> None:
        super().__init__(name)
        self.may_go = may_go

    @on
    async def relay(self, word: str, context: Context) -> Any:
        await self.may_go.wait()
        await context.tell("counter", 1)
        return await context.ask("counter", 2)


class Counter(Agent):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.numbers: list[int] = []

    @on
    async def count(self, number: int) -> int:
        self.numbers.append(number)
        return sum(self.numbers)


async def test_a_draining_mesh_refuses_strangers_while_its_agents_go_on_talking(anyio_backend: str) -> None:
    may_go = anyio.Event()
    mesh = await Mesh(settings=quick()).start()
    counter = Counter("counter")
    mesh.add(counter)
    relay = mesh.add(Relay("relay", may_go))
    answers: list[Any] = []

    async def ask() -> None:
        answers.append(await relay.ask("go"))

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await eventually(lambda: mesh.statistics().agents["relay"].pending)
        group.start_soon(mesh.stop)
        await eventually(lambda: mesh.interior.is_stopping)
        with pytest.raises(MeshClosedError, match="stopping"):
            await relay.tell("too late")
        with pytest.raises(MeshClosedError):
            relay.tell_nowait("too late")
        with pytest.raises(MeshClosedError):
            await relay.ask("too late")
        with pytest.raises(MeshClosedError):
            mesh.add(Counter("another"))
        may_go.set()

    assert answers == [3]
    assert counter.numbers == [1, 2]
    assert mesh.statistics().dead_letters == {"closed": 3}
    check_end(mesh.statistics())


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_leaving_the_block_drains_what_was_accepted(kind: str) -> None:
    async with tidy_mesh() as mesh:
        agent = Counter("agent") if kind == "async" else Stuck("agent")
        ref = mesh.add(agent)
        for number in range(500):
            ref.tell_nowait(number)

    assert mesh.statistics().stopped_agents.completed == 500


async def test_what_is_not_drained_in_time_is_cancelled() -> None:
    sleeper = Sleeper("sleeper")
    errors: list[BaseException] = []
    async with anyio.create_task_group() as group, tidy_mesh(drain_timeout=0.05, stop_grace=1.0) as mesh:
        ref = mesh.add(sleeper)
        group.start_soon(told, errors, ref.ask("one"))
        await sleeper.is_asleep.wait()
        ref.tell_nowait("two")
        group.start_soon(told, errors, ref.ask("three"))
        await eventually(lambda: mesh.statistics().agents["sleeper"].accepted == 3)

    gone = mesh.statistics().stopped_agents
    assert (gone.cancelled, gone.dead_lettered, gone.pending) == (1, 2, 0)
    assert [type(error) for error in errors] == [MeshClosedError] * 2
    assert sleeper.log == ["one cancelled"]
    assert mesh.statistics().dead_letters == {"stopped": 2}


async def test_leaving_the_block_by_an_exception_cancels_at_once() -> None:
    sleeper = Sleeper("sleeper")

    with anyio.fail_after(DEADLINE), pytest.raises(LookupError, match="the block failed"):
        async with tidy_mesh(drain_timeout=60) as mesh:
            mesh.add(sleeper).tell_nowait("one")
            await sleeper.is_asleep.wait()
            raise LookupError("the block failed")

    assert sleeper.log == ["one cancelled"]


async def test_a_cancelled_block_still_stops_in_order() -> None:
    sleeper = Sleeper("sleeper")
    mesh = Mesh(settings=quick(drain_timeout=60))
    diary: list[str] = []

    class Ending(Agent):
        async def on_stop(self) -> None:
            await anyio.lowlevel.checkpoint()
            diary.append("on_stop")

    with anyio.CancelScope() as scope:
        async with mesh:
            mesh.add(Ending("ending"))
            mesh.add(sleeper).tell_nowait("one")
            await sleeper.is_asleep.wait()
            scope.cancel()
            await anyio.sleep_forever()

    assert scope.cancelled_caught
    assert sleeper.log == ["one cancelled"]
    assert diary == ["on_stop"]
    check_end(mesh.statistics())


async def test_a_hurry_ends_a_drain_that_has_begun(anyio_backend: str) -> None:
    mesh = await Mesh(settings=quick(drain_timeout=60)).start()
    sleeper = Sleeper("sleeper")
    mesh.add(sleeper).tell_nowait("one")
    await sleeper.is_asleep.wait()

    with anyio.fail_after(DEADLINE):
        async with anyio.create_task_group() as group:
            group.start_soon(mesh.stop)
            await eventually(lambda: mesh.interior.is_stopping)
            await mesh.stop(at_once=True)

    assert sleeper.log == ["one cancelled"]


async def test_a_cancelled_drain_of_the_caller_leaves_the_mesh_open(mesh: Mesh) -> None:
    sleeper = Sleeper("sleeper")
    ref = mesh.add(sleeper)
    ref.tell_nowait("one")

    with anyio.move_on_after(0.02):
        await mesh.drain()
    sleeper.may_wake.set()
    await mesh.drain()

    assert await ref.ask("two") == "two"


# -- give up -----------------------------------------------------------------------------------------------------------


async def test_a_handler_that_ignores_its_cancellation_is_given_up(anyio_backend: str) -> None:
    stubborn = Stubborn("stubborn")
    other = Sleeper("other")
    errors: list[BaseException] = []
    mesh = await Mesh(settings=quick(drain_timeout=0.05, stop_grace=0.05)).start()

    with anyio.fail_after(DEADLINE):
        async with anyio.create_task_group() as group:
            mesh.add(other).tell_nowait("one")
            group.start_soon(told, errors, mesh.add(stubborn).ask(Wait()))
            await stubborn.is_waiting.wait()
            await mesh.stop()

    gone = mesh.statistics().stopped_agents
    assert (gone.cancelled, gone.pending) == (2, 0)
    assert isinstance(errors[0], MeshClosedError)
    check_end(mesh.statistics())
    stubborn.may_end.set()
    await stubborn.has_ended.wait()
    await eventually(lambda: not tasks_left())
    check_end(mesh.statistics())


async def test_an_agent_whose_handler_ignores_its_cancellation_can_be_replaced(hasty: Mesh) -> None:
    stubborn = Stubborn("agent")
    replaced = hasty.ref("agent")
    answers: list[int] = []
    errors: list[BaseException] = []
    async with anyio.create_task_group() as group:
        group.start_soon(told, errors, hasty.add(stubborn).ask(Wait()))
        await stubborn.is_waiting.wait()
        with anyio.fail_after(DEADLINE):
            await hasty.stop("agent")
        hasty.add(Counter("agent"))
        answers.append(await replaced.ask(7))
        stubborn.may_end.set()
        await stubborn.has_ended.wait()

    assert isinstance(errors[0], AgentStoppedError)
    assert answers == [7]
    assert await replaced.ask(1) == 8
    assert hasty.statistics().stopped_agents.cancelled == 1
    check_law(hasty.statistics())


async def test_a_stuck_thread_is_abandoned_counted_and_harmless(anyio_backend: str) -> None:
    stuck = Stuck("stuck")
    errors: list[BaseException] = []
    mesh = await Mesh("test", settings=quick(drain_timeout=0.05, stop_grace=0.05)).start()

    with anyio.fail_after(DEADLINE):
        async with anyio.create_task_group() as group:
            ref = mesh.add(stuck)
            group.start_soon(told, errors, ref.ask("one"))
            await eventually(stuck.is_stuck.is_set)
            ref.tell_nowait("two")
            await mesh.stop()

    at_the_end = mesh.statistics()
    stuck.may_end.set()
    await eventually(lambda: not threads_left("test"))

    assert at_the_end.threads.abandoned == 1
    assert (at_the_end.stopped_agents.cancelled, at_the_end.stopped_agents.dead_lettered) == (1, 1)
    assert isinstance(errors[0], MeshClosedError)
    assert stuck.has_ended.is_set()
    assert mesh.statistics().stopped_agents == at_the_end.stopped_agents
    check_end(mesh.statistics())


async def test_a_stuck_thread_of_a_stopped_agent_is_counted_and_disturbs_no_namesake(hasty: Mesh) -> None:
    stuck = Stuck("agent")
    errors: list[BaseException] = []
    async with anyio.create_task_group() as group:
        group.start_soon(told, errors, hasty.add(stuck).ask("one"))
        await eventually(stuck.is_stuck.is_set)
        await hasty.stop("agent")
    replaced = hasty.add(Counter("agent"))
    await replaced.ask(7)
    abandoned = hasty.statistics().threads.abandoned
    stuck.may_end.set()
    await eventually(stuck.has_ended.is_set)
    await eventually(lambda: not hasty.statistics().threads.running)

    assert isinstance(errors[0], AgentStoppedError)
    assert abandoned == 1
    statistics = hasty.statistics()
    assert (statistics.agents["agent"].accepted, statistics.agents["agent"].completed) == (1, 1)
    assert (statistics.stopped_agents.cancelled, statistics.stopped_agents.completed) == (1, 0)


# -- one agent ---------------------------------------------------------------------------------------------------------


async def test_stopping_one_agent_ends_what_it_has(hasty: Mesh) -> None:
    sleeper = Sleeper("sleeper")
    ref = hasty.add(sleeper)
    other = hasty.add(Counter("other"))
    errors: list[BaseException] = []

    async with anyio.create_task_group() as group:
        group.start_soon(told, errors, ref.ask("one"))
        await sleeper.is_asleep.wait()
        group.start_soon(told, errors, ref.ask("two"))
        await eventually(lambda: hasty.statistics().agents["sleeper"].accepted == 2)
        ref.tell_nowait("three")
        await hasty.stop(ref)

    assert [type(error) for error in errors] == [AgentStoppedError] * 2
    assert hasty.statistics().dead_letters == {"stopped": 2}
    assert hasty.agents == ["other"]
    assert await other.ask(1) == 1
    with pytest.raises(UnknownAgentError):
        await ref.tell("four")
    with pytest.raises(UnknownAgentError):
        await hasty.stop(ref)


async def test_a_stopping_agent_finishes_what_it_has_begun(mesh: Mesh) -> None:
    sleeper = Sleeper("sleeper")
    ref = mesh.add(sleeper)
    answers: list[str] = []

    async def ask() -> None:
        answers.append(await ref.ask("one"))

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await sleeper.is_asleep.wait()
        group.start_soon(mesh.stop, ref)
        await eventually(lambda: mesh.statistics().agents["sleeper"].state == "stopping")
        sleeper.may_wake.set()

    assert answers == ["one"]
    assert sleeper.log == ["one done"]


async def test_a_sender_that_waits_for_room_hears_of_the_stop() -> None:
    class Small(Sleeper):
        mailbox_capacity = 1

    async with tidy_mesh(drain_timeout=0.05) as mesh:
        sleeper = Small("sleeper")
        ref = mesh.add(sleeper)
        errors: list[BaseException] = []

        async with anyio.create_task_group() as group:
            ref.tell_nowait("one")
            await sleeper.is_asleep.wait()
            ref.tell_nowait("two")
            group.start_soon(told, errors, ref.tell("three"))
            group.start_soon(told, errors, ref.ask("four"))
            await anyio.wait_all_tasks_blocked()
            with anyio.fail_after(DEADLINE):
                await mesh.stop(ref)

        assert [type(error) for error in errors] == [AgentStoppedError] * 2


# -- from inside -------------------------------------------------------------------------------------------------------


class Suicidal(Agent):
    """Stops what it is told to, from its own handler."""

    def __init__(self, name: str, mesh: Mesh) -> None:
        super().__init__(name)
        self.mesh = mesh

    @on
    async def stop_on_loop(self, target: str) -> None:
        await self.mesh.stop(target or None)

    @on
    def stop_in_thread(self, target: bytes) -> None:
        self.mesh.blocking.stop(target.decode() or None)


@pytest.mark.parametrize("message", ["agent", b"agent"])
async def test_an_agent_may_stop_itself(message: Any, mesh: Mesh) -> None:
    ref = mesh.add(Suicidal("agent", mesh))
    other = mesh.add(Counter("other"))

    with anyio.fail_after(DEADLINE):
        assert await ref.ask(message) is None  # it comes to its own end first
        await eventually(lambda: mesh.agents == ["other"])

    assert await other.ask(1) == 1


@pytest.mark.parametrize("message", ["", b""])
async def test_an_agent_may_stop_the_mesh(message: Any, mesh: Mesh) -> None:
    ref = mesh.add(Suicidal("agent", mesh))

    with anyio.fail_after(DEADLINE):
        assert await ref.ask(message) is None  # it comes to its own end first
        await mesh.wait()

    assert not mesh.is_open


@pytest.mark.parametrize("message", ["other", b"other"])
async def test_an_agent_may_stop_another(message: Any, mesh: Mesh) -> None:
    ref = mesh.add(Suicidal("agent", mesh))
    mesh.add(Counter("other"))

    await ref.ask(message)

    assert mesh.agents == ["agent"]


# -- odd ways in and out -----------------------------------------------------------------------------------------------


async def test_stopping_twice_is_stopping_once(mesh: Mesh) -> None:
    mesh.add(Counter("counter"))

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(mesh.stop)
    await mesh.stop()
    await mesh.wait()

    assert not mesh.is_open


async def test_a_mesh_is_used_once() -> None:
    mesh = Mesh()
    async with mesh:
        with pytest.raises(MeshClosedError, match="once"):
            await mesh.start()

    with pytest.raises(MeshClosedError, match="once"):
        async with mesh:
            pass


async def test_a_closed_mesh_says_so_to_everybody() -> None:
    async with Mesh("shut", settings=quick()) as mesh:
        ref = mesh.add(Counter("counter"))

    verbs: list[Callable[[], Awaitable[Any]]] = [
        lambda: ref.ask(1),
        lambda: ref.tell(1),
        lambda: ref.stream(1).result(),
        lambda: ref.call("anything"),
        lambda: mesh.publish("topic", 1),
        lambda: mesh.broadcast(1),
        mesh.drain,
    ]
    for verb in verbs:
        with pytest.raises(MeshClosedError, match="'shut'"):
            await verb()
    with pytest.raises(MeshClosedError, match="'shut'"):
        ref.tell_nowait(1)
    with pytest.raises(MeshClosedError, match="'shut'"):
        mesh.add(Counter("another"))


async def test_a_mesh_that_never_opened_says_so() -> None:
    mesh = Mesh("unopened")
    ref = mesh.add(Counter("counter"))

    with pytest.raises(MeshClosedError, match="not been started"):
        await ref.ask(1)
    with pytest.raises(MeshClosedError, match="not been started"):
        await ref.tell(1)
    await mesh.stop()
    await mesh.wait()


async def test_a_mesh_may_be_entered_in_one_task_and_left_in_another() -> None:
    mesh = Mesh(settings=quick())
    answers: list[int] = []

    async def enter() -> None:
        await mesh.__aenter__()
        mesh.add(Counter("counter"))

    async def use() -> None:
        answers.append(await mesh.ask("counter", 1))

    async def leave() -> None:
        await mesh.__aexit__(None, None, None)

    for step in (enter, use, leave):
        async with anyio.create_task_group() as group:
            group.start_soon(step)

    assert answers == [1]
    check_end(mesh.statistics())


async def test_a_cancelled_task_that_opened_the_mesh_takes_nothing_with_it() -> None:
    mesh = Mesh(settings=quick())

    async with anyio.create_task_group() as group:
        await group.start(_open_and_wait, mesh)
        group.cancel_scope.cancel()

    mesh.add(Counter("counter"))
    assert await mesh.ask("counter", 1) == 1
    await mesh.stop()


async def _open_and_wait(mesh: Mesh, *, task_status: anyio.abc.TaskStatus[None]) -> None:
    await mesh.start()
    task_status.started()
    await anyio.sleep_forever()


async def test_two_meshes_on_one_loop_know_nothing_of_each_other() -> None:
    async with lawful_mesh("left", settings=quick()) as left, lawful_mesh("right", settings=quick()) as right:
        for mesh in (left, right):
            mesh.add(Counter("counter"))
        await left.ask("counter", 1)
        await left.stop()

        assert await right.ask("counter", 5) == 5
        assert left.ref("counter") != right.ref("counter")


class Crossing(Agent):
    """Asks an agent of another mesh, from a handler of this one."""

    def __init__(self, name: str, other: Mesh) -> None:
        super().__init__(name)
        self.other = other

    @on
    async def ask_on_loop(self, number: int) -> Any:
        return await self.other.ask("counter", number)

    @on
    def ask_in_thread(self, number: float) -> Any:
        return self.other.blocking.ask("counter", int(number))


@pytest.mark.parametrize("number", [3, 3.0])
async def test_an_agent_may_ask_another_mesh(number: float) -> None:
    async with lawful_mesh("left", settings=quick()) as left, lawful_mesh("right", settings=quick()) as right:
        right.add(Counter("counter"))
        crossing = left.add(Crossing("crossing", right))

        assert await crossing.ask(number, timeout=DEADLINE) == 3


async def test_many_meshes_one_after_the_other_leave_nothing() -> None:
    before = len(tasks_left())
    for _ in range(50):
        async with Mesh("again", settings=quick()) as mesh:
            assert await mesh.add(Counter("counter")).ask(1) == 1
            assert await mesh.add(Stuck("stuck")).ask(1) == 2

    await eventually(lambda: not threads_left("again"))
    await eventually(lambda: len(tasks_left()) <= before)


# -- the loop ends first -----------------------------------------------------------------------------------------------


class Asking(Agent):
    """Blocks a thread in an ask that nobody answers."""

    def __init__(self, name: str, errors: list[BaseException]) -> None:
        super().__init__(name)
        self.errors = errors

    @on
    def ask(self, name: str, context: BlockingContext) -> Any:
        try:
            return context.ask(name, "for ever")
        except Exception as error:
            self.errors.append(error)
            raise


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_loop_that_ends_without_a_stop_lets_blocked_threads_go(backend: str) -> None:
    errors: list[BaseException] = []
    mesh = Mesh("test", settings=quick())

    async def main() -> None:
        await mesh.start()
        sleeper = Sleeper("sleeper")
        mesh.add(sleeper)
        mesh.add(Asking("asking", errors)).tell_nowait("sleeper")
        thread = threading.Thread(target=ask_from_outside)
        thread.start()
        outsiders.append(thread)
        await sleeper.is_asleep.wait()
        await eventually(lambda: mesh.statistics().agents["sleeper"].accepted == 2)

    def ask_from_outside() -> None:
        try:
            mesh.blocking.ask("sleeper", "from a thread")
        except MeshClosedError as error:
            errors.append(error)

    outsiders: list[threading.Thread] = []
    anyio.run(main, backend=backend)
    outsiders[0].join(DEADLINE)
    _wait_until_no_threads("test")

    assert [type(error) for error in errors] == [MeshClosedError] * 2
    assert not mesh.is_open
    with pytest.raises(MeshClosedError):
        mesh.blocking.ask("sleeper", "too late")


def test_a_mesh_cannot_be_reached_from_the_next_run_but_its_agent_can_move_there() -> None:
    counter = Counter("counter")

    async def run() -> int:
        async with Mesh(settings=quick()) as mesh:
            answer: int = await mesh.add(counter).ask(1)
            return answer

    assert [asyncio.run(run()) for _ in range(3)] == [1, 2, 3]


def _wait_until_no_threads(mesh: str) -> None:
    for thread in threading.enumerate():
        if thread.name.startswith(f"ceylon {mesh}"):
            thread.join(DEADLINE)
    assert not threads_left(mesh)


# -- Ctrl-C in a handler -----------------------------------------------------------------------------------------------


class Interrupted(Agent):
    @on
    async def interrupt_on_loop(self, word: str) -> None:
        raise KeyboardInterrupt

    @on
    def interrupt_in_thread(self, number: int) -> None:
        raise KeyboardInterrupt


@pytest.mark.parametrize("message", ["now", 1])
async def test_a_keyboard_interrupt_in_a_handler_stops_the_mesh_in_order(message: Any) -> None:
    diary: list[str] = []

    class Ending(Agent):
        async def on_stop(self) -> None:
            diary.append("on_stop")

    mesh = Mesh(settings=quick(drain_timeout=60))
    with anyio.fail_after(DEADLINE), pytest.raises(KeyboardInterrupt):
        async with mesh:
            mesh.add(Ending("ending"))
            ref = mesh.add(Interrupted("interrupted"))
            with pytest.raises(HandlerError, match="KeyboardInterrupt"):
                await ref.ask(message)
            await mesh.wait()

    assert diary == ["on_stop"]
    check_end(mesh.statistics())
