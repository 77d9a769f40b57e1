"""An agent's life: hooks around it, a lifespan beside it, background work that ends with it."""

import logging
import threading
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from ceylon import (
    Agent,
    AgentStartError,
    BlockingContext,
    Context,
    Mesh,
    MeshClosedError,
    UnknownAgentError,
    on,
)
from ceylon.errors import AgentStoppedError, DefinitionError
from support.hostile_agents import Stubborn
from support.leftovers import DEADLINE, eventually, quick, tidy_mesh


@pytest.fixture
async def mesh(anyio_backend: str) -> AsyncIterator[Mesh]:
    """A mesh that must end tidily."""
    async with tidy_mesh() as mesh:
        yield mesh


class Noting(Agent):
    """Keeps a diary outside of itself, so that every instance writes into the same one."""

    def __init__(self, name: str, diary: list[Any]) -> None:
        super().__init__(name)
        self.diary = diary

    def on_message(self, message: Any) -> Any:
        self.diary.append(message)
        return message


# -- hooks -------------------------------------------------------------------------------------------------------------


class AsyncHooks(Noting):
    async def on_start(self, context: Context) -> None:
        self.diary.append(("start", context.address, type(context)))

    async def on_stop(self, context: Context) -> None:
        self.diary.append(("stop", context.address, type(context)))


class SyncHooks(Noting):
    def on_start(self, context: BlockingContext) -> None:
        self.diary.append(("start", context.address, type(context)))

    def on_stop(self, context: BlockingContext) -> None:
        self.diary.append(("stop", context.address, type(context)))


class BareAsyncHooks(Noting):
    async def on_start(self) -> None:
        self.diary.append("start")

    async def on_stop(self) -> None:
        self.diary.append("stop")


class BareSyncHooks(Noting):
    def on_start(self) -> None:
        self.diary.append("start")

    def on_stop(self) -> None:
        self.diary.append("stop")


@pytest.mark.parametrize(("kind", "context"), [(AsyncHooks, Context), (SyncHooks, BlockingContext)])
async def test_hooks_get_the_context_of_their_colour(kind: type[Noting], context: type, mesh: Mesh) -> None:
    diary: list[Any] = []
    ref = mesh.add(kind("agent", diary))

    await ref.ask("hello")
    await mesh.stop("agent")

    assert diary == [("start", "agent", context), "hello", ("stop", "agent", context)]


@pytest.mark.parametrize("kind", [BareAsyncHooks, BareSyncHooks])
async def test_hooks_may_take_no_context(kind: type[Noting], mesh: Mesh) -> None:
    diary: list[Any] = []
    ref = mesh.add(kind("agent", diary))

    await ref.ask("hello")
    await mesh.stop(ref)

    assert diary == ["start", "hello", "stop"]


class Placed(Noting):
    async def on_start(self) -> None:
        self.diary.append(threading.current_thread())

    def on_stop(self) -> None:
        self.diary.append(threading.current_thread().name)


async def test_sync_hooks_run_in_a_thread_and_async_ones_on_the_loop(mesh: Mesh) -> None:
    diary: list[Any] = []
    ref = mesh.add(Placed("agent", diary))

    await ref.ask("hello")
    await mesh.stop(ref)

    assert diary[0] is threading.current_thread()
    assert diary[2].startswith("ceylon test ")


async def test_agents_stop_in_the_reverse_order_of_their_coming() -> None:
    diary: list[Any] = []
    async with tidy_mesh() as mesh:
        for name in "abcd":
            await mesh.add(AsyncHooks(name, diary)).ask("hello")
        del diary[:]

    assert [address for _, address, _ in diary] == ["d", "c", "b", "a"]


async def test_an_agent_added_before_the_mesh_opens_starts_with_it() -> None:
    diary: list[Any] = []
    mesh = Mesh(settings=quick())
    ref = mesh.add(BareAsyncHooks("agent", diary))

    async with mesh:
        await ref.ask("hello")

    assert diary == ["start", "hello", "stop"]


async def test_an_agent_may_join_another_mesh_when_its_own_has_closed() -> None:
    diary: list[Any] = []
    agent = BareAsyncHooks("agent", diary)
    for _ in range(3):
        async with tidy_mesh() as mesh:
            await mesh.add(agent).ask("hello")

    assert diary == ["start", "hello", "stop"] * 3


class Slow(Noting):
    """Starts when it is told to."""

    def __init__(self, name: str, diary: list[Any], may_start: anyio.Event) -> None:
        super().__init__(name, diary)
        self.may_start = may_start

    async def on_start(self) -> None:
        await self.may_start.wait()
        self.diary.append("start")


async def test_messages_wait_for_on_start(mesh: Mesh) -> None:
    diary: list[Any] = []
    may_start = anyio.Event()
    ref = mesh.add(Slow("agent", diary, may_start))

    for number in range(3):
        await ref.tell(number)
    waiting = mesh.statistics().agents["agent"]
    may_start.set()
    await ref.ask("last")

    assert (waiting.state, waiting.pending) == ("starting", 3)
    assert diary == ["start", 0, 1, 2, "last"]


async def test_a_slow_start_holds_up_nobody_else(mesh: Mesh) -> None:
    may_start = anyio.Event()
    mesh.add(Slow("slow", [], may_start))
    other = mesh.add(BareSyncHooks("other", []))

    assert await other.ask("hello") == "hello"
    may_start.set()


class Caller(Noting):
    async def on_start(self, context: Context) -> None:
        self.diary.append(await context.ask("other", "from the start"))
        await context.tell(context.address, "to myself")

    async def on_stop(self, context: Context) -> None:
        self.diary.append(await context.ask("other", "from the stop"))


class SyncCaller(Noting):
    def on_start(self, context: BlockingContext) -> None:
        self.diary.append(context.ask("other", "from the start"))
        context.tell(context.address, "to myself")

    def on_stop(self, context: BlockingContext) -> None:
        self.diary.append(context.ask("other", "from the stop"))


@pytest.mark.parametrize("kind", [Caller, SyncCaller])
async def test_hooks_may_ask_others_and_tell_themselves(kind: type[Noting], mesh: Mesh) -> None:
    diary: list[Any] = []
    mesh.add(Noting("other", []))
    ref = mesh.add(kind("agent", diary))

    await ref.ask("hello")
    await mesh.drain()
    await mesh.stop(ref)

    assert diary[0] == "from the start"
    assert sorted(diary[1:3]) == ["hello", "to myself"]
    assert diary[3] == "from the stop"


# -- a start that fails ------------------------------------------------------------------------------------------------


class Reluctant(Noting):
    """Starts at the attempt that it is told, and raises what it is told before."""

    def __init__(self, name: str, diary: list[Any], starts_at: int, error: BaseException) -> None:
        super().__init__(name, diary)
        self.starts_at, self.error = starts_at, error

    async def on_start(self) -> None:
        self.attempt()

    def attempt(self) -> None:
        self.diary.append(id(self))
        if len(self.diary) < self.starts_at:
            raise self.error


class SyncReluctant(Reluctant):
    def on_start(self) -> None:  # type: ignore[override]
        self.attempt()


@pytest.mark.parametrize("kind", [Reluctant, SyncReluctant])
async def test_a_failing_start_is_tried_again_with_a_fresh_instance(kind: type[Reluctant], mesh: Mesh) -> None:
    diary: list[Any] = []
    ref = mesh.add(kind("agent", diary, 3, ValueError("not yet")))

    assert await ref.ask("hello") == "hello"

    attempts = diary[:-1]
    assert len(attempts) == len(set(attempts)) == 3
    assert id(mesh.agent("agent")) == attempts[-1]


@pytest.mark.parametrize("kind", [Reluctant, SyncReluctant])
@pytest.mark.parametrize("error", [ValueError("never"), SystemExit(3), GeneratorExit(), OSError(28, "disk")], ids=repr)
async def test_who_asks_an_agent_that_cannot_start_is_told_the_cause(
    kind: type[Reluctant], error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    async with tidy_mesh(restarts=2) as mesh:
        diary: list[Any] = []
        other = mesh.add(Noting("other", []))
        ref = mesh.add(kind("agent", diary, 1_000, error))
        ref.tell_nowait("lost")

        with pytest.raises(AgentStartError) as caught:
            await ref.ask("hello", timeout=60)

        assert caught.value.cause is error
        assert caught.value.__cause__ is error
        assert caught.value.address == "agent"
        assert len(diary) == 3
        await eventually(lambda: "agent" not in mesh.agents)
        with pytest.raises(UnknownAgentError):
            await ref.ask("hello")
        assert await other.ask("still here") == "still here"
        assert mesh.statistics().dead_letters["agent_failed"] == 2
        assert "agent_failed_for_good" in caplog.text


class Broken(Noting):
    """Can be made once, and never again."""

    def __init__(self, name: str, diary: list[Any]) -> None:
        super().__init__(name, diary)
        diary.append("made")
        if len(diary) > 1:
            raise OSError("no more of these")

    async def on_start(self) -> None:
        raise ValueError("not this one")


async def test_an_agent_that_cannot_be_made_again_is_stopped_for_good(mesh: Mesh) -> None:
    ref = mesh.add(Broken("agent", []))

    with pytest.raises(AgentStartError) as caught:
        await ref.ask("hello")

    assert isinstance(caught.value.cause, OSError)
    await eventually(lambda: mesh.agents == [])


class SelfStopping(Noting):
    """Stops itself in a hook."""

    def __init__(self, name: str, diary: list[Any], mesh: Mesh, hook: str) -> None:
        super().__init__(name, diary)
        self.mesh, self.hook_name = mesh, hook

    async def on_start(self) -> None:
        await self.maybe("on_start")

    async def on_stop(self) -> None:
        self.diary.append("on_stop")
        await self.maybe("on_stop")

    async def maybe(self, hook: str) -> None:
        if self.hook_name == hook:
            await self.mesh.stop(self.name)


@pytest.mark.parametrize("hook", ["on_start", "on_stop"])
async def test_an_agent_that_stops_itself_in_a_hook_is_stopped_once(hook: str, mesh: Mesh) -> None:
    diary: list[Any] = []
    mesh.add(SelfStopping("agent", diary, mesh, hook))

    with anyio.fail_after(DEADLINE):
        if hook == "on_stop":
            await mesh.stop("agent")
        await eventually(lambda: mesh.agents == [])

    assert diary == ["on_stop"]


# -- a stop that fails -------------------------------------------------------------------------------------------------


class BadEnd(Noting):
    def __init__(self, name: str, diary: list[Any], error: BaseException) -> None:
        super().__init__(name, diary)
        self.error = error

    async def on_stop(self) -> None:
        self.diary.append(self.name)
        raise self.error


class SyncBadEnd(BadEnd):
    def on_stop(self) -> None:  # type: ignore[override]
        self.diary.append(self.name)
        raise self.error


BAD_ENDS = [ValueError("bad end"), SystemExit(3), GeneratorExit(), MemoryError()]


@pytest.mark.parametrize("kind", [BadEnd, SyncBadEnd])
@pytest.mark.parametrize("error", BAD_ENDS, ids=repr)
async def test_a_failing_on_stop_is_logged_and_stops_nothing(
    kind: type[BadEnd], error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    diary: list[Any] = []
    async with tidy_mesh() as mesh:
        for name in "abc":
            await mesh.add(kind(name, diary, error)).ask("hello")
        del diary[:]

    assert diary == ["c", "b", "a"]
    assert caplog.text.count("agent_stop_failed") == 3


@pytest.mark.parametrize("kind", [BadEnd, SyncBadEnd])
@pytest.mark.parametrize("error", BAD_ENDS, ids=repr)
async def test_an_agent_whose_on_stop_fails_is_gone_all_the_same(
    kind: type[BadEnd], error: BaseException, mesh: Mesh
) -> None:
    ref = mesh.add(kind("agent", [], error))

    with anyio.fail_after(DEADLINE):
        await mesh.stop(ref)

    assert mesh.agents == []
    await mesh.add(Noting("agent", [])).ask("a namesake")


class EndlessEnd(Noting):
    async def on_stop(self) -> None:
        self.diary.append("stopping")
        await anyio.sleep_forever()


async def test_an_endless_on_stop_gets_the_grace_and_no_more() -> None:
    diary: list[Any] = []
    with anyio.fail_after(DEADLINE):
        async with tidy_mesh(stop_grace=0.05) as mesh:
            await mesh.add(EndlessEnd("agent", diary)).ask("hello")

    assert diary == ["hello", "stopping"]


async def test_a_stop_returns_after_on_stop_has_ended(mesh: Mesh) -> None:
    diary: list[Any] = []
    may_end = anyio.Event()

    class Ending(Noting):
        async def on_stop(self) -> None:
            await may_end.wait()
            self.diary.append("stopped")

    async def stop() -> None:
        await mesh.stop("agent")
        diary.append("returned")

    mesh.add(Ending("agent", diary))
    async with anyio.create_task_group() as group:
        group.start_soon(stop)
        group.start_soon(stop)
        await eventually(lambda: mesh.statistics().agents["agent"].state == "stopping")
        may_end.set()

    assert diary == ["stopped", "returned", "returned"]


async def test_an_agent_stopped_while_it_starts_tells_its_askers(mesh: Mesh) -> None:
    ref = mesh.add(Slow("agent", [], anyio.Event()))
    errors: list[BaseException] = []

    async def ask() -> None:
        try:
            await ref.ask("hello")
        except AgentStoppedError as error:
            errors.append(error)

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await eventually(lambda: mesh.statistics().agents["agent"].pending)
        await mesh.stop(ref)

    assert len(errors) == 1
    assert mesh.statistics().dead_letters == {"stopped": 1}


@pytest.mark.parametrize("kind", [BareAsyncHooks, BareSyncHooks, Noting])
async def test_an_agent_may_be_stopped_as_soon_as_it_is_added(kind: type[Noting], mesh: Mesh) -> None:
    ref = mesh.add(kind("agent", []))

    with anyio.fail_after(DEADLINE):
        await mesh.stop(ref)

    assert mesh.agents == []
    assert await mesh.add(Noting("agent", [])).ask("a namesake") == "a namesake"


class StuckStart(Noting):
    def __init__(self, name: str, diary: list[Any], may_start: threading.Event) -> None:
        super().__init__(name, diary)
        self.may_start = may_start

    def on_start(self) -> None:
        self.may_start.wait(DEADLINE)


async def test_a_stuck_sync_start_does_not_hold_up_the_end_of_the_mesh() -> None:
    may_start = threading.Event()
    mesh = Mesh("test", settings=quick(drain_timeout=0.05, stop_grace=0.05))
    errors: list[BaseException] = []

    async def ask() -> None:
        try:
            await mesh.ask("agent", "hello")
        except MeshClosedError as error:
            errors.append(error)

    with anyio.fail_after(DEADLINE):
        async with anyio.create_task_group() as group:
            await mesh.start()
            mesh.add(StuckStart("agent", [], may_start))
            group.start_soon(ask)
            await eventually(lambda: mesh.statistics().agents["agent"].pending)
            await mesh.stop()

    assert len(errors) == 1
    assert mesh.statistics().threads.abandoned == 1
    may_start.set()


# -- lifespan ----------------------------------------------------------------------------------------------------------


class Living(Noting):
    """Enters and leaves a task group, which only one and the same task may do."""

    async def lifespan(self, context: Context) -> AsyncIterator[None]:
        self.diary.append(("enter", anyio.get_current_task().id))
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep_forever)
            self.diary.append(context.address)
            yield
            group.cancel_scope.cancel()
        self.diary.append(("leave", anyio.get_current_task().id))

    async def on_start(self) -> None:
        self.diary.append(("start", anyio.get_current_task().id))

    async def on_stop(self) -> None:
        self.diary.append("stop")

    @on
    async def fail(self, error: ValueError) -> None:
        raise error


async def test_a_lifespan_is_entered_and_left_by_one_task_of_its_own(mesh: Mesh) -> None:
    diary: list[Any] = []
    ref = mesh.add(Living("agent", diary))

    await ref.ask("hello")
    await mesh.stop(ref)

    (_, entered), address, (_, started), message, stop, (_, left) = diary
    assert (address, message, stop) == ("agent", "hello", "stop")
    assert entered == left
    assert entered not in {started, anyio.get_current_task().id}


async def test_a_restart_leaves_the_lifespan_and_enters_a_new_one(mesh: Mesh) -> None:
    class Restarting(Living):
        on_failure = "restart"

    diary: list[Any] = []
    ref = mesh.add(Restarting("agent", diary))

    await ref.tell(ValueError("again"))
    await ref.ask("hello")
    await mesh.stop(ref)

    words = [entry[0] if isinstance(entry, tuple) else entry for entry in diary]
    life = ["enter", "agent", "start"]
    assert words == [*life, "stop", "leave", *life, "hello", "stop", "leave"]
    tasks = [task for word, task in filter(lambda entry: isinstance(entry, tuple), diary) if word in {"enter", "leave"}]
    assert tasks[0] == tasks[1] != tasks[2] == tasks[3]


class BadLifespan(Noting):
    def __init__(self, name: str, diary: list[Any], where: str) -> None:
        super().__init__(name, diary)
        self.where = where

    async def lifespan(self, context: Context) -> AsyncIterator[None]:
        if self.where == "before":
            raise ValueError("before the yield")
        yield
        raise ValueError("after the yield")


async def test_a_lifespan_that_fails_before_its_yield_is_a_failed_start() -> None:
    async with tidy_mesh(restarts=1) as mesh:
        ref = mesh.add(BadLifespan("agent", [], "before"))

        with pytest.raises(AgentStartError, match="before the yield"):
            await ref.ask("hello", timeout=60)


async def test_a_lifespan_that_fails_after_its_yield_is_logged(mesh: Mesh, caplog: pytest.LogCaptureFixture) -> None:
    ref = mesh.add(BadLifespan("agent", [], "after"))

    await ref.ask("hello")
    await mesh.stop(ref)

    assert "lifespan_failed" in caplog.text
    assert mesh.agents == []


class NoLifespan(Noting):
    async def lifespan(self, context: Context) -> None:
        self.diary.append("a plain coroutine")


class SyncLifespan(Noting):
    def lifespan(self, context: Context) -> None:
        self.diary.append("no coroutine at all")


@pytest.mark.parametrize("kind", [NoLifespan, SyncLifespan])
async def test_a_lifespan_without_a_yield_is_refused_with_the_rule(kind: type[Noting]) -> None:
    async with tidy_mesh(restarts=1) as mesh:
        ref = mesh.add(kind("agent", []))

        with pytest.raises(AgentStartError, match="yield") as caught:
            await ref.ask("hello", timeout=60)

        assert isinstance(caught.value.cause, DefinitionError)


class HalfStarted(Noting):
    """Its lifespan is entered, and then its `on_start` fails."""

    async def lifespan(self, context: Context) -> AsyncIterator[None]:
        self.diary.append("enter")
        try:
            yield
        finally:
            self.diary.append("leave")

    async def on_start(self) -> None:
        if self.diary.count("enter") < 3:
            raise ValueError("not yet")


async def test_a_lifespan_is_left_when_the_start_fails_after_it(mesh: Mesh) -> None:
    diary: list[Any] = []
    ref = mesh.add(HalfStarted("agent", diary))

    await ref.ask("hello")
    await mesh.stop(ref)

    assert diary == ["enter", "leave", "enter", "leave", "enter", "hello", "leave"]


class EndlessLifespan(Noting):
    def __init__(self, name: str, diary: list[Any], where: str) -> None:
        super().__init__(name, diary)
        self.where = where

    async def lifespan(self, context: Context) -> AsyncIterator[None]:
        if self.where == "before":
            await anyio.sleep_forever()
        yield
        self.diary.append("leaving")
        await anyio.sleep_forever()


@pytest.mark.parametrize("where", ["before", "after"])
async def test_an_endless_lifespan_gets_the_grace_and_no_more(where: str) -> None:
    diary: list[Any] = []
    with anyio.fail_after(DEADLINE):
        async with tidy_mesh(drain_timeout=0.05, stop_grace=0.05) as mesh:
            ref = mesh.add(EndlessLifespan("agent", diary, where))
            await (ref.tell if where == "before" else ref.ask)("hello")

    assert diary == ([] if where == "before" else ["hello", "leaving"])


class StubbornLifespan(Stubborn):
    async def lifespan(self, context: Context) -> AsyncIterator[None]:
        self.has_begun.set()
        yield
        await self.resist()


async def test_a_lifespan_that_ignores_its_cancellation_is_given_up() -> None:
    mesh = await Mesh("test", settings=quick(stop_grace=0.05)).start()
    agent = StubbornLifespan("agent")
    mesh.add(agent)
    await agent.has_begun.wait()
    has_stopped = stopped_in_time = False

    async def stop() -> None:
        nonlocal has_stopped
        await mesh.stop()
        has_stopped = True

    async with anyio.create_task_group() as group:
        group.start_soon(stop)
        try:
            await eventually(lambda: has_stopped)
            stopped_in_time = True
        finally:
            agent.may_end.set()
            await agent.has_ended.wait()

    assert stopped_in_time


# -- background work ---------------------------------------------------------------------------------------------------


class Busy(Noting):
    """Works in the background from its start on."""

    async def on_start(self, context: Context) -> None:
        context.start_soon(self.work, context, "tick")

    async def work(self, context: Context, word: str) -> None:
        try:
            await context.tell(context.address, word)
            await anyio.sleep_forever()
        finally:
            self.diary.append("cancelled")

    @on
    async def fail(self, error: ValueError) -> None:
        raise error


async def test_background_work_runs_beside_the_messages_until_the_agent_stops(mesh: Mesh) -> None:
    diary: list[Any] = []
    ref = mesh.add(Busy("agent", diary))
    await eventually(lambda: "tick" in diary)

    await ref.ask("hello")
    await mesh.stop(ref)

    await eventually(lambda: diary == ["tick", "hello", "cancelled"])


async def test_background_work_of_an_old_instance_ends_with_it(mesh: Mesh) -> None:
    class Restarting(Busy):
        on_failure = "restart"

    diary: list[Any] = []
    ref = mesh.add(Restarting("agent", diary))
    await eventually(lambda: "tick" in diary)

    await ref.tell(ValueError("again"))

    await eventually(lambda: diary == ["tick", "cancelled", "tick"])


class Cleaning(Noting):
    async def on_start(self, context: Context) -> None:
        context.start_soon(self.work)

    async def work(self) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()
                await anyio.lowlevel.checkpoint()
                self.diary.append("cleaned up")


async def test_a_stop_waits_for_the_background_work_that_it_cancels(mesh: Mesh) -> None:
    diary: list[Any] = []
    ref = mesh.add(Cleaning("agent", diary))
    await ref.ask("hello")
    await anyio.wait_all_tasks_blocked()

    await mesh.stop(ref)

    assert diary == ["hello", "cleaned up"]


class BadBackground(Noting):
    def __init__(self, name: str, diary: list[Any], error: BaseException) -> None:
        super().__init__(name, diary)
        self.error = error

    async def on_start(self, context: Context) -> None:
        context.start_soon(self.work)

    async def work(self) -> None:
        await anyio.lowlevel.checkpoint()
        raise self.error


@pytest.mark.parametrize("error", [ValueError("behind"), SystemExit(3), GeneratorExit()], ids=repr)
async def test_failed_background_work_is_logged_and_harms_nobody(
    error: BaseException, mesh: Mesh, caplog: pytest.LogCaptureFixture
) -> None:
    ref = mesh.add(BadBackground("agent", [], error))

    assert await ref.ask("hello") == "hello"

    await eventually(lambda: "background_failed" in caplog.text)
    assert [record.levelno for record in caplog.records if record.name == "ceylon"] == [logging.ERROR]
    assert await ref.ask("and again") == "and again"


class Mistaken(Noting):
    @on
    async def start(self, number: int, context: Context) -> None:
        context.start_soon(self.diary.append, number)  # type: ignore[arg-type]


async def test_background_work_must_be_async(mesh: Mesh) -> None:
    ref = mesh.add(Mistaken("agent", []))

    with pytest.raises(Exception, match="async function") as caught:
        await ref.ask(1)

    assert isinstance(caught.value.__cause__, DefinitionError)


class StubbornBackground(Stubborn):
    async def on_start(self, context: Context) -> None:
        context.start_soon(self.resist)


async def test_background_work_that_ignores_its_cancellation_holds_up_no_stop() -> None:
    agent = StubbornBackground("agent")
    mesh = await Mesh("test", settings=quick(stop_grace=0.05)).start()
    mesh.add(agent)
    await agent.is_waiting.wait()

    with anyio.fail_after(DEADLINE):
        await mesh.stop()

    agent.may_end.set()
    await agent.has_ended.wait()


class Ticking(Noting):
    async def on_start(self, context: Context) -> None:
        context.after(60, "much later")
        context.every(60, "much later and again")
        context.after(0.001, "now")


async def test_timers_end_with_their_agent(mesh: Mesh) -> None:
    diary: list[Any] = []
    ref = mesh.add(Ticking("agent", diary))
    await eventually(lambda: diary == ["now"])
    before = mesh.statistics().timers

    await mesh.stop(ref)

    assert (before, mesh.statistics().timers) == (2, 0)
