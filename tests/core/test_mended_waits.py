"""Waits that were once overlooked, or refused though they would have ended; each was found by programs at random."""

from collections.abc import AsyncIterator
from typing import Any, Final

import anyio
import pytest

from ceylon import Agent, BlockingContext, Context, DeadlockError, MailboxFullError, Mesh, on
from ceylon.messages import Envelope
from support.core_agents import SECONDS, Ask, Held, Relay, ThreadRelay, until
from support.law import lawful_mesh
from support.leftovers import quick

PATIENCE: Final = 30.0  # of what would last for ever; a refusal comes at once


class Keyed(Relay):
    """Handles one message of a key at a time."""

    takes_keys = True
    concurrency = 2

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.order: list[Any] = []

    def __ceylon_serial_key__(self, envelope: Envelope) -> str | None:
        return envelope.recipient.partition("/")[2] or None

    async def on_message(self, message: Any, context: Context) -> Any:
        self.order.append(message)
        return message


async def refused(mesh: Mesh, address: str, message: Any) -> DeadlockError:
    """Ask, and return the deadlock that comes of it, at once."""
    with anyio.fail_after(SECONDS), pytest.raises(DeadlockError) as caught:
        await mesh.ask(address, message, timeout=PATIENCE)
    return caught.value


# -- hooks -------------------------------------------------------------------------------------------------------------


async def test_a_start_hook_in_a_thread_that_asks_for_itself_is_refused(mesh: Mesh) -> None:
    errors: list[DeadlockError] = []

    class Starting(ThreadRelay):
        def on_start(self, context: BlockingContext) -> None:
            for way in (("starting", "x"), ("helper", Ask(("starting",), "x"))):
                try:
                    context.ask(*way, timeout=PATIENCE)
                except DeadlockError as error:
                    errors.append(error)

        def on_message(self, message: Any, context: BlockingContext) -> Any:
            return message

    mesh.add(Relay("helper"))
    with anyio.fail_after(SECONDS):
        mesh.add(Starting("starting"))
        assert await mesh.ask("starting", "tea") == "tea"

    assert [error.path for error in errors] == [("starting", "starting"), ("starting", "helper", "starting")]


class Producer(Agent):
    """Sends more parts than anybody has given it credit for, and answers."""

    @on
    async def many(self, number: int) -> AsyncIterator[int]:
        for part in range(number):
            yield part

    @on
    async def answer(self, question: str) -> str:
        return question


async def test_a_start_hook_that_owes_its_producer_credit_is_refused(mesh: Mesh) -> None:
    errors: list[DeadlockError] = []

    class Starting(Agent):
        async def on_start(self, context: Context) -> None:
            async with context.stream("producer", 1_000) as parts:
                await anext(parts)
                try:
                    await context.ask("producer", "hello", timeout=PATIENCE)
                except DeadlockError as error:
                    errors.append(error)

        async def on_message(self, message: Any) -> Any:
            return message

    mesh.add(Producer("producer"))
    with anyio.fail_after(SECONDS):
        mesh.add(Starting("starting"))
        assert await mesh.ask("starting", "tea") == "tea"
        assert await mesh.ask("producer", "hello") == "hello"

    assert len(errors) <= 1  # or the producer was refused, and has failed
    if errors:
        assert set(errors[0].path) == {"starting", "producer"}


async def test_a_hook_under_way_can_be_asked_about(mesh: Mesh) -> None:
    class Starting(Agent):
        async def on_start(self, context: Context) -> None:
            await context.ask("held", "begin")

        async def on_message(self, message: Any) -> Any:
            return message

    held = Held("held")
    mesh.add(held)
    mesh.add(Starting("starting"))
    await mesh.tell("starting", "tea")
    await until(lambda: held.begun)

    message = next(each for each in mesh.ledger().open if each.recipient == "starting")
    why = mesh.why(message.message_id)
    hook = mesh.why(why.waits_for[0].blocked_by[0])

    assert why.blocked_by == ("starting", "held")
    assert hook.state == "in a hook"
    assert [wait.on for wait in hook.waits_for] == ["held"]
    held.gate.set()
    await mesh.drain()


# -- conversations -----------------------------------------------------------------------------------------------------


async def test_a_conversation_that_asks_itself_through_another_agent_is_refused(mesh: Mesh) -> None:
    mesh.add(Keyed("keyed"))
    mesh.add(Relay("plain"))

    error = await refused(mesh, "keyed/alice", Ask(("plain", "keyed/alice"), "tea"))

    assert error.path == ("keyed", "plain", "keyed")
    assert await mesh.ask("keyed/alice", Ask(("plain", "keyed/bob"), "tea"), timeout=PATIENCE) == "tea"


async def test_two_asks_of_a_conversation_to_itself_come_one_by_one_and_nobody_between(mesh: Mesh) -> None:
    class Twice(Keyed):
        concurrency = 4

        @on
        async def twice(self, number: int, context: Context) -> Any:
            self.order.append("begin")
            async with anyio.create_task_group() as tasks:
                for _ in range(number):
                    tasks.start_soon(context.ask, "keyed/alice", "self")
                await context.tell("keyed/alice", "other")
            self.order.append("end")

    keyed = Twice("keyed")
    mesh.add(keyed)
    await mesh.ask("keyed/alice", 2, timeout=PATIENCE)
    await mesh.drain()

    assert keyed.order == ["begin", "self", "self", "end", "other"]
    cell = mesh.interior.router.cells["keyed"]
    assert (cell.slots, cell.busy_keys, cell.loans) == (4, {}, {})


async def test_a_slot_that_is_lent_is_for_one_envelope_and_no_other(mesh: Mesh) -> None:
    class One(Keyed):
        concurrency = 1

    class Plain(Agent):
        async def on_message(self, message: Any, context: Context) -> Any:
            await context.tell("keyed/carol", "other")  # is in front
            return await context.ask("keyed/bob", "on loan", timeout=PATIENCE)

    keyed = One("keyed")
    mesh.add(keyed)
    mesh.add(Plain("plain"))
    with anyio.fail_after(SECONDS):
        await mesh.ask("keyed/alice", Ask(("plain",), "tea"))
        await mesh.drain()

    assert keyed.order == ["on loan", "other"]


async def test_a_mailbox_full_of_one_conversation_is_refused_to_whom_that_waits_for() -> None:
    errors: list[BaseException] = []
    is_full = anyio.Event()

    class Small(Keyed):
        mailbox_capacity = 1

    class Teller(Agent):
        async def on_message(self, message: Any, context: Context) -> None:
            await is_full.wait()
            try:
                await context.tell("keyed/bob", "never fits")
            except (DeadlockError, MailboxFullError) as error:
                errors.append(error)

    async with lawful_mesh(settings=quick(tell_timeout=PATIENCE)) as mesh:
        mesh.add(Small("keyed"))
        mesh.add(Teller("teller"))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(mesh.ask, "keyed/alice", Ask(("teller",), "tea"))
            await until(lambda: mesh.statistics().agents["teller"].pending)
            await mesh.tell("keyed/alice", "fills the mailbox")
            is_full.set()
            with anyio.fail_after(SECONDS):
                await mesh.drain()

    assert [type(error) for error in errors] == [DeadlockError]


async def test_a_tell_waits_for_room_and_not_for_its_conversation() -> None:
    is_full = anyio.Event()
    errors: list[BaseException] = []

    class Small(Keyed):
        mailbox_capacity = 1

    class Teller(Agent):
        async def on_message(self, message: Any, context: Context) -> None:
            await is_full.wait()
            try:
                await context.tell("keyed/alice", "fits as soon as carol's is taken")
            except DeadlockError as error:
                errors.append(error)

    async with lawful_mesh(settings=quick(tell_timeout=PATIENCE)) as mesh:
        held = Held("held")
        for agent in (Small("keyed"), Teller("teller"), held):
            mesh.add(agent)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(mesh.ask, "keyed/alice", Ask(("teller",), "tea"))
            tasks.start_soon(mesh.ask, "keyed/bob", Ask(("held",), "tea"))
            await until(lambda: held.begun and mesh.statistics().agents["teller"].pending)
            await mesh.tell("keyed/carol", "fills the mailbox")
            is_full.set()
            await until(lambda: errors or mesh.interior.router.cells["keyed"].parked)
            held.gate.set()
            with anyio.fail_after(SECONDS):
                await mesh.drain()

    assert errors == []


# -- loans -------------------------------------------------------------------------------------------------------------


async def test_an_ask_on_loan_that_has_not_begun_yet_is_nothing_to_be_alarmed_about(mesh: Mesh) -> None:
    """`plain` waits for it just then, so that an ask of `plain` looks as if it waited for a ring."""
    is_about_to_ask = anyio.Event()

    class Reentrant(Relay):
        reentrant = True

        async def on_message(self, message: Any, context: Context) -> Any:
            return message

    class Plain(Agent):
        async def on_message(self, message: Any, context: Context) -> Any:
            if message == "go on":
                is_about_to_ask.set()
                return await context.ask("self", "tea", timeout=PATIENCE)
            return message

    class Other(Agent):
        async def on_message(self, message: Any, context: Context) -> Any:
            await is_about_to_ask.wait()
            return await context.ask("plain", message, timeout=PATIENCE)

    for agent in (Reentrant("self"), Plain("plain"), Other("other")):
        mesh.add(agent)
    answers: list[Any] = []

    async def ask() -> None:
        answers.append(await mesh.ask("other", "coffee"))

    with anyio.fail_after(SECONDS):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await until(lambda: mesh.statistics().agents["other"].pending)
            assert await mesh.ask("self", Ask(("plain",), "go on")) == "tea"

    assert answers == ["coffee"]
