"""The state of a keyed agent outlives its instances: saved when one leaves, loaded when the next one comes."""

from collections.abc import Callable
from typing import Any

import anyio
import msgspec
import pytest

from ceylon import (
    Agent,
    AgentStartError,
    Context,
    FamilyFullError,
    HandlerError,
    InMemorySnapshots,
    Mesh,
    SnapshotError,
)
from ceylon.core.ports import OnFailure
from ceylon.settings import DEFAULTS
from ceylon.testing.contracts import snapshot_contract
from support.core_agents import until
from support.law import lawful_mesh

IDLE = 0.02
SETTINGS = msgspec.structs.replace(DEFAULTS, backoff_first=0.001, backoff_most=0.002, stop_grace=0.5)


class Till(Agent):
    """Counts what it is told; keeps the count."""

    on_failure: OnFailure = "restart"

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.total = 0
        self.order: list[str] = []

    async def save(self) -> Any:
        self.order.append("save")
        return {"total": self.total}

    async def load(self, state: Any) -> None:
        self.order.append("load")
        self.total = state["total"]

    async def on_start(self) -> None:
        self.order.append("start")

    async def on_message(self, message: int) -> Any:
        if message < 0:
            self.total = -1_000
            raise ValueError(message)
        self.total += message
        return self.total, list(self.order)


class PlainTill(Agent):
    """The same, with plain functions, which run in threads, and contexts."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.total = 0

    def save(self, context: Any) -> Any:
        assert context.address == f"plain_till/{self.key}"
        return self.total or None

    def load(self, state: int, context: Any) -> None:
        assert context.address == f"plain_till/{self.key}"
        self.total = state

    def on_message(self, message: int) -> int:
        self.total += message
        return self.total


class Faulty(InMemorySnapshots):
    """Fails as often as it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.faults = {"load": 0, "save": 0}
        self.tries: list[str] = []

    async def load(self, address: str) -> Any:
        self._fail("load")
        return await super().load(address)

    async def save(self, address: str, state: Any) -> None:
        self._fail("save")
        await super().save(address, state)

    def _fail(self, verb: str) -> None:
        self.tries.append(verb)
        if self.faults[verb]:
            self.faults[verb] -= 1
            raise OSError(verb)


class Hanging(InMemorySnapshots):
    async def save(self, address: str, state: Any) -> None:
        await anyio.sleep_forever()


@pytest.mark.parametrize("leave", ["idle", "stop", "family", "limit"])
async def test_a_state_is_there_again_after_every_way_of_leaving(mesh: Mesh, leave: str) -> None:
    def register() -> Any:
        return mesh.register(Till, idle=IDLE if leave == "idle" else 60.0, limit=1 if leave == "limit" else 10)

    family = register()
    await family.ref("a").ask(5)
    if leave == "idle":
        await until(lambda: not mesh.agents)
    elif leave == "limit":
        await family.ref("b").ask(1)
    else:
        await mesh.stop("till/a" if leave == "stop" else "till")
        if leave == "family":
            register()

    assert await family.ref("a").ask(2) == (7, ["load", "start"])


async def test_hooks_may_be_plain_functions_and_none_means_nothing_to_keep(mesh: Mesh) -> None:
    store = InMemorySnapshots()
    family = mesh.register(PlainTill, snapshots=store)
    await family.ref("a").ask(5)
    await family.ref("b").ask(0)
    await mesh.stop("plain_till/a")
    await mesh.stop("plain_till/b")
    assert await store.load("plain_till/a") == 5
    assert len(store) == 1

    assert await family.ref("a").ask(-5) == 0
    await mesh.stop("plain_till/a")

    assert len(store) == 0


async def test_a_mesh_that_stops_saves_all_states(anyio_backend: Any) -> None:
    store = InMemorySnapshots()
    async with lawful_mesh() as mesh:
        family = mesh.register(Till, snapshots=store)
        for number in range(250):
            await family.ref(f"{number}").tell(number)

    assert len(store) == 250
    assert await store.load("till/7") == {"total": 7}


async def test_a_mesh_that_stops_as_one_is_about_to_leave_saves_its_state_once(anyio_backend: Any) -> None:
    store = Faulty()
    async with lawful_mesh() as mesh:
        family = mesh.register(Till, snapshots=store, limit=1)
        await family.ref("a").tell(1)
        with pytest.raises(FamilyFullError):
            family.ref("b").tell_nowait(1)  # so "a" is asked to leave as soon as it rests

    assert store.tries.count("save") == 1
    assert await store.load("till/a") == {"total": 1}


@pytest.mark.parametrize("at_once", [False, True])
async def test_a_mesh_that_is_hurried_saves_them_too(anyio_backend: Any, *, at_once: bool) -> None:
    store = InMemorySnapshots()
    async with lawful_mesh() as mesh:
        family = mesh.register(Till, snapshots=store)
        for number in range(5):
            await family.ref(f"{number}").ask(number)
        await mesh.stop(at_once=at_once)

    assert len(store) == 5


async def test_a_restart_begins_with_the_state_saved_last_not_with_the_spoilt_one(anyio_backend: Any) -> None:
    store = InMemorySnapshots()
    async with lawful_mesh(settings=SETTINGS) as mesh:
        family = mesh.register(Till, snapshots=store)
        await family.ref("a").ask(5)
        await mesh.stop("till/a")
        await family.ref("a").ask(100)
        with pytest.raises(HandlerError):
            await family.ref("a").ask(-1)

        assert (await family.ref("a").ask(1))[0] == 6
        assert await store.load("till/a") == {"total": 5}
        assert mesh.statistics().agents["till/a"].restarts == 1


async def test_an_agent_that_fails_while_it_is_stopped_is_not_asked_for_its_state(anyio_backend: Any) -> None:
    store, gate = InMemorySnapshots(), anyio.Event()

    class Late(Till):
        async def on_message(self, message: int) -> Any:
            if message < 0:
                await gate.wait()
            return await super().on_message(message)

    async with lawful_mesh(settings=SETTINGS) as mesh:
        family = mesh.register(Late, snapshots=store)
        await family.ref("a").ask(5)
        await mesh.stop("late/a")
        await family.ref("a").tell(-1)
        async with anyio.create_task_group() as tasks:
            await until(lambda: mesh.ledger().open[0].place == "in a handler")
            tasks.start_soon(mesh.stop, "late/a")
            await until(lambda: mesh.statistics().agents["late/a"].state == "leaving")
            gate.set()

        assert (await family.ref("a").ask(1))[0] == 6


async def test_an_agent_that_fails_for_good_is_not_asked_for_its_state(anyio_backend: Any) -> None:
    store = InMemorySnapshots()

    class Fragile(Till):
        on_failure = "stop"

    async with lawful_mesh(settings=SETTINGS) as mesh:
        family = mesh.register(Fragile, snapshots=store)
        await family.ref("a").ask(5)
        await mesh.stop("fragile/a")
        with pytest.raises(HandlerError):
            await family.ref("a").ask(-1)
        await until(lambda: not mesh.agents)

        assert (await family.ref("a").ask(1))[0] == 6


async def test_a_state_that_could_not_be_saved_stays_in_memory_and_is_tried_again(
    anyio_backend: Any, caplog: pytest.LogCaptureFixture
) -> None:
    store = Faulty()
    store.faults["save"] = 2
    async with lawful_mesh() as mesh:
        family = mesh.register(Till, idle=IDLE, snapshots=store)
        await family.ref("a").ask(5)

        await until(lambda: not mesh.agents)

        assert store.tries == ["load", "save", "save", "save"]
        assert (await family.ref("a").ask(1))[0] == 6
    assert len([line for line in caplog.messages if "agent_save_failed" in line]) == 2


async def test_who_stops_an_agent_hears_that_its_state_could_not_be_saved_and_it_stays(anyio_backend: Any) -> None:
    store = Faulty()
    store.faults["save"] = 1
    async with lawful_mesh() as mesh:
        family = mesh.register(Till, snapshots=store)
        await family.ref("a").ask(5)

        with pytest.raises(SnapshotError, match=r"till/a.*could not be saved: OSError") as caught:
            await mesh.stop("till/a")

        assert isinstance(caught.value.__cause__, OSError)
        assert mesh.agents == ["till/a"]
        assert (await family.ref("a").ask(1))[0] == 6


async def test_who_stops_a_family_hears_of_states_that_are_lost(
    anyio_backend: Any, caplog: pytest.LogCaptureFixture
) -> None:
    store = Faulty()
    async with lawful_mesh() as mesh:
        family = mesh.register(Till, snapshots=store)
        await family.ref("a").ask(5)
        await family.ref("b").ask(6)
        store.faults["save"] = 1

        with pytest.raises(SnapshotError, match="till/b"):
            await mesh.stop("till")

        assert mesh.agents == []
        assert len(store) == 1
    assert [line for line in caplog.messages if "agent_state_lost" in line and "till/b" in line]


def test_states_that_go_with_their_loop_are_named(caplog: pytest.LogCaptureFixture) -> None:
    async def leave_it_open() -> None:
        mesh = await Mesh("left-open").start()
        family = mesh.register(Till, limit=2)
        for key in "abc":
            await family.ref(key).ask(1)
        family.ref("d").tell_nowait(1)
        assert mesh.statistics().agents["till/b"].state == "leaving"

    anyio.run(leave_it_open)

    lost = sorted(line.rpartition("=")[2] for line in caplog.messages if line.startswith("agent_state_lost"))
    assert lost == ["'till/b'", "'till/c'"]


async def test_a_store_that_hangs_holds_nobody_for_long(anyio_backend: Any) -> None:
    async with lawful_mesh(settings=msgspec.structs.replace(SETTINGS, stop_grace=0.02)) as mesh:
        family = mesh.register(Till, snapshots=Hanging())
        await family.ref("a").ask(5)

        with pytest.raises(SnapshotError, match="took too long"):
            await mesh.stop("till/a")

        assert (await family.ref("a").ask(1))[0] == 6
        family_of_others = mesh.register(Till, "other")
        await family_of_others.ref("a").ask(1)


async def test_a_load_that_fails_is_tried_again_while_the_mail_waits(anyio_backend: Any) -> None:
    store = Faulty()
    async with lawful_mesh(settings=SETTINGS) as mesh:
        family = mesh.register(Till, snapshots=store)
        await family.ref("a").ask(5)
        await mesh.stop("till/a")
        store.faults["load"] = 2

        await family.ref("a").tell(1)
        assert (await family.ref("a").ask(1))[0] == 7
        assert store.tries.count("load") == 4


async def test_a_load_that_fails_for_good_is_told_to_the_asker_and_the_state_is_kept(anyio_backend: Any) -> None:
    store = Faulty()
    async with lawful_mesh(settings=SETTINGS) as mesh:
        family = mesh.register(Till, snapshots=store)
        await family.ref("a").ask(5)
        await mesh.stop("till/a")
        store.faults["load"] = 100

        with pytest.raises(AgentStartError, match="could not be loaded"):
            await family.ref("a").ask(1)
        await until(lambda: not mesh.agents)
        store.faults["load"] = 0

        assert (await family.ref("a").ask(1))[0] == 6


async def test_a_snapshot_is_a_copy(mesh: Mesh) -> None:
    class Lists(Agent):
        def __init__(self, name: str) -> None:
            super().__init__(name)
            self.heard: list[Any] = []

        def save(self) -> Any:
            return self.heard

        def load(self, state: Any) -> None:
            self.heard = state

        async def on_message(self, message: Any, context: Context) -> Any:
            self.heard.append(message)
            if message == "fail":
                raise ValueError(message)
            return list(self.heard)

    Lists.on_failure = "restart"
    family = mesh.register(Lists)
    await family.ref("a").ask(1)
    await mesh.stop("lists/a")
    with pytest.raises(HandlerError):
        await family.ref("a").ask("fail")

    assert await family.ref("a").ask(2) == [1, 2]


# -- the port ----------------------------------------------------------------------------------------------------------


async def test_the_store_in_memory_keeps_the_contract(anyio_backend: Any) -> None:
    await snapshot_contract(InMemorySnapshots())
    await snapshot_contract(InMemorySnapshots(msgspec.structs.replace(DEFAULTS, snapshots=50)), limit=50)


class Aliasing(InMemorySnapshots):
    async def load(self, address: str) -> Any:
        return self._kept.get(address)


class Forgetful(InMemorySnapshots):
    async def save(self, address: str, state: Any) -> None:
        if len(self._kept) > 49 and address not in self._kept:
            self._kept.pop(next(iter(self._kept)))
        await super().save(address, state)


class Deaf(InMemorySnapshots):
    async def delete(self, address: str) -> None:
        """Keep it all the same."""


class Blurred(InMemorySnapshots):
    async def save(self, address: str, state: Any) -> None:
        await super().save(address.lower(), state)

    async def load(self, address: str) -> Any:
        return await super().load(address.lower())


@pytest.mark.parametrize(
    ("make", "promise"),
    [
        (Aliasing, "a state is nobody elses"),
        (Forgetful, "one too many is refused and none thrown away"),
        (Deaf, "what is deleted is gone"),
        (Blurred, "addresses do not see each other"),
    ],
)
async def test_a_store_that_breaks_a_promise_is_found(
    anyio_backend: Any, make: Callable[[Any], InMemorySnapshots], promise: str
) -> None:
    store = make(msgspec.structs.replace(DEFAULTS, snapshots=50) if make is Forgetful else DEFAULTS)
    with pytest.raises(AssertionError, match=promise):
        await snapshot_contract(store, limit=50 if make is Forgetful else None)


async def test_without_room_for_a_state_the_agent_stays(anyio_backend: Any) -> None:
    settings = msgspec.structs.replace(DEFAULTS, snapshots=1)
    async with lawful_mesh(settings=settings) as mesh:
        family = mesh.register(Till)
        for key in "ab":
            await family.ref(key).ask(5)
        await mesh.stop("till/a")

        with pytest.raises(SnapshotError, match="raise `snapshots`"):
            await mesh.stop("till/b")

        assert (await family.ref("b").ask(1))[0] == 6
