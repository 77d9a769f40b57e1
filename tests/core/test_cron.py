"""Methods and messages by cron: in which zone, over summer time, with a clock that jumps, and without the extra."""

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import anyio
import msgspec
import pytest

from ceylon import Agent, ArgumentError, BlockingContext, Context, Mesh, MissingPackageError, cron, on
from ceylon.core.cron import CronTimes
from ceylon.core.instruments import instruments
from ceylon.core.schedules import Cron
from ceylon.testing import Simulation, run_simulation, simulate
from support.core_agents import Keeper, until

LISBON = ZoneInfo("Europe/Lisbon")
DAY = 86_400.0


def times_of(expression: str, start: datetime, count: int = 4, timezone: str | None = "Europe/Lisbon") -> list[str]:
    """Return the next *count* moments after *start*, as somebody in Lisbon reads them."""
    times, moment = CronTimes(expression, timezone), start.timestamp()
    found = [moment := times.after(moment) for _ in range(count)]
    return [datetime.fromtimestamp(each, LISBON).isoformat(timespec="minutes") for each in found]


# -- moments -----------------------------------------------------------------------------------------------------------


def test_the_moments_of_an_expression() -> None:
    start = datetime(2026, 1, 1, 12, tzinfo=LISBON)

    assert times_of("0 9 * * mon", start, 2) == ["2026-01-05T09:00+00:00", "2026-01-12T09:00+00:00"]
    assert times_of("*/20 * * * *", start, 2) == ["2026-01-01T12:20+00:00", "2026-01-01T12:40+00:00"]
    assert times_of("0 0 29 2 *", start, 1) == ["2028-02-29T00:00+00:00"]
    assert times_of("*/30 * * * * *", start, 2) == ["2026-01-01T12:00+00:00", "2026-01-01T12:01+00:00"]


def test_nine_o_clock_is_nine_o_clock_in_summer_too() -> None:
    start = datetime(2026, 3, 28, 12, tzinfo=LISBON)

    assert times_of("0 9 * * *", start, 2) == ["2026-03-29T09:00+01:00", "2026-03-30T09:00+01:00"]


def test_a_run_that_the_clock_skips_comes_as_soon_as_it_goes_on() -> None:
    start = datetime(2026, 3, 28, 12, tzinfo=LISBON)  # on the 29th 1:00 is followed by 2:00

    assert times_of("30 1 * * *", start, 2) == ["2026-03-29T02:00+01:00", "2026-03-30T01:30+01:00"]


def test_a_run_whose_time_comes_twice_is_one_run() -> None:
    start = datetime(2026, 10, 24, 12, tzinfo=LISBON)  # on the 25th 2:00 is followed by 1:00

    assert times_of("30 1 * * *", start, 2) == ["2026-10-25T01:30+01:00", "2026-10-26T01:30+00:00"]


def test_what_is_next_is_never_over_in_the_hour_that_comes_twice() -> None:
    in_the_second = datetime(2026, 10, 25, 1, 10, fold=1, tzinfo=LISBON)

    assert times_of("30 1 * * *", in_the_second, 1) == ["2026-10-26T01:30+00:00"]


def test_what_runs_all_the_time_runs_in_both_hours() -> None:
    start = datetime(2026, 10, 25, 0, 45, tzinfo=LISBON)

    assert times_of("*/30 * * * *", start, 5) == [
        "2026-10-25T01:00+01:00",
        "2026-10-25T01:30+01:00",
        "2026-10-25T01:00+00:00",
        "2026-10-25T01:30+00:00",
        "2026-10-25T02:00+00:00",
    ]


def test_hours_are_those_of_utc_where_no_zone_is_given() -> None:
    start = datetime(2026, 7, 1, tzinfo=UTC)

    assert times_of("0 9 * * *", start, 1, timezone=None) == ["2026-07-01T10:00+01:00"]


@pytest.mark.parametrize("expression", ["", "* * *", "61 * * * *", "0 0 30 2 *", "0 9 * * someday", 5, None])
def test_what_is_no_expression_is_refused(expression: Any) -> None:
    with pytest.raises(ArgumentError, match="cron expression"):
        cron(expression)


@pytest.mark.parametrize("timezone", ["Europe/Nowhere", "../etc/passwd", "", 5])
def test_what_is_no_zone_is_refused(timezone: Any) -> None:
    with pytest.raises(ArgumentError, match="time zone"):
        cron("0 9 * * *", timezone=timezone)


def test_without_the_extra_the_class_cannot_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cronsim", None)

    with pytest.raises(MissingPackageError, match=r'pip install -e "\.\[cron\]"') as raised:
        cron("0 9 * * *")

    assert (raised.value.package, raised.value.extra) == ("cronsim", "cron")


def test_a_schedule_says_what_it_is() -> None:
    assert repr(Cron("0 9 * * *", None)) == "<Cron '0 9 * * *' in UTC>"


# -- agents ------------------------------------------------------------------------------------------------------------


class Office(Agent):
    """Opens and closes."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.events: list[tuple[str, str]] = []

    async def on_message(self, seconds: float) -> None:
        await anyio.sleep(seconds)

    def note(self, what: str, context: Context | BlockingContext) -> None:
        moment = datetime.fromtimestamp(context.now, LISBON)
        self.events.append((what, f"{moment:%a %H:%M}"))

    @cron("0 9 * * mon-fri", timezone="Europe/Lisbon")
    async def open(self, context: Context) -> None:
        self.note("open", context)

    @cron("0 17 * * mon-thu", timezone="Europe/Lisbon")
    @cron("0 13 * * fri", timezone="Europe/Lisbon")
    def close(self, context: BlockingContext) -> None:
        self.note("close", context)


@simulate(2)
async def test_a_day_passes_in_a_moment(simulation: Simulation) -> None:
    async with simulation.mesh() as mesh:
        office = Office("office")
        mesh.add(office)
        await anyio.sleep(DAY - 60)  # a simulation is a day at most

        assert office.events == [("open", "Thu 09:00"), ("close", "Thu 17:00")]
        assert mesh.statistics().timers == 3
        await mesh.stop("office")
        assert mesh.statistics().timers == 0


@simulate(2)
async def test_missed_runs_are_made_good_by_one(simulation: Simulation) -> None:
    class Minutely(Keeper):
        @cron("* * * * *")
        async def run(self) -> None:
            self.kept.append("run")

        async def on_message(self, message: Any, context: Context | None = None) -> int:
            await anyio.sleep(message)
            return 0

    async with simulation.mesh() as mesh:
        minutely = Minutely("minutely")
        ref = mesh.add(minutely)
        await ref.tell(250.5)
        await anyio.sleep(251)

        assert minutely.kept == ["run"]
        await anyio.sleep(120)
        assert minutely.kept == ["run"] * 3
        await mesh.stop("minutely")


class Planner(Keeper):
    """Sets itself messages by cron."""

    @on
    async def plan(self, expression: str, context: Context) -> str:
        self.timer = context.cron(expression, 1, timezone="Europe/Lisbon")
        return repr(self.timer)

    async def on_message(self, message: Any, context: Context | None = None) -> int:
        if message == "boom":
            raise ValueError(message)
        return await super().on_message(message)


class PlannerInAThread(Planner):
    """The same in a worker thread."""

    @on
    def plan(self, expression: str, context: BlockingContext) -> str:  # type: ignore[override]
        self.timer = context.cron(expression, 1, timezone="Europe/Lisbon")
        return repr(self.timer)


@pytest.mark.parametrize("kind", [Planner, PlannerInAThread])
def test_a_handler_may_plan_messages(kind: type[Planner]) -> None:
    async def program(simulation: Simulation) -> None:
        async with simulation.mesh() as mesh:
            planner = kind("planner")
            ref = mesh.add(planner)

            said = await ref.ask("*/10 * * * *")
            await anyio.sleep(3_000)

            assert said == "<TimerHandle of 'planner' next at 2026-01-01 00:10:00 UTC>"
            assert planner.kept == [1] * 5
            planner.timer.cancel()
            assert planner.timer.remaining is None
            await anyio.sleep(3_000)
            assert len(planner.kept) == 5
            with pytest.raises(Exception, match="cron expression"):
                await ref.ask("now and then")

    assert run_simulation(program, seed=1).error is None


@simulate(2)
async def test_what_a_handler_has_planned_ends_with_the_instance(simulation: Simulation) -> None:
    class Restarting(Planner):
        on_failure = "restart"

    async with simulation.mesh() as mesh:
        ref = mesh.add(Restarting("planner"))
        await ref.ask("*/10 * * * *")
        await ref.tell("boom")
        await anyio.sleep(60)

        assert mesh.statistics().agents["planner"].restarts == 1
        assert mesh.statistics().timers == 0


# -- a clock that jumps ------------------------------------------------------------------------------------------------


class Wall:
    """A clock on the wall that a test sets."""

    def __init__(self) -> None:
        self.offset = 0.0

    def install(self) -> None:
        """Let meshes made from now on, in this context, read it."""
        parts = instruments.get()
        instruments.set(msgspec.structs.replace(parts, clock=lambda: parts.clock() + self.offset))


def run_with_a_wall_clock(program: Callable[[Mesh, Wall, Planner], Any]) -> None:
    """Run *program* with a planner that plans for every hour, at half past twelve."""

    async def simulated(simulation: Simulation) -> None:
        wall = Wall()
        wall.install()
        async with simulation.mesh() as mesh:
            planner = Planner("planner")
            await mesh.add(planner).ask("30 * * * *")
            await program(mesh, wall, planner)
            await mesh.stop("planner")

    error = run_simulation(simulated, seed=1).error
    if error is not None:
        raise error


def test_a_clock_set_forward_or_a_machine_that_slept_means_one_run() -> None:
    async def program(mesh: Mesh, wall: Wall, planner: Planner) -> None:
        await anyio.sleep(100)
        wall.offset = 5 * 3_600.0
        await anyio.sleep(61)
        assert planner.kept == [1]
        await anyio.sleep(1_640)  # 5:30 is there
        assert planner.kept == [1, 1]

    run_with_a_wall_clock(program)


def test_a_clock_set_back_a_little_repeats_nothing() -> None:
    async def program(mesh: Mesh, wall: Wall, planner: Planner) -> None:
        await anyio.sleep(1_801)
        assert planner.kept == [1]
        wall.offset = -3_600.0
        await anyio.sleep(3_600)  # 0:30 comes again
        assert planner.kept == [1]
        await anyio.sleep(3_600)
        assert planner.kept == [1, 1]

    run_with_a_wall_clock(program)


def test_a_clock_that_was_wrong_by_far_is_believed_again() -> None:
    async def program(mesh: Mesh, wall: Wall, planner: Planner) -> None:
        wall.offset = 400 * DAY
        await anyio.sleep(3_700)
        assert len(planner.kept) == 2
        wall.offset = 0.0
        await anyio.sleep(3_600)
        assert len(planner.kept) == 3

    run_with_a_wall_clock(program)


# -- and it can turn red -----------------------------------------------------------------------------------------------


def test_a_schedule_that_makes_good_for_every_missed_run_is_found() -> None:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(AssertionError):
        patch.setattr(Cron, "next", lambda self, due, _: self._times.after(due))
        test_a_clock_set_forward_or_a_machine_that_slept_means_one_run()


async def test_it_runs_by_a_real_clock_too(mesh: Mesh) -> None:
    class Secondly(Keeper):
        @cron("* * * * * *")
        async def run(self) -> None:
            self.kept.append(mesh.interior.sources.now(""))

    secondly = Secondly("secondly")
    began = mesh.interior.sources.now("")
    mesh.add(secondly)
    await until(lambda: secondly.kept)

    assert secondly.kept[0] >= began
    await mesh.stop("secondly")
