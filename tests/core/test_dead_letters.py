"""What nobody handled: kept, counted and announced."""

from typing import Any

import anyio
import msgspec
import pytest

from ceylon import Agent, DeadLetter, Mesh, MeshClosedError, UnhandledMessageError, UnknownAgentError, on
from ceylon.core.ledger import REFUSED, Reason
from ceylon.core.ports import OnFailure
from ceylon.core.topics import DEAD_LETTERS
from ceylon.errors import AgentStoppedError, MailboxFullError
from ceylon.settings import DEFAULTS
from support.core_agents import Echo, Failing, Held, Keeper, until
from support.law import lawful_mesh


class Picky(Agent):
    @on
    async def number(self, message: int) -> int:
        return message


class Watcher(Agent):
    """Subscribes to the dead letters."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.letters: list[DeadLetter] = []

    @on(topic=DEAD_LETTERS)
    async def keep(self, letter: DeadLetter) -> None:
        self.letters.append(letter)


async def test_a_dead_letter_has_the_envelope_and_the_reason(mesh: Mesh) -> None:
    with pytest.raises(UnknownAgentError):
        await mesh.tell("nobody", "tea")

    letter = mesh.dead_letters()[0]

    assert letter.reason is Reason.UNKNOWN_AGENT
    assert str(letter.reason) == "unknown_agent"
    envelope = letter.envelope
    assert (envelope.recipient, envelope.message, envelope.kind, envelope.sender) == ("nobody", "tea", "tell", "")


async def test_letters_come_oldest_first(mesh: Mesh) -> None:
    for number in range(3):
        with pytest.raises(UnknownAgentError):
            await mesh.tell("nobody", number)

    assert [letter.envelope.message for letter in mesh.dead_letters()] == [0, 1, 2]


async def test_the_ring_forgets_the_oldest_and_the_counters_do_not(anyio_backend: str) -> None:
    async with lawful_mesh(settings=msgspec.structs.replace(DEFAULTS, dead_letter_ring=3)) as mesh:
        for number in range(10):
            with pytest.raises(UnknownAgentError):
                await mesh.tell("nobody", number)

        assert [letter.envelope.message for letter in mesh.dead_letters()] == [7, 8, 9]
        assert mesh.statistics().dead_letters == {"unknown_agent": 10}
        assert mesh.statistics().refused == 10


async def test_what_is_returned_is_a_copy(mesh: Mesh) -> None:
    with pytest.raises(UnknownAgentError):
        await mesh.tell("nobody", "tea")

    mesh.dead_letters().clear()

    assert len(mesh.dead_letters()) == 1


async def test_a_mesh_that_was_never_opened_has_none() -> None:
    assert Mesh("test").dead_letters() == []


async def test_dead_letters_can_be_read_from_a_thread(mesh: Mesh) -> None:
    with pytest.raises(UnknownAgentError):
        await mesh.tell("nobody", "tea")

    letters = await anyio.to_thread.run_sync(mesh.blocking.dead_letters)

    assert [letter.envelope.message for letter in letters] == ["tea"]


# -- a counter for each reason -----------------------------------------------------------------------------------------


async def test_refused_envelopes_are_counted_for_the_mesh(mesh: Mesh) -> None:
    class Small(Held):
        mailbox_capacity: int | None = 1

    small = Small("small")
    ref = mesh.add(small)
    await ref.tell(1)
    await until(lambda: small.begun)
    ref.tell_nowait(2)

    with pytest.raises(MailboxFullError):
        ref.tell_nowait(3)
    with pytest.raises(UnknownAgentError):
        await mesh.ask("nobody", 4)

    statistics = mesh.statistics()
    assert statistics.refused == 2
    assert statistics.dead_letters == {"full": 1, "unknown_agent": 1}
    assert statistics.agents["small"].dead_lettered == 0
    small.gate.set()


async def test_what_was_accepted_and_not_handled_is_counted_for_the_agent(mesh: Mesh) -> None:
    ref = mesh.add(Picky("picky"))

    await ref.tell("tea")
    with pytest.raises(UnhandledMessageError):
        await ref.ask("tea")
    await mesh.drain()

    statistics = mesh.statistics()
    assert statistics.agents["picky"].dead_lettered == 2
    assert statistics.dead_letters == {"unhandled": 2}
    assert statistics.refused == 0


async def test_a_failed_tell_leaves_a_copy_and_is_counted_as_failed_only(mesh: Mesh) -> None:
    ref = mesh.add(Failing("failing"))

    await ref.tell(ValueError("no tea"))
    await mesh.drain()

    statistics = mesh.statistics()
    letter = mesh.dead_letters()[0]
    assert (letter.reason, letter.detail) == ("handler_failed", "ValueError: no tea")
    assert (statistics.agents["failing"].failed, statistics.agents["failing"].dead_lettered) == (1, 0)
    assert statistics.refused == 0


async def test_a_failed_ask_leaves_no_copy_for_its_asker_knows(mesh: Mesh) -> None:
    ref = mesh.add(Failing("failing"))

    with pytest.raises(Exception, match="no tea"):
        await ref.ask(ValueError("no tea"))

    assert mesh.dead_letters() == []


async def test_the_mail_of_an_agent_that_is_stopped_becomes_dead_letters(mesh: Mesh) -> None:
    held = Held("held")
    ref = mesh.add(held)
    await ref.tell("in hand")
    await until(lambda: held.begun)
    await ref.tell("waits")

    async with anyio.create_task_group() as tasks:

        async def ask() -> None:
            with pytest.raises(AgentStoppedError):
                await ref.ask("asks")

        tasks.start_soon(ask)
        await until(lambda: mesh.statistics().agents["held"].pending == 3)
        tasks.start_soon(mesh.stop, "held")
        await anyio.wait_all_tasks_blocked()
        held.gate.set()

    statistics = mesh.statistics()
    assert held.ended == ["in hand"]
    assert statistics.stopped_agents.dead_lettered == 2
    assert statistics.dead_letters == {"stopped": 2}
    assert sorted(letter.envelope.message for letter in mesh.dead_letters()) == ["asks", "waits"]


async def test_the_mail_of_an_agent_that_fails_for_good_becomes_dead_letters(mesh: Mesh) -> None:
    class Fragile(Failing):
        on_failure: OnFailure = "stop"

    ref = mesh.add(Fragile("fragile"))

    for message in (ValueError("no tea"), 1, 2):
        ref.tell_nowait(message)
    await until(lambda: "fragile" not in mesh.agents)

    assert mesh.statistics().dead_letters == {"handler_failed": 1, "agent_failed": 2}


async def test_what_a_closed_mesh_refuses_raises(anyio_backend: str) -> None:
    async with lawful_mesh() as mesh:
        ref = mesh.add(Echo("echo"))

    with pytest.raises(MeshClosedError):
        await ref.tell("tea")


# -- announced ---------------------------------------------------------------------------------------------------------


async def test_a_subscriber_gets_every_dead_letter(mesh: Mesh) -> None:
    watcher = Watcher("watcher")
    mesh.add(watcher)
    picky, failing = mesh.add(Picky("picky")), mesh.add(Failing("failing"))

    with pytest.raises(UnknownAgentError):
        await mesh.tell("nobody", 1)
    await picky.tell("tea")
    await failing.tell(ValueError("no tea"))
    await mesh.drain()

    assert [letter.reason for letter in watcher.letters] == ["unknown_agent", "unhandled", "handler_failed"]
    assert watcher.letters == mesh.dead_letters()


async def test_a_letter_about_a_letter_is_not_announced(mesh: Mesh) -> None:
    class Wrong(Watcher):
        @on(topic=DEAD_LETTERS)
        async def keep(self, letter: DeadLetter) -> None:
            self.letters.append(letter)
            raise ValueError("cannot read it")

    wrong, watcher = Wrong("wrong"), Watcher("watcher")
    mesh.add(wrong)
    mesh.add(watcher)

    with pytest.raises(UnknownAgentError):
        await mesh.tell("nobody", 1)
    await mesh.drain()

    assert len(wrong.letters) == len(watcher.letters) == 1
    assert mesh.statistics().dead_letters == {"unknown_agent": 1, "handler_failed": 1}


async def test_a_subscriber_that_takes_no_letters_makes_no_circle(mesh: Mesh) -> None:
    class Wrong(Agent):
        @on(topic="**")
        async def keep(self, message: str) -> None: ...

    mesh.add(Wrong("wrong"))

    with pytest.raises(UnknownAgentError):
        await mesh.tell("nobody", 1)
    await mesh.drain()

    assert mesh.statistics().agents["wrong"].accepted <= 1
    assert len(mesh.dead_letters()) <= 2


async def test_a_full_subscriber_loses_announcements_and_holds_up_nobody(mesh: Mesh) -> None:
    class Slow(Watcher):
        mailbox_capacity: int | None = 1

        def __init__(self, name: str) -> None:
            super().__init__(name)
            self.gate = anyio.Event()

        @on(topic=DEAD_LETTERS)
        async def keep(self, letter: DeadLetter) -> None:
            self.letters.append(letter)
            await self.gate.wait()

    slow = Slow("slow")
    mesh.add(slow)

    with anyio.fail_after(4):
        for number in range(10):
            with pytest.raises(UnknownAgentError):
                await mesh.tell("nobody", number)
    slow.gate.set()
    await mesh.drain()

    assert 1 <= len(slow.letters) <= 3
    assert mesh.statistics().dead_letters == {"unknown_agent": 10}


async def test_a_letter_can_be_sent_again(mesh: Mesh) -> None:
    keeper = Keeper("keeper")
    with pytest.raises(UnknownAgentError):
        await mesh.tell("keeper", "too early")

    mesh.add(keeper)
    for letter in mesh.dead_letters():
        await mesh.tell(letter.envelope.recipient, letter.envelope.message)
    await mesh.drain()

    assert keeper.kept == ["too early"]


def test_a_reason_says_whether_the_envelope_had_been_accepted() -> None:
    assert (
        frozenset({Reason.UNKNOWN_AGENT, Reason.FULL, Reason.CLOSED, Reason.HOPS, Reason.REJECTED, Reason.UNROUTED})
        == REFUSED
    )


async def test_any_message_may_be_a_dead_letter_whatever_it_is(mesh: Mesh) -> None:
    class Odd:
        __hash__ = None  # type: ignore[assignment]

        def __eq__(self, other: object) -> Any:
            raise RuntimeError("never compare me")

        def __repr__(self) -> str:
            raise RuntimeError("never show me")

    odd = Odd()
    ref = mesh.add(Picky("picky"))

    await ref.tell(odd)
    await mesh.drain()

    assert mesh.dead_letters()[0].envelope.message is odd
