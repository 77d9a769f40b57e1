"""What a mesh says of itself: what is open, who waits for whom, and why a message is where it is."""

import threading
from collections.abc import AsyncIterator
from typing import Any

import anyio
import anyio.to_thread
import msgspec
import pytest

from ceylon import (
    Agent,
    AskTimeoutError,
    BlockingMesh,
    Context,
    MailboxFullError,
    Mesh,
    MeshClosedError,
    UnknownAgentError,
    UnknownMessageError,
    action,
    on,
)
from ceylon.core.findings import Wait
from ceylon.settings import DEFAULTS
from support.core_agents import SECONDS, Ask, Echo, Failing, Held, HeldInAThread, Relay, until
from support.law import lawful_mesh
from support.leftovers import quick, wait_until


async def opened(mesh: Mesh, number: int) -> None:
    """Wait until so many envelopes are open."""
    await until(lambda: len(mesh.ledger().open) == number)


# -- the ledger --------------------------------------------------------------------------------------------------------


async def test_the_ledger_lists_what_is_open_and_where(mesh: Mesh) -> None:
    class Small(Held):
        mailbox_capacity = 1

    held, thread = Small("held"), HeldInAThread("thread")
    ref = mesh.add(held)
    mesh.add(thread)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ref.ask, "first")
        await until(lambda: held.begun)
        await ref.tell(2)
        tasks.start_soon(ref.tell, 3.5)
        tasks.start_soon(mesh.tell, "thread", b"4")
        await opened(mesh, 4)
        await until(lambda: thread.begun)

        ledger = mesh.ledger()

        assert {(each.kind, each.message_type, each.place) for each in ledger.open} == {
            ("ask", "str", "in a handler"),
            ("tell", "int", "in the mailbox"),
            ("tell", "float", "waiting for room"),
            ("tell", "bytes", "in a thread"),
        }
        assert [each.remaining is not None for each in ledger.open if each.kind == "ask"] == [True]
        assert ledger.is_balanced
        assert ledger.statistics.agents["held"].pending == 2
        held.gate.set()
        thread.gate.set()
    await mesh.drain()
    assert mesh.ledger().open == []


async def test_a_handler_whose_asker_has_left_is_unattended(mesh: Mesh) -> None:
    thread = HeldInAThread("thread")
    ref = mesh.add(thread)
    with pytest.raises(AskTimeoutError):
        await ref.ask("tea", timeout=0.01)
    await until(lambda: thread.begun or not mesh.ledger().open)

    unattended = [each.unattended for each in mesh.ledger().open]

    thread.gate.set()
    await mesh.drain()
    assert unattended == ([True] if thread.begun else [])


# -- waits -------------------------------------------------------------------------------------------------------------


async def waits_of(mesh: Mesh, kind: str) -> Wait:
    """Return the one wait of a kind, as soon as it is there."""
    await until(lambda: [wait for wait in mesh.waits() if wait.kind == kind])
    (wait,) = [wait for wait in mesh.waits() if wait.kind == kind]
    return wait


async def test_asks_say_who_waits_for_whom(mesh: Mesh) -> None:
    held, relay = Held("held"), Relay("relay")
    mesh.add(held)
    ref = mesh.add(relay)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ref.ask, Ask(("held",), "tea"))
        await until(lambda: held.begun)

        outer, inner = sorted(mesh.waits(), key=lambda wait: wait.waiter)

        assert (outer.kind, outer.waiter, outer.on) == ("reply", "", "relay")
        assert (inner.kind, inner.waiter, inner.on) == ("reply", "relay", "held")
        assert outer.blocked_by == (inner.waiter_id,) == (relay.contexts[0].message_id,)
        assert inner.blocked_by == (inner.message_id,)
        assert inner.remaining is not None
        assert 0 < inner.remaining <= DEFAULTS.ask_timeout
        assert "relay" in str(inner)
        assert "waits for reply of held" in str(inner)
        held.gate.set()
    assert mesh.waits() == []


async def test_whoever_stops_waiting_for_a_drain_is_forgotten(mesh: Mesh) -> None:
    held = Held("held")
    await mesh.add(held).tell("busy")

    for _ in range(3):
        with anyio.move_on_after(0.001):
            await mesh.drain()  # on the mesh's own loop
    await anyio.to_thread.run_sync(_drain_for_a_moment, mesh)  # on another

    await until(lambda: not [wait for wait in mesh.waits() if wait.kind == "drain"])
    held.gate.set()


def _drain_for_a_moment(mesh: Mesh) -> None:
    async def drain() -> None:
        with anyio.move_on_after(0.001):
            await mesh.drain()

    anyio.run(drain)


async def test_a_full_mailbox_a_stream_and_a_drain_are_waits_too(mesh: Mesh) -> None:
    class Small(Held):
        mailbox_capacity = 1

    class Source(Agent):
        @on
        async def many(self, most: int) -> AsyncIterator[int]:
            for number in range(most):
                yield number

    class Teller(Agent):
        async def on_message(self, message: Any, context: Context) -> None:
            await context.tell("held", message)

    held = Small("held")
    mesh.add(held)
    mesh.add(Teller("teller"))
    mesh.add(Source("source"))
    async with anyio.create_task_group() as tasks:
        for number in range(2):
            await mesh.tell("held", number)
            await until(lambda: held.begun)
        await mesh.tell("teller", "no room")
        room = await waits_of(mesh, "room")
        assert (room.waiter, room.on) == ("teller", "held")
        assert mesh.why(room.message_id).state == "waiting for room"

        async with mesh.stream("source", 10 * DEFAULTS.stream_credit) as parts:
            await anext(parts)
            credit = await waits_of(mesh, "credit")
            assert (credit.waiter, credit.on) == ("source", "")

        tasks.start_soon(mesh.drain)
        drain = await waits_of(mesh, "drain")
        assert len(drain.blocked_by) >= 2
        held.gate.set()
    assert mesh.waits() == []


async def test_a_consumer_waits_for_parts_and_a_lease_for_a_thread() -> None:
    class Slow(Agent):
        def __init__(self, name: str) -> None:
            super().__init__(name)
            self.gate = anyio.Event()

        async def on_message(self, message: Any) -> AsyncIterator[int]:
            await self.gate.wait()
            yield 1

    async with lawful_mesh(settings=quick(threads=1)) as mesh:
        slow, first, second = Slow("slow"), HeldInAThread("first"), HeldInAThread("second")
        for agent in (slow, first, second):
            mesh.add(agent)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(mesh.stream("slow", "go").result)
            parts = await waits_of(mesh, "parts")
            assert (parts.waiter, parts.on) == ("", "slow")

            await mesh.tell("first", 1)
            await until(lambda: first.begun)
            await mesh.tell("second", 2)
            thread = await waits_of(mesh, "thread")
            assert thread.waiter == "second"
            assert [wait.kind for wait in mesh.why(thread.message_id).waits_for] == ["thread"]
            slow.gate.set()
            first.gate.set()
            second.gate.set()


# -- why ---------------------------------------------------------------------------------------------------------------


async def test_why_tells_the_chain_the_wait_and_the_blockers(mesh: Mesh) -> None:
    held, relay, further = Held("held"), Relay("relay"), Relay("further")
    for agent in (held, relay, further):
        mesh.add(agent)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(mesh.ask, "relay", Ask(("further", "held"), "tea"))
        await until(lambda: held.begun)
        await mesh.tell("relay", "behind it")
        innermost = next(each for each in mesh.ledger().open if each.recipient == "held")
        behind = next(each for each in mesh.ledger().open if each.message_type == "str" and each.recipient == "relay")

        inner, queued = mesh.why(innermost.message_id), mesh.why(behind.message_id)

        assert (inner.state, inner.sender, inner.waits_for) == ("in a handler", "further", ())
        assert ["relay" in line or "further" in line for line in inner.chain] == [True, True]
        assert inner.chain[0].startswith("Ask")
        assert queued.state == "in the mailbox"
        assert queued.blocked_by == ("relay", "further", "held")
        assert [wait.kind for wait in queued.waits_for] == ["turn"]
        assert "blocked by relay → further → held" in str(queued)
        handled = mesh.why(relay.contexts[0].message_id)
        assert [(wait.kind, wait.on) for wait in handled.waits_for] == [("reply", "further")]
        held.gate.set()
    assert mesh.why(further.contexts[0].message_id).state == "completed"


async def test_a_timed_out_ask_names_the_id_to_ask_about(mesh: Mesh) -> None:
    held = Held("held")
    ref = mesh.add(held)
    await ref.tell("first")
    await until(lambda: held.begun)

    with pytest.raises(AskTimeoutError, match=r"mesh\.why\('") as caught:
        await ref.ask("second", timeout=0.01)

    assert mesh.why(caught.value.message_id).state == "expired"
    held.gate.set()


async def test_ended_messages_say_how_they_ended(mesh: Mesh) -> None:
    relay = Relay("relay")
    mesh.add(relay)
    mesh.add(Failing("failing"))
    await mesh.ask("relay", "tea")
    with pytest.raises(UnknownAgentError):
        await mesh.tell("nobody", "tea")
    await mesh.tell("failing", ValueError("spilt"))
    await mesh.drain()

    found = {mesh.why(mesh.interior.message_id(number)).state for number in (1, 2, 3)}
    failed = next(why for number in (1, 2, 3) if (why := mesh.why(mesh.interior.message_id(number))).state == "failed")

    assert found == {"completed", "refused", "failed"}
    assert failed.detail == "ValueError: spilt"
    assert failed.message_type == "ValueError"


async def test_the_ring_of_endings_is_bounded_and_holds_no_message() -> None:
    class Large(msgspec.Struct, weakref=True):
        text: str = "tea"

    async with lawful_mesh(settings=quick(ledger_ring=3)) as mesh:
        ref = mesh.add(Echo("echo"))
        for _ in range(5):
            await ref.ask(Large())

        assert mesh.why(mesh.interior.message_id(5)).message_type == "Large"
        with pytest.raises(UnknownMessageError, match="the last 3"):
            mesh.why(mesh.interior.message_id(1))
        assert not [each for each in mesh.interior.router.endings._ring if isinstance(each.message, Large)]  # type: ignore[union-attr]  # noqa: SLF001 – what is kept


async def test_an_action_keeps_its_name_when_it_is_over(mesh: Mesh) -> None:
    class Shop(Agent):
        @action
        async def stock(self) -> int:
            """Count."""
            return 3

    mesh.add(Shop("shop"))
    await mesh.call("shop", "stock")

    assert mesh.why(mesh.interior.message_id(1)).message_type == "action 'stock'"


@pytest.mark.parametrize("message_id", ["", "tea", "1", "00-1", "0-0"])
async def test_an_unknown_id_is_an_error(mesh: Mesh, message_id: str) -> None:
    with pytest.raises(UnknownMessageError) as caught:
        mesh.why(message_id)
    assert caught.value.message_id == message_id


async def test_an_agent_that_has_not_started_says_so(mesh: Mesh) -> None:
    gate = anyio.Event()

    class Starting(Echo):
        async def on_start(self, context: Context) -> None:
            await gate.wait()

    ref = mesh.add(Starting("starting"))
    await ref.tell("tea")
    await until(lambda: mesh.interior.router.cells["starting"].have_life().hooks)

    why = mesh.why(mesh.ledger().open[0].message_id)

    assert (why.state, why.detail) == ("in the mailbox", "(agent starting)")
    assert why.blocked_by == ("starting",)
    gate.set()


async def test_full_refusals_are_told_of_as_well(mesh: Mesh) -> None:
    class Small(Held):
        mailbox_capacity = 1

    held = Small("held")
    ref = mesh.add(held)
    ref.tell_nowait(1)
    await until(lambda: held.begun)
    ref.tell_nowait(2)
    with pytest.raises(MailboxFullError):
        ref.tell_nowait(3)

    assert [mesh.why(mesh.interior.message_id(number)).state for number in (1, 2, 3)] == [
        "in a handler",
        "in the mailbox",
        "refused",
    ]
    held.gate.set()


# -- from threads ------------------------------------------------------------------------------------------------------


def test_a_blocking_mesh_answers_the_same_questions() -> None:
    with BlockingMesh("market") as mesh:
        held = HeldInAThread("held")
        ref = mesh.add(held)
        asking = threading.Thread(target=ref.ask, args=("tea",))
        asking.start()
        wait_until(lambda: held.begun)
        (message,) = mesh.ledger().open

        assert mesh.why(message.message_id).state == "in a thread"
        assert [(wait.kind, wait.on) for wait in mesh.waits()] == [("reply", "held")]
        with pytest.raises(UnknownMessageError):
            mesh.why("no-such-id")
        held.gate.set()
        asking.join(SECONDS)
    assert mesh.ledger().is_balanced
    assert mesh.why(message.message_id).state == "completed"


async def test_a_mesh_that_has_not_started_has_no_answers() -> None:
    mesh = Mesh("early")
    with pytest.raises(MeshClosedError, match="not been started"):
        mesh.waits()
