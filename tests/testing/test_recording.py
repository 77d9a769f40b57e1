"""A history is written of any mesh, on any loop, by the parts it is made of."""

import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from ceylon import Agent, AskTimeoutError, BlockingContext, Context, HandlerError, Mesh, UnknownAgentError, on
from ceylon.testing import History, What, recording_instruments
from support.core_agents import Counter as Parts
from support.core_agents import Failing, Held, until
from support.leaps import leap, on_leaping_loops
from support.leftovers import quick
from support.simulated import instrumented


@contextlib.asynccontextmanager
async def recorded_mesh(**options: Any) -> AsyncIterator[tuple[Mesh, History]]:
    history = History()
    with instrumented(recording_instruments(history)):
        mesh = Mesh("recorded", settings=quick(**options))
    async with mesh:
        yield mesh, history
    _agrees(mesh, history)


def _agrees(mesh: Mesh, history: History) -> None:
    """Fail if the history and the mesh's counters differ."""
    gone = mesh.statistics().stopped_agents
    ended = Counter(event.detail for event in history.of(What.ENDED))
    assert len(history.of(What.ACCEPTED)) == gone.accepted
    assert ended == +Counter(
        completed=gone.completed,
        failed=gone.failed,
        dead_lettered=gone.dead_lettered,
        expired=gone.expired,
        cancelled=gone.cancelled,
    )
    assert len(history.of(What.REFUSED)) == mesh.statistics().refused
    assert len(history.of(What.ASKED)) == len(history.of(What.RESOLVED))
    assert len(history.of(What.LATE)) == mesh.statistics().late_replies


def story(history: History, number: int) -> list[tuple[str, str]]:
    return [(event.what, event.detail) for event in history if event.id == number]


class Doubler(Agent):
    @on
    async def double(self, number: int) -> int:
        return 2 * number

    @on
    def double_in_a_thread(self, number: float, context: BlockingContext) -> float:
        return float(context.ask("doubler2", int(number)))


async def test_an_ask_is_written_from_its_beginning_to_its_reply() -> None:
    async with recorded_mesh() as (mesh, history):
        mesh.add(Doubler("doubler"))
        assert await mesh.ask("doubler", 2) == 4

    assert story(history, 1) == [
        ("asked", ""),
        ("accepted", "1"),
        ("began", ""),
        ("resolved", "reply"),
        ("ended", "completed"),
    ]
    assert [(event.what, event.recipient) for event in history if not event.id] == [
        ("started", "doubler"),
        ("stopped", "doubler"),
    ]


async def test_a_thread_is_named_and_the_parent_is_known() -> None:
    async with recorded_mesh() as (mesh, history):
        mesh.add(Doubler("doubler"))
        mesh.add(Doubler("doubler2"))
        assert await mesh.ask("doubler", 2.0) == 4

    began = history.of(What.BEGAN)
    assert [(event.recipient, event.detail, event.parent) for event in began] == [
        ("doubler", "threaded", 0),
        ("doubler2", "", began[0].id),
    ]


async def test_failures_refusals_and_unhandled_messages_are_told_apart() -> None:
    async with recorded_mesh() as (mesh, history):
        mesh.add(Failing("failing"))
        with pytest.raises(HandlerError):
            await mesh.ask("failing", KeyError("x"))
        with pytest.raises(UnknownAgentError):
            await mesh.tell("nobody", 1)
        await mesh.tell("failing", "nobody takes this")

    assert [event.detail for event in history.of(What.ENDED)] == ["failed", "dead_lettered"]
    assert [event.detail for event in history.of(What.REFUSED)] == ["unknown_agent"]
    assert [event.detail for event in history.of(What.RESOLVED)] == ["HandlerError"]


@on_leaping_loops
async def test_what_expires_is_cancelled_or_given_up_ends_once() -> None:
    async with recorded_mesh(drain_timeout=0.05) as (mesh, history), anyio.create_task_group() as tasks:
        held = Held("held")
        mesh.add(held)

        async def be_late() -> None:
            await until(lambda: held.begun)
            leap(20)

        tasks.start_soon(be_late)
        with pytest.raises(AskTimeoutError):
            await mesh.ask("held", "times out in its handler", timeout=20)
        await mesh.tell("held", "cancelled by the stop")
        await until(lambda: len(held.begun) == 2)
        with pytest.raises(AskTimeoutError):
            await mesh.ask("held", "times out in the mailbox", timeout=0.01)
        await mesh.tell("held", "never begun")

    ended = history.of(What.ENDED)
    assert len({event.id for event in ended}) == len(ended) == 4
    assert Counter(event.detail for event in ended) == {"cancelled": 2, "expired": 1, "dead_lettered": 1}


async def test_streams_and_messages_that_wait_for_room_are_written() -> None:
    class Slow(Agent):
        mailbox_capacity = 1

        async def on_message(self, message: Any, context: Context) -> None:
            await anyio.lowlevel.checkpoint()

    async with recorded_mesh() as (mesh, history):
        mesh.add(Slow("slow"))
        mesh.add(Parts("parts"))
        for number in range(5):
            await mesh.tell("slow", number)
        assert [part async for part in mesh.stream("parts", 3)] == [0, 1, 2]
        assert [part async for part in mesh.stream("parts", "3")] == [0, 1, 2]
        assert await mesh.ask("parts", "2") == [0, 1]

    assert {event.kind for event in history.of(What.ENDED)} == {"tell", "stream", "ask"}
    assert {event.detail for event in history.of(What.ENDED)} == {"completed"}


async def test_a_restart_is_written() -> None:
    class Restarting(Failing):
        on_failure = "restart"

    async with recorded_mesh() as (mesh, history):
        mesh.add(Restarting("phoenix"))
        await mesh.tell("phoenix", ValueError("x"))
        assert await mesh.ask("phoenix", 1) == 1

    assert [event.what for event in history if not event.id] == ["started", "restarted", "stopped"]
