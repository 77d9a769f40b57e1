"""What an agent tells itself later, and how many timers a mesh keeps."""

import math
import re
from typing import Any

import anyio
import pytest

from ceylon import Agent, BlockingContext, Context, Mesh, Message, on
from ceylon.core.agent_timers import TimerHandle
from ceylon.core.backend import current_driver
from ceylon.core.timers import Timer, Timers
from support.core_agents import Echo, Keeper, until


class Later(Message[Any]):
    """Tell yourself *message* in *seconds*, or every so many."""

    seconds: float
    message: Any
    repeat: bool = False


class Alarm(Keeper):
    """Sets timers on the loop."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.timers: list[TimerHandle] = []
        self.hops: list[int] = []
        self.deadlines: list[float | None] = []

    @on
    async def later(self, later: Later, context: Context) -> None:
        set_timer = context.every if later.repeat else context.after
        self.timers.append(set_timer(later.seconds, later.message))

    @on
    async def cancel(self, message: None) -> None:
        for timer in self.timers:
            timer.cancel()

    async def on_message(self, message: Any, context: Context | None = None) -> int:
        assert context is not None
        self.hops.append(context.envelope.hops)
        self.deadlines.append(context.deadline)
        return await super().on_message(message)


class AlarmInAThread(Alarm):
    """Sets timers in a worker thread."""

    @on
    def later(self, later: Later, context: BlockingContext) -> None:  # type: ignore[override]
        set_timer = context.every if later.repeat else context.after
        self.timers.append(set_timer(later.seconds, later.message))

    @on
    def cancel(self, message: None) -> None:  # type: ignore[override]
        for timer in self.timers:
            timer.cancel()


every_alarm = pytest.mark.parametrize("kind", [Alarm, AlarmInAThread])


@every_alarm
async def test_after_tells_once_when_the_time_has_come(mesh: Mesh, kind: type[Alarm]) -> None:
    alarm = kind("alarm")
    ref = mesh.add(alarm)

    await ref.ask(Later(0.03, "tea"))
    await until(lambda: alarm.kept)
    await anyio.sleep(0.06)  # time enough for a second one

    assert alarm.kept == ["tea"]
    assert repr(alarm.timers[0]) == "<TimerHandle of 'alarm' over>"
    assert mesh.statistics().timers == 0


@every_alarm
async def test_every_tells_again_and_again(mesh: Mesh, kind: type[Alarm]) -> None:
    alarm = kind("alarm")
    ref = mesh.add(alarm)

    await ref.ask(Later(0.01, "tea", repeat=True))
    await until(lambda: len(alarm.kept) >= 4)

    assert set(alarm.kept) == {"tea"}
    assert alarm.timers[0].remaining is not None


@every_alarm
@pytest.mark.parametrize("repeat", [False, True])
async def test_a_timer_can_be_cancelled(mesh: Mesh, kind: type[Alarm], *, repeat: bool) -> None:
    alarm = kind("alarm")
    ref = mesh.add(alarm)

    await ref.ask(Later(900.0, "tea", repeat))
    assert 800 < (alarm.timers[0].remaining or 0) <= 900
    assert re.fullmatch(r"<TimerHandle of 'alarm' next in (900|8\d\d) s>", repr(alarm.timers[0]))
    await ref.ask(None)
    await until(lambda: mesh.statistics().timers == 0)

    assert repr(alarm.timers[0]) == "<TimerHandle of 'alarm' over>"


async def test_cancelling_a_timer_that_has_fired_does_nothing(mesh: Mesh) -> None:
    alarm = Alarm("alarm")
    ref = mesh.add(alarm)

    await ref.ask(Later(0.0, "tea"))
    await until(lambda: alarm.kept)
    await ref.ask(None)
    await ref.ask(None)

    assert mesh.statistics().timers == 0


async def test_an_agent_may_cancel_its_repeated_timer_when_it_hears_of_it(mesh: Mesh) -> None:
    class Thrice(Keeper):
        timer: TimerHandle | None = None

        async def on_message(self, message: Any, context: Context | None = None) -> int:
            assert context is not None
            if message == "begin":
                self.timer = context.every(0.005, "tick")
                return 0
            count = await super().on_message(message)
            if count == 3 and self.timer is not None:
                self.timer.cancel()
            return count

    thrice = Thrice("thrice")
    await mesh.add(thrice).ask("begin")

    await until(lambda: mesh.statistics().timers == 0)
    await mesh.drain()

    assert thrice.kept == ["tick"] * 3


@pytest.mark.parametrize("repeat", [False, True])
async def test_timers_end_with_their_agent(mesh: Mesh, *, repeat: bool) -> None:
    alarm = Alarm("alarm")
    ref = mesh.add(alarm)

    await ref.ask(Later(60.0, "tea", repeat))
    await mesh.stop("alarm")

    assert repr(alarm.timers[0]) == "<TimerHandle of 'alarm' over>"
    assert mesh.statistics().timers == 0
    assert mesh.dead_letters() == []


async def test_timers_do_not_hold_up_a_drain_or_the_end_of_the_mesh(anyio_backend: str) -> None:
    with anyio.fail_after(20):
        async with Mesh("test") as mesh:
            ref = mesh.add(Alarm("alarm"))
            await ref.ask(Later(60.0, "tea"))
            await ref.ask(Later(60.0, "tea", repeat=True))
            await mesh.drain()


async def test_what_a_timer_tells_begins_at_hop_zero_and_has_no_deadline(mesh: Mesh) -> None:
    alarm = Alarm("alarm")

    await mesh.add(alarm).ask(Later(0.0, "tea"), timeout=60)
    await until(lambda: alarm.kept)

    assert alarm.hops == [0]
    assert alarm.deadlines == [None]


async def test_an_agent_may_go_on_by_timers_beyond_the_hop_limit(anyio_backend: str) -> None:
    class Ticking(Keeper):
        async def on_message(self, message: Any, context: Context | None = None) -> int:
            assert context is not None
            if message:
                context.after(0.0, message - 1)
            return await super().on_message(message)

    async with Mesh("test", max_hops=3) as mesh:
        ticking = Ticking("ticking")
        await mesh.add(ticking).tell(20)

        await until(lambda: len(ticking.kept) == 21)


async def test_timers_fire_in_the_order_of_their_times(mesh: Mesh) -> None:
    class Setting(Alarm):
        @on
        async def set_all(self, times: tuple, context: Context) -> None:  # type: ignore[type-arg]
            for seconds in times:
                context.after(seconds, seconds)

    alarm = Setting("alarm")

    await mesh.add(alarm).ask((0.06, 0.02, 0.04, 0.0))
    await until(lambda: len(alarm.kept) == 4)

    assert alarm.kept == [0.0, 0.02, 0.04, 0.06]


async def test_a_tick_that_finds_no_room_is_a_dead_letter_and_the_ticking_goes_on(mesh: Mesh) -> None:
    class Slow(Agent):
        mailbox_capacity: int | None = 1

        def __init__(self, name: str) -> None:
            super().__init__(name)
            self.gate = anyio.Event()

        @on
        async def begin(self, message: str, context: Context) -> None:
            context.every(0.005, 1)

        @on
        async def tick(self, message: int) -> None:
            await self.gate.wait()

    slow = Slow("slow")
    await mesh.add(slow).ask("begin")

    await until(lambda: mesh.statistics().dead_letters.get("full", 0) >= 2)
    slow.gate.set()
    await until(lambda: mesh.statistics().agents["slow"].completed >= 4)


async def test_no_time_at_all_is_now(mesh: Mesh) -> None:
    alarm = Alarm("alarm")

    await mesh.add(alarm).ask(Later(0.0, "tea"))
    await until(lambda: alarm.kept)

    assert alarm.kept == ["tea"]


# -- the heap ----------------------------------------------------------------------------------------------------------


async def test_ten_thousand_asks_leave_no_timers(mesh: Mesh) -> None:
    ref = mesh.add(Echo("echo"))
    heap = mesh.interior.timers._heap  # noqa: SLF001 – how large it is, is the test

    for number in range(10_000):
        await ref.ask(number)

    assert mesh.statistics().timers == 0
    assert len(heap) <= 3_000 or heap is not mesh.interior.timers._heap  # noqa: SLF001
    assert len(mesh.interior.timers._heap) <= 3_000  # noqa: SLF001


async def test_cancelled_timers_are_swept_when_they_are_the_majority() -> None:
    timers = Timers(current_driver())
    now = current_driver().now()
    kept = [Timer() for _ in range(100)]
    for timer in kept:
        timers.add(now + 60, timer)

    for _ in range(5_000):
        gone = Timer()
        timers.add(now + 30, gone)
        timers.cancel(gone)

    assert len(timers) == 100
    assert len(timers._heap) <= 2_200  # noqa: SLF001 – how large it is, is the test
    assert all(timer.is_armed for timer in kept)
    timers.close()


async def test_a_timer_that_fires_may_set_and_cancel_others() -> None:
    timers = Timers(current_driver())
    now = current_driver().now()
    fired: list[str] = []
    second = Timer(lambda: fired.append("second"))
    third = Timer(lambda: fired.append("third"))

    def first() -> None:
        fired.append("first")
        timers.cancel(second)
        timers.add(now, third)

    timers.add(now, Timer(first))
    timers.add(now, second)
    await until(lambda: "third" in fired)

    assert fired == ["first", "third"]
    assert len(timers) == 0


async def test_a_nearer_timer_is_not_held_up_by_one_further_away() -> None:
    timers = Timers(current_driver())
    now = current_driver().now()
    fired: list[float] = []

    for seconds in (60.0, 0.02, 30.0, 0.01):
        timers.add(now + seconds, Timer(lambda seconds=seconds: fired.append(seconds)))  # type: ignore[misc]
    await until(lambda: len(fired) == 2)

    assert fired == [0.01, 0.02]
    timers.close()
    assert len(timers) == 0


async def test_a_timer_for_never_does_not_fire_and_hurts_nobody() -> None:
    timers = Timers(current_driver())
    fired: list[str] = []
    timers.add(math.inf, Timer(lambda: fired.append("never")))
    timers.add(current_driver().now(), Timer(lambda: fired.append("now")))

    await until(lambda: fired)

    assert fired == ["now"]
    timers.close()


async def test_a_closed_heap_fires_nothing() -> None:
    timers = Timers(current_driver())
    fired: list[str] = []
    timers.add(current_driver().now() + 0.01, Timer(lambda: fired.append("late")))

    timers.close()
    timers.add(current_driver().now(), Timer(lambda: fired.append("later still")))
    await anyio.sleep(0.03)  # longer than the timer would take

    assert fired == []
