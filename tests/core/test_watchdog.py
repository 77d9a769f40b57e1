"""The loop's watchdog: it names whoever holds up the loop, and nobody else."""

import logging
import os
import re
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from ceylon import Agent, Context, Mesh, Message, Ref, on
from ceylon.core.instruments import Instruments, instruments
from ceylon.core.watchdog import (
    _PACE,  # pyright: ignore[reportPrivateUsage] – what is promised is in terms of it
    Watchdog,
)
from support.law import lawful_mesh
from support.leftovers import DEADLINE, eventually, quick, threads_left, tidy_mesh
from support.loops import chosen_loops
from support.silence import Silence
from support.virtual_time import virtual

LIMIT = 0.05
_TASKS = Path("/proc/self/task")
LONG = 0.4
_DAY = 24 * 3600.0
_MOST_SIGNS = 10_000  # in one that leaps; at their usual pace it were 345,600
SILENCE = Silence()


class Block(Message[None]):
    """Hold up the loop, until the watchdog says so unless for some *seconds*."""

    seconds: float | None = None


def hold_up_the_loop(seconds: float | None = None) -> None:
    if seconds is None:
        SILENCE.sleep()
    else:
        time.sleep(seconds)


def keep_the_processor() -> None:
    SILENCE.spin()


class Blocker(Agent):
    """Blocks the loop in a handler."""

    @on
    async def block(self, block: Block) -> None:
        hold_up_the_loop(block.seconds)

    @on
    async def wait(self, seconds: float) -> None:
        await anyio.sleep(seconds)

    @on
    async def background(self, word: str, context: Context) -> None:
        context.start_soon(self.block_later)

    async def block_later(self) -> None:
        await anyio.lowlevel.checkpoint()
        hold_up_the_loop()


class Inline(Agent):
    """Does the same in a plain function on the loop."""

    inline = True

    @on
    def block(self, block: Block) -> None:
        hold_up_the_loop(block.seconds)


class Parts(Agent):
    """Does the same between two parts."""

    @on
    async def block(self, block: Block) -> AsyncIterator[int]:
        yield 1
        hold_up_the_loop(block.seconds)
        yield 2


class SlowStart(Agent):
    """Does the same in a hook."""

    async def on_start(self, context: Context) -> None:
        hold_up_the_loop()


class Counter(Agent):
    """Is quick, and keeps the interpreter's lock."""

    async def on_message(self, number: int) -> int:
        return number


@asynccontextmanager
async def watched_mesh(**changes: Any) -> AsyncIterator[Mesh]:
    async with tidy_mesh("watched", **{"block_warning": LIMIT, **changes}) as mesh:
        yield mesh


def said(caplog: pytest.LogCaptureFixture, event: str) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.getMessage().startswith(event + " ")]


@pytest.fixture(autouse=True)
def _log_level(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.WARNING, logger="ceylon"), SILENCE.listening():
        yield


async def test_a_handler_that_blocks_the_loop_is_named_with_its_message_and_its_stack(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with watched_mesh() as mesh:
        blocker = mesh.add(Blocker("blocker"))

        await blocker.ask(Block())
        await eventually(lambda: said(caplog, "loop_unblocked"))

    [warning] = said(caplog, "loop_blocked")
    first, *stack = warning.splitlines()
    assert "agent='blocker'" in first
    assert "message='Block'" in first
    assert re.search(r"seconds=\d+\.\d", first)
    assert "hold_up_the_loop" in "\n".join(stack)
    assert "self._ends.acquire(" in stack[-1]
    assert not any("ceylon/core" in line for line in stack)
    [end] = said(caplog, "loop_unblocked")
    assert "agent='blocker'" in end


async def test_a_handler_that_keeps_the_processor_is_named_too(caplog: pytest.LogCaptureFixture) -> None:
    class Busy(Blocker):
        @on
        async def block(self, block: Block) -> None:
            keep_the_processor()

    async with watched_mesh() as mesh:
        busy = mesh.add(Busy("busy"))

        await busy.ask(Block())
        await eventually(lambda: said(caplog, "loop_unblocked"))

    [warning] = said(caplog, "loop_blocked")
    assert "keep_the_processor" in warning


@pytest.mark.parametrize("kind", [Inline, Parts])
async def test_inline_handlers_and_generators_are_named(kind: type[Agent], caplog: pytest.LogCaptureFixture) -> None:
    async with watched_mesh() as mesh:
        agent = mesh.add(kind("agent"))

        await agent.ask(Block())
        await eventually(lambda: said(caplog, "loop_unblocked"))

    [warning] = said(caplog, "loop_blocked")
    assert "agent='agent' message='Block'" in warning


async def test_a_hook_that_blocks_is_named(caplog: pytest.LogCaptureFixture) -> None:
    async with watched_mesh() as mesh:
        mesh.add(SlowStart("slow"))
        await eventually(lambda: said(caplog, "loop_unblocked"))

    [warning] = said(caplog, "loop_blocked")
    assert "agent='slow' task='on_start'" in warning


async def test_a_background_task_that_blocks_is_named(caplog: pytest.LogCaptureFixture) -> None:
    async with watched_mesh() as mesh:
        blocker = mesh.add(Blocker("blocker"))
        await blocker.tell("go")
        await eventually(lambda: said(caplog, "loop_unblocked"))

    [warning] = said(caplog, "loop_blocked")
    assert "agent='blocker' task='background'" in warning
    assert "block_later" in warning


async def test_a_handler_that_waits_is_not_blamed(caplog: pytest.LogCaptureFixture) -> None:
    async with watched_mesh(block_warning=4 * LIMIT) as mesh:
        blocker = mesh.add(Blocker("blocker"))

        await blocker.ask(10 * LIMIT)

    assert not said(caplog, "loop_blocked")


async def test_code_of_no_agent_that_blocks_the_loop_is_nobodys_fault(caplog: pytest.LogCaptureFixture) -> None:
    async with watched_mesh() as mesh:
        blocker = mesh.add(Blocker("blocker"))
        await blocker.ask(0.0)

        hold_up_the_loop(LONG)
        await blocker.ask(0.0)

    assert not said(caplog, "loop_blocked")


async def test_a_machine_that_is_merely_busy_is_nobodys_fault(caplog: pytest.LogCaptureFixture) -> None:
    async with watched_mesh(block_warning=0.5) as mesh:
        blocker = mesh.add(Blocker("blocker"))
        over = threading.Event()

        def burn() -> None:
            while not over.is_set():
                pass

        burners = [threading.Thread(target=burn) for _ in range(4)]
        for burner in burners:
            burner.start()
        try:
            for _ in range(10):
                await blocker.ask(0.01)
        finally:
            over.set()
            for burner in burners:
                burner.join()

    assert not said(caplog, "loop_blocked")


async def test_many_short_handlers_in_a_row_are_not_one_long_one(caplog: pytest.LogCaptureFixture) -> None:
    async with watched_mesh(block_warning=0.5) as mesh:
        blocker = mesh.add(Blocker("blocker"))

        for _ in range(120):
            blocker.tell_nowait(Block(0.002))
        await mesh.drain()

    assert not said(caplog, "loop_blocked")


async def test_the_warnings_about_one_agent_are_limited(caplog: pytest.LogCaptureFixture) -> None:
    async with watched_mesh(log_first=1) as mesh:
        blocker = mesh.add(Blocker("blocker"))

        await blocker.ask(Block())
        await eventually(lambda: said(caplog, "loop_unblocked"))
        for _ in range(2):
            await blocker.ask(Block(0.2))
            await anyio.sleep(0.01)

    assert len(said(caplog, "loop_blocked")) == 1
    assert len(said(caplog, "loop_unblocked")) == 1


async def test_the_thread_sleeps_while_nothing_is_under_way_and_wakes_up_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with watched_mesh() as mesh:
        blocker = mesh.add(Blocker("blocker"))
        watchdog = mesh.interior.watchdog
        assert watchdog is not None
        await blocker.ask(0.0)
        assert not watchdog.is_asleep

        await eventually(lambda: watchdog.is_asleep)
        await blocker.ask(Block())
        await eventually(lambda: said(caplog, "loop_unblocked"))

    assert len(said(caplog, "loop_blocked")) == 1


@pytest.mark.skipif(not _TASKS.exists(), reason="nothing here tells how often a thread was woken")
async def test_the_thread_is_woken_for_signs_of_life_only_not_at_every_turn_of_a_busy_loop() -> None:
    """It would be if the loop did not wait for it: it needs the interpreter's lock, which the loop takes again at once.

    On a busy machine that may happen now and then, so one good stretch is enough.
    """
    async with watched_mesh(block_warning=30.0) as mesh:
        counter = mesh.add(Counter("counter"))
        await counter.ask(1)

        with anyio.fail_after(DEADLINE):
            while True:
                turns, signs, woken = await _busy_stretch(counter)
                if turns > 20 * signs and woken < 10 * signs:
                    break


async def _busy_stretch(counter: Ref) -> tuple[int, float, int]:
    """Keep the loop busy for some signs of life; return its turns, the signs, and how often the thread was woken."""
    [watchdog] = [thread for thread in threading.enumerate() if thread.name == "ceylon watched watchdog"]
    began, before, turns = time.monotonic(), _times_woken(watchdog), 0
    while time.monotonic() < began + 5 * _PACE:
        for _ in range(20):
            counter.tell_nowait(1)
        await anyio.lowlevel.checkpoint()
        turns += 1
    return turns, (time.monotonic() - began) / _PACE, _times_woken(watchdog) - before


def _times_woken(thread: threading.Thread) -> int:
    """Return how often *thread* has waited for something."""
    status = (_TASKS / str(thread.native_id) / "status").read_text(encoding="ascii")
    return int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])


async def test_a_mesh_without_messages_has_no_watchdog_thread() -> None:
    async with watched_mesh() as mesh:
        mesh.add(Blocker("blocker"))
        await anyio.lowlevel.checkpoint()

        assert not threads_left("watched")


async def test_the_thread_ends_with_the_mesh() -> None:
    async with watched_mesh() as mesh:
        await mesh.add(Blocker("blocker")).ask(0.0)
        assert threads_left("watched") == {"ceylon watched watchdog"}

    await eventually(lambda: not threads_left("watched"))


async def test_settings_and_instruments_can_switch_it_off(caplog: pytest.LogCaptureFixture) -> None:
    token = instruments.set(Instruments(watches_loop=False))
    try:
        unwatched = lawful_mesh("watched", settings=quick(block_warning=LIMIT))
        async with unwatched as one, lawful_mesh("other", settings=quick(block_warning=None)) as other:
            for mesh in (one, other):
                await mesh.add(Blocker("blocker")).ask(Block(4 * LIMIT))
            assert not threads_left("watched") | threads_left("other")
    finally:
        instruments.reset(token)

    assert not said(caplog, "loop_blocked")


async def test_of_two_meshes_on_one_loop_only_the_agents_own_speaks(caplog: pytest.LogCaptureFixture) -> None:
    settings = quick(block_warning=LIMIT)
    async with lawful_mesh("first", settings=settings) as mesh, lawful_mesh("second", settings=settings) as second:
        blocker, other = mesh.add(Blocker("blocker")), second.add(Blocker("other"))
        await other.ask(0.0)

        await blocker.ask(Block())
        await eventually(lambda: said(caplog, "loop_unblocked"))

    assert len(said(caplog, "loop_blocked")) == 1


@pytest.mark.parametrize("anyio_backend", [("asyncio", {"use_uvloop": True})], ids=["uvloop"])
async def test_it_works_on_uvloop(caplog: pytest.LogCaptureFixture) -> None:
    async with watched_mesh() as mesh:
        await mesh.add(Blocker("blocker")).ask(Block())
        await eventually(lambda: said(caplog, "loop_unblocked"))

    assert len(said(caplog, "loop_blocked")) == 1


@pytest.mark.parametrize(
    "anyio_backend", [pytest.param(virtual(loop.id), id=loop.id) for loop in chosen_loops("asyncio", "trio")]
)
async def test_time_that_leaps_is_not_full_of_signs_of_life_and_who_blocks_then_is_named(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    signs, live = 0, Watchdog._live  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] – nothing else tells of them

    def count(watchdog: Watchdog) -> None:
        nonlocal signs
        signs += 1
        live(watchdog)

    monkeypatch.setattr(Watchdog, "_live", count)
    async with watched_mesh(ask_timeout=_DAY + 1, handler_timeout=None) as mesh:
        blocker = mesh.add(Blocker("blocker"))
        await blocker.ask(_DAY)

        await blocker.ask(Block())
        await eventually(lambda: said(caplog, "loop_unblocked"))

    assert signs < _MOST_SIGNS
    assert len(said(caplog, "loop_blocked")) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
async def test_a_fork_leaves_it_to_the_parent(caplog: pytest.LogCaptureFixture) -> None:
    async with watched_mesh() as mesh:
        blocker = mesh.add(Blocker("blocker"))
        await blocker.ask(0.0)
        child = os.fork()
        if not child:
            os._exit(0)
        await anyio.to_thread.run_sync(os.waitpid, child, 0)

        await blocker.ask(Block())
        await eventually(lambda: said(caplog, "loop_unblocked"))

    assert len(said(caplog, "loop_blocked")) == 1
