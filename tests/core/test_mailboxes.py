"""Room, order, and how many messages an agent has in hand at one time."""

import threading
from typing import Any

import anyio
import msgspec
import pytest

from ceylon import (
    Agent,
    AskTimeoutError,
    BlockingContext,
    CeylonError,
    Context,
    HandlerError,
    MailboxFullError,
    Mesh,
    on,
)
from ceylon.errors import AgentStoppedError, DeliveryError, HopLimitError
from ceylon.settings import DEFAULTS
from support.core_agents import SECONDS, Ask, Echo, Held, HeldInAThread, Keeper, Relay, until
from support.law import lawful_mesh

IMPATIENT = msgspec.structs.replace(DEFAULTS, tell_timeout=0.05)


class Small(Held):
    """Has room for one message beside the one in hand."""

    mailbox_capacity: int | None = 1


async def filled(mesh: Mesh, agent: Any) -> Any:
    """Add *agent*, let it begin a message, and fill its mailbox."""
    ref = mesh.add(agent)
    await ref.tell("in hand")
    await until(lambda: agent.begun)
    for number in range(agent.mailbox_capacity):
        ref.tell_nowait(f"waits {number}")
    return ref


# -- room --------------------------------------------------------------------------------------------------------------


async def test_tell_nowait_says_so_when_there_is_no_room(mesh: Mesh) -> None:
    small = Small("small")
    ref = await filled(mesh, small)

    with pytest.raises(MailboxFullError, match=r"the mailbox of 'small' was full \(1 waiting\)") as caught:
        ref.tell_nowait("too many")

    assert isinstance(caught.value, DeliveryError)
    assert (caught.value.address, caught.value.capacity) == ("small", 1)
    assert mesh.statistics().refused == 1
    assert mesh.statistics().dead_letters == {"full": 1}
    assert [letter.envelope.message for letter in mesh.dead_letters()] == ["too many"]
    small.gate.set()


async def test_a_blocking_tell_nowait_says_so_too(mesh: Mesh) -> None:
    small = Small("small")
    ref = await filled(mesh, small)

    with pytest.raises(MailboxFullError):
        await anyio.to_thread.run_sync(ref.blocking.tell_nowait, "too many")

    assert mesh.statistics().dead_letters == {"full": 1}
    small.gate.set()
    await mesh.drain()
    assert "too many" not in small.ended


async def test_a_tell_waits_for_room(mesh: Mesh) -> None:
    small = Small("small")
    ref = await filled(mesh, small)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ref.tell, "patient")
        await anyio.wait_all_tasks_blocked()
        assert mesh.statistics().agents["small"].accepted == 2
        small.gate.set()
    await mesh.drain()

    assert small.ended == ["in hand", "waits 0", "patient"]


async def test_a_tell_that_finds_no_room_in_time_is_refused(anyio_backend: str) -> None:
    async with lawful_mesh(settings=IMPATIENT) as mesh:
        small = Small("small")
        ref = await filled(mesh, small)

        with pytest.raises(MailboxFullError, match=r"was full for 0\.05 s") as caught:
            await ref.tell("impatient")

        small.gate.set()
        await mesh.drain()
        assert caught.value.waited == 0.05
        assert "impatient" not in small.ended
        assert mesh.statistics().refused == 1


async def test_a_blocking_tell_that_finds_no_room_in_time_is_refused(anyio_backend: str) -> None:
    async with lawful_mesh(settings=IMPATIENT) as mesh:
        small = Small("small")
        ref = await filled(mesh, small)

        with pytest.raises(MailboxFullError):
            await anyio.to_thread.run_sync(ref.blocking.tell, "impatient")

        small.gate.set()


async def test_a_sender_that_leaves_takes_its_message_with_it(mesh: Mesh) -> None:
    small = Small("small")
    ref = await filled(mesh, small)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ref.tell, "gone")
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    small.gate.set()
    await mesh.drain()

    assert small.ended == ["in hand", "waits 0"]
    assert mesh.statistics().timers == 0


async def test_an_ask_waits_for_room_beyond_a_tells_patience(anyio_backend: str) -> None:
    async with lawful_mesh(settings=IMPATIENT) as mesh:
        small = Small("small")
        ref = await filled(mesh, small)

        async with anyio.create_task_group() as tasks:

            async def ask() -> None:
                assert await ref.ask("patient", timeout=SECONDS) == "patient"

            tasks.start_soon(ask)
            await anyio.sleep(0.1)  # longer than a tell would wait
            small.gate.set()


async def test_an_ask_that_finds_no_room_before_its_deadline_times_out_and_is_refused(mesh: Mesh) -> None:
    small = Small("small")
    ref = await filled(mesh, small)

    with pytest.raises(AskTimeoutError):
        await ref.ask("late", timeout=0.05)

    statistics = mesh.statistics()
    assert (statistics.refused, statistics.agents["small"].accepted) == (1, 2)
    small.gate.set()
    await mesh.drain()
    assert "late" not in small.begun


async def test_an_asker_that_leaves_while_it_waits_for_room_takes_its_message_with_it(mesh: Mesh) -> None:
    small = Small("small")
    ref = await filled(mesh, small)

    with anyio.move_on_after(0.02):
        await ref.ask("gone")
    small.gate.set()
    await mesh.drain()

    assert "gone" not in small.begun
    assert mesh.statistics().agents["small"].accepted == 2
    assert mesh.statistics().pending_asks == 0


async def test_room_that_a_withdrawn_message_leaves_is_given_to_who_waits(mesh: Mesh) -> None:
    small = Small("small")
    ref = mesh.add(small)
    await ref.tell("in hand")
    await until(lambda: small.begun)

    async with anyio.create_task_group() as tasks:
        with anyio.move_on_after(0.05):
            tasks.start_soon(ref.tell, "patient")  # begins once the ask below has taken the room
            await ref.ask("gone")
        await until(lambda: mesh.statistics().agents["small"].accepted == 3)
    small.gate.set()
    await mesh.drain()

    assert small.ended == ["in hand", "patient"]


async def test_many_who_wait_for_room_all_come_in(anyio_backend: str) -> None:
    small = Small("small")
    async with lawful_mesh(settings=msgspec.structs.replace(DEFAULTS, tell_timeout=SECONDS)) as mesh:
        ref = await filled(mesh, small)

        async with anyio.create_task_group() as tasks:
            for number in range(50):
                tasks.start_soon(ref.tell, number)
            await anyio.wait_all_tasks_blocked()
            small.gate.set()
        await mesh.drain()

    assert sorted(small.ended[2:]) == list(range(50))


async def test_the_capacity_comes_from_the_settings_unless_the_class_has_its_own(anyio_backend: str) -> None:
    async with lawful_mesh(settings=msgspec.structs.replace(DEFAULTS, mailbox_capacity=2)) as mesh:
        held, small = Held("held"), Small("small")
        for agent in (held, small):
            await mesh.add(agent).tell("in hand")
            await until(lambda: agent.begun)  # noqa: B023 – awaited at once

        for _ in range(2):
            mesh.tell_nowait("held", "waits")
        with pytest.raises(MailboxFullError):
            mesh.tell_nowait("held", "too many")
        mesh.tell_nowait("small", "waits")
        with pytest.raises(MailboxFullError):
            mesh.tell_nowait("small", "too many")
        held.gate.set()
        small.gate.set()


async def test_the_default_is_room_for_a_thousand(mesh: Mesh) -> None:
    held = Held("held")
    ref = mesh.add(held)
    await ref.tell("in hand")
    await until(lambda: held.begun)

    for number in range(DEFAULTS.mailbox_capacity):
        ref.tell_nowait(number)
    with pytest.raises(MailboxFullError):
        ref.tell_nowait("too many")

    held.gate.set()


async def test_stopping_an_agent_ends_those_who_wait_for_room(mesh: Mesh) -> None:
    class Brief(Agent):
        mailbox_capacity: int | None = 1

        def __init__(self, name: str) -> None:
            super().__init__(name)
            self.begun: list[Any] = []
            self.gate = anyio.Event()

        async def on_message(self, message: Any) -> None:
            self.begun.append(message)
            await self.gate.wait()

    brief = Brief("brief")
    ref = await filled(mesh, brief)
    errors: list[BaseException] = []

    async def use(verb: Any) -> None:
        with pytest.raises(CeylonError) as caught:
            await verb("parked")
        errors.append(caught.value)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(use, ref.tell)
        tasks.start_soon(use, ref.ask)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(mesh.stop, "brief")
        await anyio.wait_all_tasks_blocked()
        brief.gate.set()

    assert [type(error) for error in errors] == [AgentStoppedError] * 2
    assert brief.begun == ["in hand"]


# -- an agent's own mailbox --------------------------------------------------------------------------------------------


class Selfish(Agent):
    """Tells itself more than there is room for."""

    mailbox_capacity: int | None = 2

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.handled: list[Any] = []

    @on
    async def on_loop(self, message: int, context: Context) -> None:
        for number in range(message):
            await context.tell(self.name, str(number))

    @on
    def in_thread(self, message: bytes, context: BlockingContext) -> None:
        for number in range(len(message)):
            context.tell(self.name, str(number))

    @on
    async def keep(self, message: str) -> None:
        self.handled.append(message)


@pytest.mark.parametrize("message", [3, b"123"])
async def test_a_tell_to_ones_own_full_mailbox_fails_at_once(mesh: Mesh, message: Any) -> None:
    selfish = Selfish("selfish")
    ref = mesh.add(selfish)

    with pytest.raises(HandlerError) as caught:
        await ref.ask(message)
    await mesh.drain()

    assert isinstance(caught.value.root, MailboxFullError)
    assert caught.value.root.waited == 0
    assert selfish.handled == ["0", "1"]


@pytest.mark.parametrize("message", [2, b"12"])
async def test_a_tell_to_ones_own_mailbox_is_handled_after_this_message(mesh: Mesh, message: Any) -> None:
    selfish = Selfish("selfish")
    ref = mesh.add(selfish)

    await ref.ask(message)
    await mesh.drain()

    assert selfish.handled == ["0", "1"]


# -- order -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [10, 1_500])
async def test_messages_of_one_sender_are_handled_in_order(mesh: Mesh, count: int) -> None:
    keeper = Keeper("keeper")
    ref = mesh.add(keeper)

    for number in range(count):
        await ref.tell(number)
    await mesh.drain()

    assert keeper.kept == list(range(count))


async def test_messages_of_one_sender_are_handled_in_order_also_by_threads(mesh: Mesh) -> None:
    class Clerk(Agent):
        def __init__(self, name: str) -> None:
            super().__init__(name)
            self.kept: list[int] = []

        def on_message(self, message: int) -> None:
            self.kept.append(message)

    clerk = Clerk("clerk")
    ref = mesh.add(clerk)

    for number in range(500):
        await ref.tell(number)
    await mesh.drain()

    assert clerk.kept == list(range(500))


async def test_handlers_on_the_loop_and_in_threads_keep_one_order(mesh: Mesh) -> None:
    class Mixed(Agent):
        def __init__(self, name: str) -> None:
            super().__init__(name)
            self.kept: list[int] = []

        @on
        async def on_loop(self, message: int) -> None:
            await anyio.lowlevel.checkpoint()
            self.kept.append(message)

        @on
        def in_thread(self, message: str) -> None:
            self.kept.append(int(message))

    mixed = Mixed("mixed")
    ref = mesh.add(mixed)

    for number in range(300):
        await ref.tell(number if number % 3 else str(number))
    await mesh.drain()

    assert mixed.kept == list(range(300))


async def test_kinds_of_messages_keep_one_order(mesh: Mesh) -> None:
    keeper = Keeper("keeper")
    ref = mesh.add(keeper)

    await ref.tell(1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ref.ask, 2)
        await anyio.wait_all_tasks_blocked()
        ref.tell_nowait(3)
        tasks.start_soon(ref.stream(4).result)
        await anyio.wait_all_tasks_blocked()
        await ref.tell(5)
    await mesh.drain()

    assert keeper.kept == [1, 2, 3, 4, 5]


async def test_those_who_wait_for_room_come_in_in_order_and_nobody_overtakes_them(mesh: Mesh) -> None:
    small = Small("small")
    ref = await filled(mesh, small)

    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(ref.tell, number)
            await anyio.wait_all_tasks_blocked()
        with pytest.raises(MailboxFullError):
            ref.tell_nowait("overtakes")
        small.gate.set()
    await mesh.drain()

    assert small.ended[2:] == list(range(20))


async def test_a_sender_whose_tells_had_to_wait_keeps_its_order(mesh: Mesh) -> None:
    class Slow(Keeper):
        mailbox_capacity: int | None = 2

        async def on_message(self, message: Any) -> int:
            await anyio.lowlevel.checkpoint()
            return await super().on_message(message)

    slow = Slow("slow")
    ref = mesh.add(slow)

    async def send(sender: str) -> None:
        for number in range(100):
            await ref.tell((sender, number))

    async with anyio.create_task_group() as tasks:
        for sender in "abc":
            tasks.start_soon(send, sender)
    await mesh.drain()

    for sender in "abc":
        assert [number for who, number in slow.kept if who == sender] == list(range(100))


async def test_threads_that_tell_keep_their_order(mesh: Mesh) -> None:
    keeper = Keeper("keeper")
    ref = mesh.add(keeper)

    def send(sender: int) -> None:
        for number in range(50):
            ref.blocking.tell((sender, number))

    async with anyio.create_task_group() as tasks:
        for sender in range(3):
            tasks.start_soon(anyio.to_thread.run_sync, send, sender)
    await mesh.drain()

    for sender in range(3):
        assert [number for who, number in keeper.kept if who == sender] == list(range(50))


# -- how many at a time ------------------------------------------------------------------------------------------------


async def test_an_agent_handles_one_message_at_a_time(mesh: Mesh) -> None:
    held = Held("held")
    ref = mesh.add(held)

    for number in range(5):
        await ref.tell(number)
    await anyio.wait_all_tasks_blocked()
    assert held.begun == [0]
    held.gate.set()
    await mesh.drain()

    assert held.at_most == 1


async def test_one_at_a_time_holds_across_threads_and_the_loop(mesh: Mesh) -> None:
    class Mixed(Agent):
        def __init__(self, name: str) -> None:
            super().__init__(name)
            self.busy = threading.Lock()

        @on
        async def on_loop(self, message: int) -> None:
            assert self.busy.acquire(blocking=False)
            await anyio.sleep(0.0005)
            self.busy.release()

        @on
        def in_thread(self, message: str) -> None:
            assert self.busy.acquire(blocking=False)
            self.busy.release()

    ref = mesh.add(Mixed("mixed"))

    for number in range(100):
        await ref.tell(number if number % 2 else str(number))
    await mesh.drain()

    assert mesh.statistics().agents["mixed"].failed == 0


@pytest.mark.parametrize("slots", [2, 3, 8])
async def test_concurrency_lets_exactly_so_many_overlap(mesh: Mesh, slots: int) -> None:
    class Wide(Held):
        concurrency = slots

    wide = Wide("wide")
    ref = mesh.add(wide)

    for number in range(slots + 5):
        await ref.tell(number)
    await until(lambda: len(wide.begun) == slots)
    await anyio.wait_all_tasks_blocked()
    assert wide.begun == list(range(slots))
    wide.gate.set()
    await mesh.drain()

    assert wide.at_most == slots
    assert len(wide.ended) == slots + 5


async def test_concurrency_counts_for_threads_up_to_those_an_agent_may_have(mesh: Mesh) -> None:
    class Wide(HeldInAThread):
        concurrency = 10

    wide = Wide("wide")
    ref = mesh.add(wide)

    for number in range(12):
        await ref.tell(number)
    await until(lambda: len(wide.begun) == DEFAULTS.threads_per_agent)
    await anyio.wait_all_tasks_blocked()
    assert len(wide.begun) == DEFAULTS.threads_per_agent
    wide.gate.set()
    await mesh.drain()

    assert sorted(wide.ended) == list(range(12))


async def test_agents_that_wait_do_not_hold_up_others(mesh: Mesh) -> None:
    held = [Held(f"held-{number}") for number in range(200)]
    for agent in held:
        await mesh.add(agent).tell("tea")

    assert await mesh.add(Echo("echo")).ask("tea", timeout=60) == "tea"

    for agent in held:
        agent.gate.set()


async def test_an_agent_with_much_mail_does_not_starve_another(mesh: Mesh) -> None:
    class Late(Agent):
        async def on_message(self, message: Any) -> None:
            handled_before.append(len(busy.kept))

    handled_before: list[int] = []
    busy = Keeper("busy")
    mesh.add(busy)
    mesh.add(Late("late"))

    for number in range(900):
        mesh.tell_nowait("busy", number)
    mesh.tell_nowait("late", "tea")
    await mesh.drain()

    assert handled_before == [DEFAULTS.batch_messages]
    assert len(busy.kept) == 900


# -- hops --------------------------------------------------------------------------------------------------------------


class PingPong(Agent):
    """Answers every message with one more to the other."""

    def __init__(self, name: str, other: str) -> None:
        super().__init__(name)
        self.other = other
        self.handled = 0

    async def on_message(self, message: int, context: Context) -> None:
        self.handled += 1
        await context.tell(self.other, message + 1)


async def test_two_agents_that_tell_each_other_for_ever_are_stopped_by_the_hop_limit(mesh: Mesh) -> None:
    ping, pong = PingPong("ping", "pong"), PingPong("pong", "ping")
    mesh.add(ping)
    mesh.add(pong)

    await mesh.tell("ping", 0)
    await mesh.drain()

    statistics = mesh.statistics()
    assert ping.handled + pong.handled == DEFAULTS.max_hops + 1  # the first was hop 0
    assert statistics.dead_letters["hops"] == 1
    assert statistics.refused == 1


@pytest.mark.parametrize("limit", [0, 1, 5])
async def test_the_limit_is_an_option_of_the_mesh(anyio_backend: str, limit: int) -> None:
    async with lawful_mesh(max_hops=limit) as mesh:
        ping, pong = PingPong("ping", "pong"), PingPong("pong", "ping")
        mesh.add(ping)
        mesh.add(pong)

        await mesh.tell("ping", 0)
        await mesh.drain()

        assert ping.handled + pong.handled == limit + 1


async def test_the_agent_that_would_pass_it_on_is_told(anyio_backend: str) -> None:
    async with lawful_mesh(max_hops=1) as mesh:
        for name in ("a", "b", "c"):
            mesh.add(Relay(name))

        with pytest.raises(HandlerError) as caught:
            await mesh.ask("a", Ask(("b", "c"), "tea"))

        assert isinstance(caught.value.root, HopLimitError)
        assert "max_hops=1" in str(caught.value.root)
        assert await mesh.ask("a", Ask(("b",), "tea")) == "tea"
