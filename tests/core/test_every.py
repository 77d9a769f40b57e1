"""Methods that run every so often by themselves, and the stretches of time they are given."""

import contextlib
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ceylon import (
    Agent,
    ArgumentError,
    BlockingContext,
    Context,
    DefinitionError,
    Mesh,
    UnhandledMessageError,
    action,
    every,
    on,
)
from ceylon.core.agent_timers import AgentTimers, TimerHandle
from ceylon.core.cell import Cell
from ceylon.core.durations import seconds_of
from ceylon.core.schedules import Every
from ceylon.messages import Tick
from ceylon.testing import Simulation, run_simulation, simulate
from support.core_agents import Keeper, until

# -- stretches of time -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("250ms", 0.25),
        ("30s", 30.0),
        ("5m", 300.0),
        ("1h30m", 5_400.0),
        ("1h 30m", 5_400.0),
        ("1 day", 86_400.0),
        ("2 weeks", 1_209_600.0),
        ("1d12h", 129_600.0),
        ("1.5 hours", 5_400.0),
        (" 10 sec ", 10.0),
        ("1 minute 500 milliseconds", 60.5),
        (timedelta(minutes=2), 120.0),
        (3, 3.0),
        (0.5, 0.5),
    ],
)
def test_time_is_written_in_many_ways(text: Any, seconds: float) -> None:
    assert seconds_of(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    [
        *("", "5", "m", "5 x", "5M", "-5m", "5m5", "30m1h", "1h1h", "1m 1 min", "5 m,", "m5", "1e3s", "٣m", "1__0s"),
        *("inf", "nan s", "1 s " * 99, float("nan"), float("inf"), -1, True, None, [5], timedelta(seconds=-1)),
    ],
)
def test_other_texts_are_refused_with_the_ways_there_are(text: Any) -> None:
    with pytest.raises(ArgumentError, match="'1h30m'"):
        seconds_of(text)


@pytest.mark.parametrize("nothing", [0, "0s", "0h0m", timedelta()])
def test_nothing_is_a_time_to_wait_once_and_not_again_and_again(nothing: Any) -> None:
    assert seconds_of(nothing) == 0
    with pytest.raises(ArgumentError, match="more than 0"):
        seconds_of(nothing, again=True)


@given(st.text(alphabet="0123456789 .hmsdw", max_size=12))
def test_any_text_is_understood_or_refused(text: str) -> None:
    with contextlib.suppress(ArgumentError):
        assert seconds_of(text) >= 0


@given(
    period=st.floats(min_value=1e-3, max_value=1e6),
    due=st.floats(min_value=0, max_value=1e6),
    late=st.floats(min_value=0, max_value=1e7),
)
def test_what_is_next_lies_on_the_grid_and_ahead(period: float, due: float, late: float) -> None:
    now = due + late
    following = Every(period).next(due, now)

    assert now < following <= now + period * 1.000001
    assert (following - due) / period == pytest.approx(round((following - due) / period), abs=1e-3)


# -- timers ------------------------------------------------------------------------------------------------------------


class Alarm(Keeper):
    """Sets a timer of the kind it is told to."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.timers: list[TimerHandle] = []
        self.times: list[float] = []

    @on
    async def set_timer(self, setting: tuple, context: Context) -> None:  # type: ignore[type-arg]
        verb, when = setting
        self.timers.append(getattr(context, verb)(when, verb))

    async def on_message(self, message: Any, context: Context | None = None) -> int:
        assert context is not None
        self.times.append(context.interior.driver.now())
        return await super().on_message(message)


class AlarmInAThread(Alarm):
    """The same from a worker thread."""

    @on
    def set_timer(self, setting: tuple, context: BlockingContext) -> None:  # type: ignore[override, type-arg]
        verb, when = setting
        self.timers.append(getattr(context, verb)(when, verb))


every_alarm = pytest.mark.parametrize("kind", [Alarm, AlarmInAThread])


@every_alarm
async def test_timers_take_text_for_a_time(mesh: Mesh, kind: type[Alarm]) -> None:
    alarm = kind("alarm")
    ref = mesh.add(alarm)

    await ref.ask(("after", "5ms"))
    await ref.ask(("every", timedelta(milliseconds=5)))
    await until(lambda: alarm.kept.count("every") >= 2)

    assert alarm.kept.count("after") == 1
    alarm.timers[1].cancel()


@every_alarm
async def test_a_timer_may_be_set_for_a_moment(mesh: Mesh, kind: type[Alarm]) -> None:
    alarm = kind("alarm")
    ref = mesh.add(alarm)
    now = datetime.fromtimestamp(mesh.interior.sources.now(""), UTC)

    await ref.ask(("at", now + timedelta(milliseconds=20)))
    await ref.ask(("at", now - timedelta(days=1)))  # which is over: at once
    far = (now + timedelta(days=400)).astimezone(timezone(timedelta(hours=5)))
    await ref.ask(("at", far))
    await until(lambda: len(alarm.kept) == 2)

    assert repr(alarm.timers[2]) == f"<TimerHandle of 'alarm' next at {far.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC>"
    assert alarm.timers[0].remaining is None
    assert alarm.timers[2].remaining == pytest.approx(400 * 86_400, abs=60)
    alarm.timers[2].cancel()
    await until(lambda: mesh.statistics().timers == 0)


@pytest.mark.parametrize("when", [datetime(2027, 1, 1), "tomorrow", 5])  # noqa: DTZ001 – that is the mistake
async def test_a_moment_has_a_time_zone(mesh: Mesh, when: Any) -> None:
    ref = mesh.add(Alarm("alarm"))

    with pytest.raises(Exception, match="time zone"):
        await ref.ask(("at", when))


@simulate(2)
async def test_a_repeated_timer_does_not_drift_and_makes_good_for_what_it_missed_once(simulation: Simulation) -> None:
    async with simulation.mesh() as mesh:
        alarm = Alarm("alarm")
        ref = mesh.add(alarm)
        await ref.ask(("every", "10s"))
        began = mesh.interior.driver.now()
        await anyio.sleep(100.5)
        times = [time - began for time in alarm.times]
        assert times == pytest.approx([10.0 * number for number in range(1, 11)], abs=0.1)

        timer = next(iter(mesh.interior.router.cells["alarm"].life.timers))  # type: ignore[union-attr]
        timer.due -= 1_000.0  # as if the loop had been held so long
        await anyio.sleep(15.0)

        assert len(alarm.times) == 11
        alarm.timers[0].cancel()


# -- @every ------------------------------------------------------------------------------------------------------------


class Sweeper(Agent):
    """Sweeps by itself."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.swept: list[float] = []
        self.dusted = 0
        self.at_once = 0

    async def on_message(self, message: Any, context: Context) -> None:
        if message == "boom":
            raise ValueError(message)
        await anyio.sleep(message)

    @every("10s")
    async def sweep(self, context: Context) -> None:
        assert not self.at_once
        self.at_once += 1
        await anyio.sleep(0.5)
        self.at_once -= 1
        log.append(context.interior.driver.now())

    @every(timedelta(minutes=1))
    async def dust(self) -> None:
        self.dusted += 1


log: list[float] = []


@contextlib.asynccontextmanager
async def sweeping(simulation: Simulation, kind: type[Sweeper] = Sweeper) -> AsyncIterator[tuple[Mesh, float]]:
    """Open a mesh with a sweeper; give the mesh and the time of the sweeper's start."""
    log.clear()
    async with simulation.mesh() as mesh:
        mesh.add(kind("sweeper"))
        yield mesh, mesh.interior.driver.now()
        await mesh.stop("sweeper")


def ticks(began: float) -> list[float]:
    """Return when it has swept, in seconds since the start."""
    return [round(time - 0.5 - began, 1) for time in log]


@simulate(2)
async def test_a_method_runs_every_so_often(simulation: Simulation) -> None:
    async with sweeping(simulation) as (mesh, began):
        await anyio.sleep(65)
        agent = mesh.agent("sweeper")

        assert ticks(began) == [10, 20, 30, 40, 50, 60]
        assert isinstance(agent, Sweeper)
        assert agent.dusted == 1
        assert mesh.statistics().agents["sweeper"].completed == 7


@simulate(2)
async def test_a_busy_agent_gets_one_tick_however_many_were_due(simulation: Simulation) -> None:
    async with sweeping(simulation) as (mesh, began):
        await mesh.tell("sweeper", 44.0)
        await anyio.sleep(65)

        assert ticks(began) == [44, 50, 60]
        assert mesh.statistics().agents["sweeper"].accepted == 1 + 3 + 1
        assert mesh.dead_letters() == []


@simulate(2)
async def test_a_method_that_takes_longer_than_its_period_does_not_pile_up(simulation: Simulation) -> None:
    class Slow(Sweeper):
        async def sweep(self, context: Context) -> None:
            await anyio.sleep(25)
            await super().sweep(context)

    async with sweeping(simulation, Slow) as (mesh, _):
        await anyio.sleep(600)

        assert len(log) == pytest.approx(600 / 25.5, abs=2)
        assert mesh.statistics().agents["sweeper"].pending <= 3  # one in the handler, one of each kind behind it


@simulate(2)
async def test_a_slow_method_never_runs_beside_itself_in_an_agent_of_many_slots(simulation: Simulation) -> None:
    class Wide(Sweeper):
        concurrency = 4

        async def sweep(self, context: Context) -> None:
            await super().sweep(context)
            self.at_once += 1
            await anyio.sleep(24)
            self.at_once -= 1

    async with sweeping(simulation, Wide) as (mesh, began):
        await anyio.sleep(100)

        assert ticks(began) == [10, 40, 70]
        assert mesh.statistics().agents["sweeper"].failed == 0


@simulate(2)
async def test_ticks_go_on_as_before_when_the_agent_begins_again(simulation: Simulation) -> None:
    class Restarting(Sweeper):
        on_failure = "restart"

    async with sweeping(simulation, Restarting) as (mesh, began):
        await anyio.sleep(33)
        await mesh.tell("sweeper", "boom")
        await anyio.sleep(32)

        assert mesh.statistics().agents["sweeper"].restarts == 1
        assert ticks(began) == [10, 20, 30, 40, 50, 60]
        assert mesh.statistics().timers == 2


@simulate(2)
async def test_an_agent_that_begins_again_more_often_than_it_ticks_ticks_all_the_same(simulation: Simulation) -> None:
    class Restarting(Sweeper):
        on_failure = "restart"
        max_restarts: int | None = 1_000

    async with sweeping(simulation, Restarting) as (mesh, _):
        for _ in range(20):
            await anyio.sleep(4)
            await mesh.tell("sweeper", "boom")

        assert len(log) >= 5


@pytest.mark.parametrize("how", ["stop", "stop at once", "fail for good", "close"])
def test_ticks_end_with_their_agent(how: str) -> None:
    class Stopping(Sweeper):
        on_failure = "stop"

    async def program(simulation: Simulation) -> None:
        log.clear()
        async with Mesh("test") as mesh:
            mesh.add(Stopping("sweeper"))
            await anyio.sleep(15)
            if how == "close":
                await mesh.stop()
            elif how == "fail for good":
                await mesh.tell("sweeper", "boom")
            else:
                await mesh.stop("sweeper", at_once="once" in how)
            await anyio.sleep(60)
            assert len(log) == 1
            assert mesh.statistics().timers == 0
            assert mesh.statistics().refused == 0

    assert run_simulation(program, seed=1).error is None


@simulate(2)
async def test_a_mesh_that_drains_begins_no_ticks(simulation: Simulation) -> None:
    log.clear()
    async with Mesh("test") as mesh:
        mesh.add(Sweeper("sweeper"))
        await mesh.tell("sweeper", 9.9)
        await anyio.sleep(5)
        await mesh.tell("sweeper", 4.9)

    assert log == []
    assert mesh.statistics().dead_letters == {}


@simulate(2)
async def test_ticks_begin_when_the_agent_has_started(simulation: Simulation) -> None:
    class Late(Sweeper):
        async def on_start(self, context: Context) -> None:
            await anyio.sleep(30)

    async with sweeping(simulation, Late) as (_, began):
        await anyio.sleep(55)

        assert ticks(began) == [40, 50]


async def test_plain_methods_run_in_a_thread_with_and_without_a_context(mesh: Mesh) -> None:
    class Plain(Agent):
        def __init__(self, name: str) -> None:
            super().__init__(name)
            self.seen: list[str] = []

        @every("5ms")
        def bare(self) -> None:
            self.seen.append("bare")

        @every(0.005)
        def with_context(self, context: BlockingContext) -> None:
            self.seen.append(type(context).__name__)

    plain = Plain("plain")
    mesh.add(plain)

    await until(lambda: {"bare", "BlockingContext"} <= {*plain.seen})
    await mesh.stop("plain")


async def test_a_failing_tick_is_a_failed_message(mesh: Mesh) -> None:
    class Failing(Agent):
        @every("5ms")
        async def fail(self) -> None:
            raise ValueError

    mesh.add(Failing("failing"))

    await until(lambda: mesh.statistics().agents["failing"].failed >= 2)
    letter = mesh.dead_letters()[0]
    assert letter.envelope.message == Tick("fail")
    await mesh.stop("failing")


async def test_a_tick_may_be_sent_by_hand(mesh: Mesh) -> None:
    class Hourly(Agent):
        runs = 0

        @every("1h")
        @action
        async def run(self) -> int:
            """Run now."""
            self.runs += 1
            return self.runs

    hourly = Hourly("hourly")
    ref = mesh.add(hourly)

    await ref.tell(Tick("run"))
    await ref.ask(Tick("run"))

    assert await ref.call("run") == 3
    with pytest.raises(UnhandledMessageError):
        await ref.ask(Tick("walk"))


async def test_a_subclass_keeps_changes_and_drops_what_its_base_does(mesh: Mesh) -> None:
    class Base(Agent):
        def __init__(self, name: str) -> None:
            super().__init__(name)
            self.seen: set[str] = set()

        @every("5ms")
        async def kept(self) -> None:
            self.seen.add("kept")

        @every("5ms")
        async def changed(self) -> None:
            self.seen.add("base")

        @every("5ms")
        async def dropped(self) -> None:
            self.seen.add("dropped")

    class Derived(Base):
        dropped = None  # type: ignore[assignment]

        async def changed(self) -> None:
            self.seen.add("derived")

    derived = Derived("derived")
    mesh.add(derived)

    await until(lambda: {"kept", "derived"} <= derived.seen)
    assert derived.seen == {"kept", "derived"}
    assert mesh.statistics().timers == 2
    await mesh.stop("derived")


async def test_ticks_have_the_time_that_the_agent_gives_its_handlers(mesh: Mesh) -> None:
    class Limited(Agent):
        handler_timeout = 0.02

        @every("5ms")
        async def hang(self) -> None:
            await anyio.sleep_forever()

    mesh.add(Limited("limited"))

    await until(lambda: mesh.statistics().agents["limited"].failed >= 1)
    await mesh.stop("limited", at_once=True)


def test_what_cannot_be_run_so_is_refused_when_it_is_marked() -> None:
    with pytest.raises(DefinitionError, match=r"\(self\) or \(self, context\)"):

        @every("5m")
        def three(self: Agent, context: Context, more: int) -> None: ...

    with pytest.raises(DefinitionError, match=r"\(self\) or \(self, context\)"):

        @every("5m")
        def none() -> None: ...

    with pytest.raises(DefinitionError, match=r"\(self\) or \(self, context\)"):

        @every("5m")
        def named(self: Agent, *, more: int) -> None: ...

    with pytest.raises(DefinitionError, match="yields"):

        @every("5m")
        async def parts(self: Agent) -> AsyncIterator[int]:
            yield 1

    with pytest.raises(DefinitionError, match="methods of an agent"):
        every("5m")(len)


@pytest.mark.parametrize("period", [0, "0s", -1, "soon", None])
def test_no_period_is_refused(period: Any) -> None:
    with pytest.raises(ArgumentError):
        every(period)


# -- and they can turn red ---------------------------------------------------------------------------------------------


@contextlib.contextmanager
def ticks_pile_up() -> Generator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AgentTimers, "_waits", lambda _, __: False)
        yield


@contextlib.contextmanager
def ticks_end_with_the_instance() -> Generator[None]:
    def broken(self: AgentTimers, cell: Cell) -> None:
        for timer in list(cell.life.timers) if cell.life is not None else ():
            self.cancel(cell, timer)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AgentTimers, "cancel_all", broken)
        yield


@contextlib.contextmanager
def ticks_drift() -> Generator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Every, "next", lambda self, _, now: now + self.seconds + 0.3)
        yield


@pytest.mark.parametrize(
    ("plant", "test"),
    [
        (ticks_pile_up, test_a_busy_agent_gets_one_tick_however_many_were_due),
        (ticks_end_with_the_instance, test_ticks_go_on_as_before_when_the_agent_begins_again),
        (ticks_drift, test_a_method_runs_every_so_often),
    ],
    ids=["pile up", "end with the instance", "drift"],
)
@pytest.mark.breaks_the_law
def test_a_planted_bug_is_found(plant: Callable[[], AbstractContextManager[None]], test: Callable[[], None]) -> None:
    with plant(), pytest.raises(AssertionError):
        test()
