"""Groups of subscribers: of the members exactly one gets each message, and those who cannot are passed over."""

from collections.abc import Callable
from typing import Any

import anyio
import msgspec
import pytest

from ceylon import Agent, Context, Mesh, on
from ceylon.core.publication import Publication
from ceylon.core.subscriptions import Subscriptions
from ceylon.settings import DEFAULTS
from support.core_agents import Keeper, until
from support.law import lawful_mesh


class Biller(Keeper):
    """One of many who bill."""

    @on(topic="sales.*", group="billing")
    async def bill(self, message: Any) -> None:
        self.kept.append(message)


class Slow(Agent):
    """A member with room for one, busy until the gate is open."""

    mailbox_capacity: int | None = 1

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.gate = anyio.Event()
        self.heard: list[Any] = []

    async def on_message(self, message: Any) -> None:
        self.heard.append(message)
        await self.gate.wait()


async def _full(mesh: Mesh, name: str, group: str = "g", **options: Any) -> Slow:
    """Add a member whose mailbox is full."""
    slow = Slow(name)
    mesh.add(slow)
    await mesh.tell(name, "first")
    await until(lambda: slow.heard)
    await mesh.tell(name, "second")
    mesh.subscribe("news", name, group=group, **options)
    return slow


def _is_waiting(mesh: Mesh, *names: str) -> Callable[[], bool]:
    return lambda: all(mesh.interior.router.cells[name].parked for name in names)


# -- one of many -------------------------------------------------------------------------------------------------------


async def test_each_message_goes_to_one_member_and_to_each_in_turn(mesh: Mesh) -> None:
    billers = [Biller(name) for name in ("a", "b", "c")]
    for biller in billers:
        mesh.add(biller)

    for number in range(9):
        assert await mesh.publish("sales.tea", number) == 1
    await mesh.drain()

    assert [biller.kept for biller in billers] == [[0, 3, 6], [1, 4, 7], [2, 5, 8]]


async def test_groups_and_those_for_themselves_get_it_beside_each_other(mesh: Mesh) -> None:
    members = [Biller("a"), Biller("b")]
    others = [Keeper("audit"), Keeper("store1"), Keeper("store2")]
    for keeper in (*members, *others):
        mesh.add(keeper)
    mesh.subscribe("sales.**", "audit")
    mesh.subscribe("sales.tea", "store1", group="store")
    mesh.subscribe("**", "store2", group="store")

    assert [await mesh.publish("sales.tea", number) for number in range(4)] == [3] * 4
    assert await mesh.publish("sales.rum", 4) == 3
    assert await mesh.publish("news", 5) == 1
    await mesh.drain()

    assert sorted(members[0].kept + members[1].kept) == [0, 1, 2, 3, 4]
    assert others[0].kept == [0, 1, 2, 3, 4]
    assert sorted(others[1].kept + others[2].kept) == [0, 1, 2, 3, 4, 5]
    assert {4, 5} <= set(others[2].kept)


async def test_a_member_that_gets_it_for_itself_stands_for_its_group(mesh: Mesh) -> None:
    keepers = [Keeper("a"), Keeper("b")]
    for keeper in keepers:
        mesh.add(keeper)
        mesh.subscribe("news", keeper.name, group="g")
    mesh.subscribe("news", "a")

    assert [await mesh.publish("news", number) for number in range(3)] == [1, 1, 1]
    await mesh.drain()

    assert [keeper.kept for keeper in keepers] == [[0, 1, 2], []]


async def test_a_new_member_takes_its_turn_and_one_that_cancels_has_none(mesh: Mesh) -> None:
    keepers = [Keeper(name) for name in ("a", "b", "c")]
    for keeper in keepers:
        mesh.add(keeper)
    subscriptions = [mesh.subscribe("news", name, group="g") for name in ("a", "b")]

    await mesh.publish("news", 0)  # a
    mesh.subscribe("news", "c", group="g")
    for number in (1, 2, 3):  # b, a, c or b, c, a: whoever has waited longest
        await mesh.publish("news", number)
    subscriptions[0].cancel()
    for number in (4, 5):
        await mesh.publish("news", number)
    await mesh.drain()

    assert {len(keeper.kept) for keeper in keepers} == {2}
    assert 4 not in keepers[0].kept
    assert 5 not in keepers[0].kept


async def test_a_member_that_has_stopped_is_passed_over(mesh: Mesh) -> None:
    billers = [Biller(name) for name in ("a", "b", "c")]
    for biller in billers:
        mesh.add(biller)
    await mesh.stop("b")

    for number in range(4):
        assert await mesh.publish("sales.tea", number) == 1
    await mesh.drain()

    assert [biller.kept for biller in billers] == [[0, 2], [], [1, 3]]


async def test_a_member_that_is_stopping_is_passed_over(mesh: Mesh) -> None:
    class Lingering(Keeper):
        gate = anyio.Event()

        async def on_stop(self) -> None:
            await type(self).gate.wait()

    Lingering.gate = anyio.Event()
    a, b = Lingering("a"), Keeper("b")
    for keeper in (a, b):
        mesh.add(keeper)
        mesh.subscribe("news", keeper.name, group="g")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(mesh.stop, "a")
        await until(lambda: mesh.statistics().agents["a"].state == "stopping")
        assert [await mesh.publish("news", number) for number in range(3)] == [1, 1, 1]
        Lingering.gate.set()
    await mesh.drain()

    assert b.kept == [0, 1, 2]


async def test_a_group_of_which_everybody_is_stopping_leaves_a_dead_letter(mesh: Mesh) -> None:
    gate = anyio.Event()

    class Lingering(Keeper):
        async def on_stop(self) -> None:
            await gate.wait()

    mesh.add(Lingering("a"))
    mesh.subscribe("news", "a", group="g")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(mesh.stop, "a")
        await until(lambda: mesh.statistics().agents["a"].state == "stopping")
        assert await mesh.publish("news", 1) == 0
        gate.set()

    assert mesh.statistics().dead_letters == {"unknown_agent": 1}
    assert mesh.statistics().unheard == 0


async def test_the_first_handler_that_matches_handles_it_whatever_the_group(mesh: Mesh) -> None:
    biller = Biller("a")
    mesh.add(biller)
    mesh.subscribe("sales.**", "a", group="other")

    assert await mesh.publish("sales.tea", 1) == 2  # it is a member of both groups
    await mesh.drain()

    assert biller.kept == [1, 1]


# -- full members ------------------------------------------------------------------------------------------------------


async def test_a_full_member_is_passed_over(mesh: Mesh) -> None:
    slow, keeper = await _full(mesh, "slow"), Keeper("keeper")
    mesh.add(keeper)
    mesh.subscribe("news", "keeper", group="g")

    with anyio.fail_after(4):  # a tell would wait for five seconds
        assert [await mesh.publish("news", number) for number in range(3)] == [1, 1, 1]
    slow.gate.set()
    await mesh.drain()

    assert keeper.kept == [0, 1, 2]
    assert slow.heard == ["first", "second"]


async def test_where_all_are_full_the_first_that_has_room_gets_it_and_nobody_else(mesh: Mesh) -> None:
    slow = [await _full(mesh, name) for name in ("a", "b", "c")]
    received: list[int] = []

    async def publish() -> None:
        received.append(await mesh.publish("news", "x"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(publish)
        await until(_is_waiting(mesh, "a", "b", "c"))
        assert [wait.kind for wait in mesh.waits() if wait.kind == "room"] == ["room"] * 3
        slow[1].gate.set()
        await until(lambda: received)
    for each in slow:
        each.gate.set()
    await mesh.drain()

    assert received == [1]
    assert [each.heard[2:] for each in slow] == [[], ["x"], []]
    assert mesh.statistics().timers == 0


async def test_publications_that_wait_come_in_order_whoever_gets_them(mesh: Mesh) -> None:
    slow = [await _full(mesh, name) for name in ("a", "b")]
    received: list[int] = []

    async def publish(number: int) -> None:
        received.append(await mesh.publish("news", number))

    async with anyio.create_task_group() as tasks:
        for number in range(6):
            tasks.start_soon(publish, number)
            await until(lambda number=number: len(mesh.interior.router.cells["a"].parked or ()) == number + 1)  # type: ignore[misc]
        for each in slow:
            each.gate.set()
    await mesh.drain()

    heard = [each.heard[2:] for each in slow]
    assert received == [1] * 6
    assert sorted(heard[0] + heard[1]) == list(range(6))
    assert all(each == sorted(each) for each in heard)


@pytest.mark.parametrize(("publisher", "subscriber"), [("refuse", "wait"), ("wait", "refuse")])
async def test_where_all_are_full_and_nobody_waits_there_is_one_dead_letter(
    mesh: Mesh, publisher: Any, subscriber: Any
) -> None:
    slow = [await _full(mesh, name, when_full=subscriber) for name in ("a", "b")]

    with anyio.fail_after(4):  # a tell would wait for five seconds
        assert await mesh.publish("news", "x", when_full=publisher) == 0
    for each in slow:
        each.gate.set()

    assert mesh.statistics().dead_letters == {"full": 1}


async def test_only_members_that_let_publishers_wait_are_waited_for(mesh: Mesh) -> None:
    hasty, patient = await _full(mesh, "hasty", when_full="refuse"), await _full(mesh, "patient")
    received: list[int] = []

    async def publish() -> None:
        received.append(await mesh.publish("news", "x"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(publish)
        await until(_is_waiting(mesh, "patient"))
        assert not mesh.interior.router.cells["hasty"].parked
        hasty.gate.set()
        patient.gate.set()
    await mesh.drain()

    assert patient.heard[2:] == ["x"]


async def test_a_group_that_stays_full_costs_a_publisher_no_more_than_a_tell(anyio_backend: Any) -> None:
    async with lawful_mesh(settings=msgspec.structs.replace(DEFAULTS, tell_timeout=0.05)) as mesh:
        slow = [await _full(mesh, name) for name in ("a", "b")]

        assert await mesh.publish("news", "x") == 0

        assert mesh.statistics().dead_letters == {"full": 1}
        assert not _is_waiting(mesh, "a")()
        for each in slow:
            each.gate.set()
        await mesh.drain()
        assert [each.heard for each in slow] == [["first", "second"]] * 2


async def test_a_publisher_that_leaves_waits_before_no_member_any_more(mesh: Mesh) -> None:
    slow = [await _full(mesh, name) for name in ("a", "b")]
    with anyio.move_on_after(60) as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(mesh.publish, "news", "x")
            await until(_is_waiting(mesh, "a", "b"))
            scope.cancel()
    for each in slow:
        each.gate.set()
    await mesh.drain()

    assert [each.heard for each in slow] == [["first", "second"]] * 2
    assert mesh.statistics().timers == 0


async def test_a_member_that_stops_while_a_publication_waits_leaves_it_to_the_others(mesh: Mesh) -> None:
    a, b = await _full(mesh, "a"), await _full(mesh, "b")
    received: list[int] = []

    async def publish() -> None:
        received.append(await mesh.publish("news", "x"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(publish)
        await until(_is_waiting(mesh, "a", "b"))
        await mesh.stop("a", at_once=True)
        b.gate.set()
    await mesh.drain()

    assert received == [1]
    assert b.heard[2:] == ["x"]
    assert a.heard == ["first"]


async def test_a_publication_that_outlives_all_members_goes_to_one_that_came_meanwhile(mesh: Mesh) -> None:
    await _full(mesh, "a")
    keeper, received = Keeper("new"), list[int]()

    async def publish() -> None:
        received.append(await mesh.publish("news", "x"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(publish)
        await until(_is_waiting(mesh, "a"))
        mesh.add(keeper)
        mesh.subscribe("news", "new", group="g")
        await mesh.stop("a", at_once=True)
    await mesh.drain()

    assert received == [1]
    assert keeper.kept == ["x"]


async def test_a_publication_that_outlives_its_group_is_a_dead_letter(mesh: Mesh) -> None:
    await _full(mesh, "a")
    received: list[int] = []

    async def publish() -> None:
        received.append(await mesh.publish("news", "x"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(publish)
        await until(_is_waiting(mesh, "a"))
        await mesh.stop("a", at_once=True)

    assert received == [0]
    assert [letter.reason for letter in mesh.dead_letters() if letter.envelope.message == "x"] == ["stopped"]


async def test_an_agent_may_wait_for_a_group_and_is_shown_to(mesh: Mesh) -> None:
    slow = [await _full(mesh, name) for name in ("a", "b")]

    class Crier(Agent):
        async def on_message(self, message: str, context: Context) -> int:
            return await context.publish("news", message)

    crier = mesh.add(Crier("crier"))
    answers: list[int] = []

    async def ask() -> None:
        answers.append(await crier.ask("x"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        await until(_is_waiting(mesh, "a", "b"))
        open_ask = next(each for each in mesh.ledger().open if each.recipient == "crier")
        why = mesh.why(open_ask.message_id)
        assert [wait.kind for wait in why.waits_for] == ["room"]
        slow[0].gate.set()
    slow[1].gate.set()

    assert answers == [1]


async def test_a_publisher_does_not_wait_for_room_that_only_itself_could_make(mesh: Mesh) -> None:
    """All members wait for the publisher; one that would wait for them could wait for ever, so none is waited for."""
    begun = anyio.Event()

    class Crier(Agent):
        @on
        async def cry(self, message: str, context: Context) -> int:
            begun.set()
            await until(lambda: mesh.interior.router.calls and len(asking) == 2)
            return await context.publish("news", message)

        @on
        async def answer(self, message: int) -> int:
            return message

    asking: list[str] = []

    class Needy(Agent):
        mailbox_capacity: int | None = 1

        async def on_message(self, message: Any, context: Context) -> Any:
            if message == "ask":
                asking.append(context.address)
                return await context.ask("crier", 5)
            return None

    crier = mesh.add(Crier("crier"))
    for name in ("a", "b"):
        mesh.add(Needy(name))
        mesh.subscribe("news", name, group="g")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(crier.ask, "x")
        await begun.wait()
        for name in ("a", "b"):
            await mesh.tell(name, "ask")
        await until(lambda: len(asking) == 2)
        for name in ("a", "b"):
            await mesh.tell(name, "more")
    await mesh.drain()

    counted = mesh.statistics()
    assert counted.dead_letters.get("full", 0) + sum(counted.agents[name].completed for name in ("a", "b")) == 5
    assert counted.is_balanced


async def test_dead_letters_may_be_shared_by_a_group(mesh: Mesh) -> None:
    keepers = [Keeper("a"), Keeper("b")]
    for keeper in keepers:
        mesh.add(keeper)
        mesh.subscribe("$dead_letters", keeper.name, group="undertakers")

    for number in range(4):
        with pytest.raises(LookupError):
            await mesh.tell("nobody", number)
    await mesh.drain()

    assert [len(keeper.kept) for keeper in keepers] == [2, 2]


# -- sabotage ----------------------------------------------------------------------------------------------------------


def _serve_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Publication, name: str, group: Any, until: float | None = None) -> None:
        for members in group:
            for address in members:
                self.offer(address, waits=False)

    monkeypatch.setattr(Publication, "offer_group", broken)


def _forget_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Subscriptions, "was_served", lambda self, member: None)


@pytest.mark.parametrize("break_it", [_serve_everybody, _forget_turns])
async def test_breaking_groups_turns_their_tests_red(
    mesh: Mesh, monkeypatch: pytest.MonkeyPatch, break_it: Callable[[pytest.MonkeyPatch], None]
) -> None:
    break_it(monkeypatch)

    with pytest.raises(AssertionError):
        await test_each_message_goes_to_one_member_and_to_each_in_turn(mesh)
