"""Handlers that take too long, block, or do not let themselves be stopped: rows B2, B3, B4 and B10.

Every row is tried with a tell, an ask and a publication, and in each way a handler runs, but where there is no such
thing:

    row                            way      why there is no test
    B2 waits for ever              inline   a plain function on the loop cannot wait; it can only block (B3)
    B3 blocks the loop             thread   it is not on the loop; that nobody is blamed is tested
    B3 blocks the loop for ever    all      then nothing of this process's loop runs any more, a test's neither
    B10 ignores its cancellation   thread   nothing cancels a thread; it is given up as in B2
    B10 ignores its cancellation   inline   a plain function is never cancelled: it has no `await` to be cancelled at
"""

import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

import anyio
import pytest

from ceylon import Agent, HandlerError, HandlerTimeoutError, MeshClosedError, on
from support.hostile_agents import Ping
from support.law import lawful_mesh
from support.leftovers import DEADLINE, eventually, quick, threads_left
from support.rogues import KINDS, Deed, on_each_verb, rogue_has, send, stage
from support.silence import Silence

SHORT = 0.1
LONGER = 0.2  # for threads, which a busy machine may keep waiting


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Hold threads until the test opens it, or ends."""
    gate = threading.Event()
    yield gate
    gate.set()


class Deaf:
    """Ignores every cancellation until it is let go."""

    def __init__(self) -> None:
        self.has_begun, self.may_end, self.has_ended = anyio.Event(), anyio.Event(), anyio.Event()

    async def act(self, agent: Agent, context: Any) -> str:
        self.has_begun.set()
        with anyio.CancelScope(shield=True):
            while not self.may_end.is_set():
                try:
                    await self.may_end.wait()
                except BaseException:  # noqa: BLE001, S112 – that is what it does
                    continue
        self.has_ended.set()
        return "at last"


async def _wait_for_ever(agent: Agent, context: Any) -> None:
    await anyio.sleep_forever()


# -- B2: waits for ever ------------------------------------------------------------------------------------------------


@on_each_verb
async def test_an_async_handler_that_waits_for_ever_fails_by_its_timeout(verb: str) -> None:
    async with stage("async", handler_timeout=SHORT) as mesh:
        outcome = await send(mesh, verb, Deed(_wait_for_ever))

        await rogue_has(mesh, failed=1, cancelled=0, restarts=0)
        assert isinstance(outcome.error, HandlerError) == (verb == "ask")
        if isinstance(outcome.error, HandlerError):
            assert isinstance(outcome.error.root, HandlerTimeoutError)
            assert not outcome.error.root.still_runs


@on_each_verb
async def test_a_thread_that_waits_for_ever_is_given_up_and_its_agent_begins_again(
    verb: str, gate: threading.Event
) -> None:
    async with stage("thread", handler_timeout=LONGER) as mesh:
        outcome = await send(mesh, verb, Deed(lambda agent, context: gate.wait(DEADLINE)))

        await rogue_has(mesh, failed=1, restarts=1)
        assert (mesh.statistics().threads.abandoned, mesh.statistics().threads.stuck) == (1, 1)
        if verb == "ask":
            assert isinstance(outcome.error, HandlerError)
            assert isinstance(outcome.error.root, HandlerTimeoutError)
            assert outcome.error.root.still_runs
        gate.set()
        await eventually(lambda: not mesh.statistics().threads.stuck)


# -- B3: blocks the loop -----------------------------------------------------------------------------------------------


SILENCE = Silence()


def _sleep(agent: Agent, context: Any) -> str:
    SILENCE.sleep()
    return "done"


def _spin(agent: Agent, context: Any) -> str:
    SILENCE.spin()
    return "done"


def _sleep_in_a_thread(agent: Agent, context: Any) -> str:
    time.sleep(0.4)
    return "done"


def _spin_in_a_thread(agent: Agent, context: Any) -> str:
    end = time.monotonic() + 0.4
    while time.monotonic() < end:
        sum(range(100))
    return "done"


@pytest.mark.parametrize("act", [_sleep, _spin])
@pytest.mark.parametrize("kind", ["async", "inline"])
@on_each_verb
async def test_a_handler_that_blocks_the_loop_is_named_and_the_mesh_recovers(
    kind: str, verb: str, act: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="ceylon"), SILENCE.listening():
        async with stage(kind, block_warning=SHORT) as mesh:
            outcome = await send(mesh, verb, Deed(act))

            await rogue_has(mesh, completed=1, failed=0)
            assert outcome.value == ("done" if verb == "ask" else None)
            await eventually(lambda: "loop_unblocked" in caplog.text)

    [warning] = [record.getMessage() for record in caplog.records if "loop_blocked" in record.getMessage()]
    assert "agent='rogue' message='Deed'" in warning
    assert act.__name__ in warning


@pytest.mark.parametrize("act", [_sleep_in_a_thread, _spin_in_a_thread])
@on_each_verb
async def test_a_handler_that_blocks_its_own_thread_is_nobodys_affair(
    verb: str, act: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with stage("thread", block_warning=SHORT) as mesh:
        await send(mesh, verb, Deed(act))

        await rogue_has(mesh, completed=1, failed=0)

    assert "loop_blocked" not in caplog.text


# -- B4: blocks more threads than there are ----------------------------------------------------------------------------


class Crowd(Agent):
    """Blocks a thread until the gate is opened; says how many did at one time."""

    def __init__(self, name: str, gate: threading.Event, inside: list[str]) -> None:
        super().__init__(name)
        self._gate, self._inside = gate, inside

    @on
    def block(self, seconds: float) -> None:
        self._inside.append(self.name)
        self._gate.wait(DEADLINE)


class Quick(Agent):
    """Answers on the loop."""

    @on
    async def ping(self, ping: Ping) -> str:
        return "here"


@on_each_verb
async def test_a_hundred_blocked_handlers_keep_to_the_limit_and_hold_up_nobody_else(
    verb: str, gate: threading.Event
) -> None:
    inside: list[str] = []
    settings = quick(drain_timeout=0.05, stop_grace=0.05)
    async with lawful_mesh("crowd", settings=settings) as mesh:
        quick_one = mesh.add(Quick("quick"))
        crowd = [mesh.add(Crowd(f"crowd-{number}", gate, inside)) for number in range(100)]
        async with anyio.create_task_group() as group:
            if verb == "publish":
                await mesh.broadcast(1.0)
            for each in crowd if verb != "publish" else ():
                if verb == "tell":
                    each.tell_nowait(1.0)
                else:
                    group.start_soon(_ask_until_closed, each)
            await eventually(lambda: len(inside) >= settings.threads)

            for _ in range(20):
                assert await quick_one.ask(Ping()) == "here"

            statistics = mesh.statistics().threads
            assert (statistics.running, len(inside)) == (settings.threads, settings.threads)
            await mesh.stop()
    at_the_end = mesh.statistics()
    gate.set()
    await eventually(lambda: not threads_left("crowd"))

    assert at_the_end.threads.abandoned == at_the_end.threads.stuck == settings.threads
    assert at_the_end.stopped_agents.dead_lettered + at_the_end.stopped_agents.cancelled >= 100
    assert mesh.statistics().threads.stuck == 0


async def _ask_until_closed(crowd: Any) -> None:
    with pytest.raises(MeshClosedError):
        await crowd.ask(1.0, timeout=DEADLINE)


# -- B10: ignores its cancellation -------------------------------------------------------------------------------------


@on_each_verb
async def test_a_handler_that_ignores_its_cancellation_is_given_up_after_the_grace(verb: str) -> None:
    deaf = Deaf()
    async with stage("async", handler_timeout=SHORT, stop_grace=SHORT) as mesh:
        outcome = await send(mesh, verb, Deed(deaf.act))

        await rogue_has(mesh, failed=1, restarts=1)
        assert mesh.statistics().abandoned_handlers == 1
        if verb == "ask":
            assert isinstance(outcome.error, HandlerError)
            assert isinstance(outcome.error.root, HandlerTimeoutError)
            assert outcome.error.root.still_runs
        deaf.may_end.set()
        await deaf.has_ended.wait()


@on_each_verb
async def test_a_stop_does_not_wait_for_ever_for_a_handler_that_ignores_it(verb: str) -> None:
    deaf = Deaf()
    outcomes: list[Any] = []
    async with lawful_mesh("deaf", settings=quick(drain_timeout=SHORT, stop_grace=SHORT)) as mesh:
        async with anyio.create_task_group() as group:

            async def ask() -> None:
                outcomes.append(await send(mesh, verb, Deed(deaf.act)))

            mesh.add(KINDS["async"]("rogue"))
            group.start_soon(ask)
            await deaf.has_begun.wait()
            await mesh.stop()
        deaf.may_end.set()
        await deaf.has_ended.wait()

    assert isinstance(outcomes[0].error, MeshClosedError) == (verb == "ask")
    statistics = mesh.statistics()
    assert (statistics.abandoned_handlers, statistics.stopped_agents.cancelled) == (1, 1)
