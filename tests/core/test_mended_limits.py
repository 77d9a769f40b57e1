"""Numbers out of range, and limits that hold whatever runs beside each other."""

import math
import threading
from typing import Any

import anyio
import pytest

from ceylon import Agent, BlockingContext, Context, HandlerError, Mesh, Stream, on
from ceylon.core import tasks
from ceylon.core.channel import Channel
from ceylon.core.timers import Timer
from ceylon.errors import ArgumentError
from support.core_agents import Echo
from support.leftovers import DEADLINE, eventually, tidy_mesh


@pytest.mark.parametrize("seconds", [math.nan, math.inf, -math.inf, -1.0])
async def test_a_time_that_is_none_is_no_timeout(mesh: Mesh, seconds: float) -> None:
    ref = mesh.add(Echo("echo"))

    with pytest.raises(ArgumentError, match="no time to wait"):
        await ref.ask("hello", timeout=seconds)
    with pytest.raises(ArgumentError, match="no time to wait"):
        await ref.stream("hello", timeout=seconds).result()


class Reminded(Agent):
    @on
    async def after(self, seconds: float, context: Context) -> None:
        context.after(seconds, "tea")

    @on
    def every(self, seconds: int, context: BlockingContext) -> None:
        context.every(seconds, "tea")


@pytest.mark.parametrize("seconds", [math.nan, math.inf, -1.0, 0, -1], ids=repr)
async def test_a_time_that_is_none_reminds_nobody(mesh: Mesh, seconds: float) -> None:
    with pytest.raises(HandlerError, match="no time to wait"):
        await mesh.add(Reminded("reminded")).ask(seconds)

    assert mesh.statistics().timers == 0


async def test_a_timer_that_fails_holds_up_no_other(mesh: Mesh, caplog: pytest.LogCaptureFixture) -> None:
    fired: list[str] = []

    def fail() -> None:
        raise ValueError

    timers, now = mesh.interior.timers, mesh.interior.driver.now()
    timers.add(now, Timer(fail))
    timers.add(now, Timer(lambda: fired.append("at once")))
    timers.add(now + 0.01, Timer(lambda: fired.append("later")))

    await eventually(lambda: fired == ["at once", "later"])

    assert "timer_failed" in caplog.text


async def test_many_producers_wait_for_one_slow_consumer(mesh: Mesh) -> None:
    interior = mesh.interior

    async def produce(channel: Channel) -> None:
        async def work() -> None:
            for part in range(100):
                await channel.put(part)

        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(work)

    stream = Stream(interior.gateway, lambda sink: tasks.run_stream(interior, sink, produce, None), math.inf, math.inf)
    with anyio.fail_after(DEADLINE):
        parts = await stream.result()

    assert sorted(parts) == sorted([*range(100)] * 5)


async def test_threads_that_go_on_after_a_blocking_verb_stay_within_the_limit(anyio_backend: str) -> None:
    gate = anyio.Event()
    counting = threading.Lock()
    running = most = 0

    class Slow(Agent):
        concurrency = 100

        async def on_message(self, message: Any) -> Any:
            await gate.wait()
            return message

    class Busy(Agent):
        def on_message(self, message: Any, context: BlockingContext) -> None:
            nonlocal running, most
            context.ask("slow", message)
            with counting:
                running += 1
                most = max(most, running)
            sum(range(300_000))  # long enough for others to go on as well, if they could
            with counting:
                running -= 1

    async with tidy_mesh(threads=2) as mesh:
        mesh.add(Slow("slow"))
        refs = [mesh.add(Busy(f"busy-{number}")) for number in range(8)]
        with anyio.fail_after(DEADLINE):
            async with anyio.create_task_group() as group:
                for ref in refs:
                    group.start_soon(ref.ask, "hello")
                await eventually(lambda: mesh.statistics().threads.blocked == 8)
                gate.set()

    assert most <= 2
