"""How many keyed agents may be in memory: who has rested longest makes room, and while nobody rests, senders wait."""

import sys
from typing import Any

import anyio
import msgspec
import pytest

from ceylon import (
    Agent,
    AskTimeoutError,
    BlockingContext,
    Context,
    DeadlockError,
    FamilyFullError,
    MailboxFullError,
    Mesh,
    UnknownAgentError,
)
from ceylon.core.keyed_cell import KeyedCell
from ceylon.settings import DEFAULTS
from support.core_agents import until
from support.law import lawful_mesh

HASTY = msgspec.structs.replace(DEFAULTS, tell_timeout=0.02, family_retry=0.02)


class Room(Agent):
    """Says who is there; a key that begins with ``held`` waits for its gate. Knows how many are alive at one time."""

    def __init__(self, name: str, house: "House") -> None:
        super().__init__(name)
        self.house = house

    async def on_start(self) -> None:
        self.house.alive += 1
        self.house.most = max(self.house.most, self.house.alive)

    async def on_stop(self) -> None:
        self.house.alive -= 1

    async def on_message(self, message: Any, context: Context) -> Any:
        self.house.heard.append((self.key, message))
        if self.key.startswith("held"):
            await self.house.gate.wait()
        if isinstance(message, tuple):
            return await context.ask(*message)
        return self.key


class House:
    """What the rooms share."""

    def __init__(self) -> None:
        self.alive = self.most = 0
        self.gate = anyio.Event()
        self.heard: list[Any] = []

    def room(self, key: str) -> Room:
        return Room(key, self)


async def test_who_has_rested_longest_leaves_for_another(mesh: Mesh) -> None:
    house = House()
    family = mesh.register(house.room, "room", limit=3)
    for key in ("a", "b", "c", "a", "d"):
        assert await family.ref(key).ask("hello") == key

    assert sorted(family.active) == ["a", "c", "d"]
    assert house.most == 3


async def test_even_a_message_that_cannot_wait_finds_a_place_while_somebody_rests(mesh: Mesh) -> None:
    house = House()
    family = mesh.register(house.room, "room", limit=1)
    await family.ref("a").ask("hello")

    family.ref("b").tell_nowait("hello")
    await mesh.drain()

    assert house.heard == [("a", "hello"), ("b", "hello")]
    assert house.most == 1


async def test_while_nobody_rests_senders_wait_and_come_first_who_came_first(mesh: Mesh) -> None:
    house = House()
    family = mesh.register(house.room, "room", limit=1)
    places = mesh.interior.registered["room"]

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(family.ref("held").ask, "hello")
        await until(lambda: house.heard)
        for count, key in enumerate(("c", "d", "e"), 2):
            tasks.start_soon(family.ref(key).ask, "hello")
            await until(lambda count=count: len(places.cells()) == count)  # type: ignore[misc]
        opened = {each.recipient: each for each in mesh.ledger().open}
        assert [key for key, each in opened.items() if each.place == "waiting for room"] == [
            "room/c",
            "room/d",
            "room/e",
        ]
        assert mesh.agents == ["room/held"]
        with pytest.raises(UnknownAgentError):
            mesh.agent("room/c")
        [wait] = [wait for wait in mesh.waits() if wait.on == "room/c"]
        assert wait.blocked_by == (opened["room/held"].message_id,)
        house.gate.set()

    assert [key for key, _ in house.heard] == ["held", "c", "d", "e"]
    assert house.most == 1


async def test_who_waits_costs_the_same_however_many_are_at_work(mesh: Mesh) -> None:
    house, looks = House(), 0
    family = mesh.register(house.room, "room", limit=100)
    look = KeyedCell.is_idle.fget.__code__  # type: ignore[attr-defined]

    def count(frame: Any, event: str, _: object) -> None:
        nonlocal looks
        looks += event == "call" and frame.f_code is look

    async with anyio.create_task_group() as tasks:
        for number in range(100):
            tasks.start_soon(family.ref(f"held{number}").ask, "hello")
        await until(lambda: len(house.heard) == 100)
        for number in range(100):
            tasks.start_soon(family.ref(f"b{number}").ask, "hello")
        await until(lambda: len(mesh.interior.cells()) == 200)
        sys.setprofile(count)
        try:
            house.gate.set()
            await until(lambda: len(house.heard) == 200)
        finally:
            sys.setprofile(None)

    assert 100 <= looks < 1000  # each for each were 10,000


async def test_who_finds_no_place_in_time_is_told_so_and_leaves_nothing_behind(anyio_backend: Any) -> None:
    house = House()
    async with lawful_mesh(settings=HASTY) as mesh:
        family = mesh.register(house.room, "room", limit=1)
        await family.ref("held").tell("hello")
        await until(lambda: house.heard)

        with pytest.raises(FamilyFullError, match=r"room/b.*for 0.02 s: all 1 agents of the family 'room'") as caught:
            await family.ref("b").tell("hello")
        with pytest.raises(MailboxFullError, match="room/c"):
            family.ref("c").tell_nowait("hello")
        with pytest.raises(FamilyFullError, match=r"room/s.*for 0.02 s"):
            await (await family.ref("s").submit("hello"))
        with pytest.raises(AskTimeoutError):
            await family.ref("d").ask("hello", timeout=0.02)

        assert (caught.value.family, caught.value.limit, caught.value.waited) == ("room", 1, 0.02)
        assert mesh.statistics().refused == 4
        for number in range(20):
            with pytest.raises(FamilyFullError):
                family.ref(f"x{number}").tell_nowait("hello")
        assert len(mesh.interior.registered["room"].cells()) <= 2  # the last to be refused is looked at by the next
        house.gate.set()
        assert await family.ref("e").ask("hello") == "e"
        assert [cell.address for cell in mesh.interior.registered["room"].cells()] == ["room/e"]


async def test_a_wait_for_a_place_that_could_never_end_is_refused_at_once(mesh: Mesh) -> None:
    house = House()
    family = mesh.register(house.room, "room", limit=2)

    with pytest.raises(DeadlockError) as caught:
        await family.ref("a").ask(("room/b", ("room/c", "hello")))

    assert "room/c" in str(caught.value)
    assert await family.ref("c").ask("hello") == "c"
    assert await family.ref("d").ask(("room/e", "hello")) == "e"


async def test_two_chains_that_cross_for_the_last_places_are_told_apart_from_those_that_wait(mesh: Mesh) -> None:
    house = House()
    family = mesh.register(house.room, "room", limit=2)
    answers: list[Any] = []

    async def ask(key: str, message: Any) -> None:
        answers.append(await family.ref(key).ask(message))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask, "held", "hello")
        await until(lambda: house.heard)
        tasks.start_soon(ask, "a", ("room/b", "hello"))
        await until(lambda: len(mesh.interior.registered["room"].cells()) == 3)
        house.gate.set()  # the place of `held` is going to be free: nobody was refused

    assert sorted(answers) == ["b", "held"]


class ThreadRoom(Agent):
    def on_message(self, message: Any, context: BlockingContext) -> Any:
        return context.ask(*message) if isinstance(message, tuple) else self.key


async def test_the_same_in_threads(mesh: Mesh) -> None:
    family = mesh.register(ThreadRoom, "room", limit=1)

    with pytest.raises(DeadlockError):
        await family.ref("a").ask(("room/b", "hello"))
    assert await family.ref("b").ask("hello") == "b"


async def test_a_state_that_cannot_be_saved_keeps_the_place_until_it_can(anyio_backend: Any) -> None:
    class Till(Agent):
        saves = 0

        async def save(self) -> str:
            Till.saves += 1
            if self.key == "a" and Till.saves < 2:
                raise OSError(self.key)
            return self.key

        async def on_message(self, message: Any) -> Any:
            return self.key

    async with lawful_mesh(settings=HASTY) as mesh:
        family = mesh.register(Till, limit=1)
        await family.ref("a").ask("hello")

        assert await family.ref("b").ask("hello") == "b"
        assert Till.saves == 2


async def test_agents_that_cannot_be_made_give_their_places_on(mesh: Mesh) -> None:
    house = House()

    def make(key: str) -> Agent:
        if key.startswith("bad"):
            raise KeyError(key)
        return house.room(key)

    family = mesh.register(make, "room", limit=1)
    await family.ref("held").tell("hello")
    await until(lambda: house.heard)
    ends: list[str] = []

    async def ask(key: str) -> None:
        try:
            ends.append(await family.ref(key).ask("hello"))
        except Exception as error:  # noqa: BLE001 – whichever it is
            ends.append(f"{key} {type(error).__name__}")

    async with anyio.create_task_group() as tasks:
        for count, key in enumerate(("bad1", "b", "bad2", "c"), 1):
            tasks.start_soon(ask, key)
            await until(lambda count=count: len(mesh.interior.registered["room"].cells()) == 1 + count)  # type: ignore[misc]
        house.gate.set()

    assert sorted(ends) == ["b", "bad1 AgentStartError", "bad2 AgentStartError", "c"]
