"""Agents have children: they live where agents live, end before their parents, and begin again as the strategy says."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from ceylon import (
    Agent,
    BlockingContext,
    BlockingRef,
    Context,
    DefinitionError,
    DuplicateNameError,
    HandlerError,
    Mesh,
    MeshClosedError,
    Message,
    Ref,
    on,
)
from ceylon.core.ports import OnFailure, Strategy
from ceylon.errors import AgentStoppedError
from ceylon.messages import Envelope
from support.leftovers import DEADLINE, eventually, tidy_mesh


@pytest.fixture
async def mesh(anyio_backend: str) -> AsyncIterator[Mesh]:
    """A mesh that must end tidily."""
    async with tidy_mesh(backoff_first=0.0) as mesh:
        yield mesh


class Explode(Message[None], tag="tree.explode"):
    """Fail."""


class Spawn(Message[str], tag="tree.spawn"):
    """Spawn an agent of this name; answer with its address."""

    name: str


class Noting(Agent):
    """Notes its life in a diary that outlives it."""

    on_failure: OnFailure = "restart"

    def __init__(self, name: str, diary: list[Any]) -> None:
        super().__init__(name)
        self.diary = diary

    async def on_start(self, context: Context) -> None:
        self.diary.append(f"+{self.name}")

    async def on_stop(self) -> None:
        self.diary.append(f"-{self.name}")

    @on
    async def explode(self, explode: Explode) -> None:
        raise ValueError(self.name)

    async def on_message(self, message: Any) -> Any:
        return message


class Parent(Noting):
    """Spawns who it is told to, and from the start those it was made with."""

    def __init__(self, name: str, diary: list[Any], *names: str, strategy: Strategy = "one_for_one") -> None:
        super().__init__(name, diary)
        self.names, self.strategy = names, strategy

    async def on_start(self, context: Context) -> None:
        await super().on_start(context)
        for name in self.names:
            await context.spawn(Noting(name, self.diary)).ask("are you there?")

    @on
    async def spawn(self, spawn: Spawn, context: Context) -> str:
        return context.spawn(Parent(spawn.name, self.diary)).address


# -- to be a child -----------------------------------------------------------------------------------------------------


async def test_a_child_is_an_agent_like_any_other(mesh: Mesh) -> None:
    mesh.add(Parent("parent", []))

    address = await mesh.ask("parent", Spawn("child"))

    assert (address, mesh.agents) == ("child", ["parent", "child"])
    assert await mesh.ask("child", "hello") == "hello"
    statistics = mesh.statistics().agents
    assert [statistics[name].parent for name in ("parent", "child")] == ["", "parent"]


class Curious(Agent):
    """Says what its context knows of its family."""

    async def on_message(self, message: Any, context: Context) -> Any:
        if message != "family":
            context.spawn(Curious(message))
        return context.parent, context.children


async def test_a_context_knows_the_parent_and_the_children_in_order(mesh: Mesh) -> None:
    mesh.add(Curious("root"))
    for name in ("zoe", "adam", "mia"):
        await mesh.ask("root", name)
    await mesh.stop("adam")

    assert await mesh.ask("root", "adam") == ("", ("zoe", "mia", "adam"))
    assert await mesh.ask("mia", "family") == ("root", ())


class Everywhere(Noting):
    """Spawns wherever it can."""

    async def lifespan(self, context: Context) -> AsyncIterator[None]:
        context.spawn(Noting("of-lifespan", self.diary))
        yield

    async def on_start(self, context: Context) -> None:
        context.spawn(Noting("of-start", self.diary))
        context.start_soon(self.work, context)

    async def work(self, context: Context) -> None:
        context.spawn(Noting("of-background", self.diary))

    async def on_restart(self, error: BaseException, context: Context) -> None:
        context.spawn(Noting("of-restart", self.diary))


async def test_an_agent_may_spawn_wherever_it_has_a_context(mesh: Mesh) -> None:
    mesh.add(Everywhere("parent", []))
    await eventually(lambda: len(mesh.agents) == 4)
    first = mesh.agents
    await mesh.tell("parent", Explode())
    await eventually(lambda: len(mesh.agents) == 5)

    assert sorted(first) == ["of-background", "of-lifespan", "of-start", "parent"]
    assert "of-restart" in mesh.agents


class Threaded(Agent):
    """Spawns from a worker thread."""

    def on_message(self, message: str, context: BlockingContext) -> Any:
        child = context.spawn(Noting(message, []))
        assert type(child) is BlockingRef
        return child.ask("hello"), context.children, context.parent


async def test_a_thread_spawns_likewise(mesh: Mesh) -> None:
    mesh.add(Threaded("parent"))

    assert await mesh.ask("parent", "child") == ("hello", ("child",), "")
    assert mesh.statistics().agents["child"].parent == "parent"


async def test_what_is_spawned_must_be_an_agent_of_a_free_name(mesh: Mesh) -> None:
    class Wrong(Agent):
        @on
        async def try_it(self, thing: int, context: Context) -> None:
            context.spawn("no agent")  # type: ignore[arg-type]

        @on
        async def try_twice(self, name: str, context: Context) -> Ref:
            return context.spawn(Noting(name, []))

    wrong = mesh.add(Wrong("wrong"))

    with pytest.raises(HandlerError) as no_agent:
        await wrong.ask(1)
    with pytest.raises(HandlerError) as taken:
        await wrong.ask("wrong")
    assert [type(caught.value.root) for caught in (no_agent, taken)] == [DefinitionError, DuplicateNameError]
    assert mesh.agents == ["wrong"]


async def test_an_agent_that_stops_takes_no_more_children(mesh: Mesh) -> None:
    class Late(Noting):
        async def on_stop(self, context: Context) -> None:  # type: ignore[override]
            try:
                context.spawn(Noting("late", self.diary))
            except AgentStoppedError as error:
                self.diary.append(str(error))

    diary: list[Any] = []
    mesh.add(Late("parent", diary))
    await mesh.ask("parent", "hello")

    await mesh.stop("parent")

    assert diary == ["+parent", "agent 'parent' is stopping and takes no more children"]


async def test_a_mesh_that_has_stopped_takes_no_more_children() -> None:
    class Late(Noting):
        async def on_stop(self, context: Context) -> None:  # type: ignore[override]
            try:
                context.spawn(Noting("late", self.diary))
            except MeshClosedError as error:
                self.diary.append(type(error))

    diary: list[Any] = []
    async with tidy_mesh() as mesh:
        await mesh.add(Late("parent", diary)).ask("hello")

    assert diary == ["+parent", MeshClosedError]


# -- the end -----------------------------------------------------------------------------------------------------------


async def grow(mesh: Mesh, diary: list[Any]) -> None:
    """Add two families; the second one's grandchildren come first."""
    mesh.add(Parent("a", diary))
    mesh.add(Parent("b", diary))
    for parent, child in (("b", "b1"), ("b1", "b11"), ("b1", "b12"), ("a", "a1"), ("b", "b2"), ("a", "a2")):
        await mesh.ask(parent, Spawn(child))
        await mesh.ask(child, "are you there?")
    del diary[:]


async def test_an_agent_ends_after_its_children_last_started_first(mesh: Mesh) -> None:
    diary: list[Any] = []
    await grow(mesh, diary)

    await mesh.stop("b")

    assert diary == ["-b2", "-b12", "-b11", "-b1", "-b"]
    assert mesh.agents == ["a", "a1", "a2"]


async def test_a_mesh_ends_in_that_order_too() -> None:
    diary: list[Any] = []
    async with tidy_mesh() as mesh:
        await grow(mesh, diary)

    assert diary == ["-b2", "-b12", "-b11", "-b1", "-b", "-a2", "-a1", "-a"]


async def test_a_parents_handler_may_still_use_its_children(mesh: Mesh) -> None:
    class Asking(Parent):
        @on
        async def pass_on(self, word: str, context: Context) -> Any:
            self.diary.append("asking")
            await self.may_go.wait()
            return await context.ask("child", word)

        may_go = anyio.Event()

    parent = Asking("parent", [], "child")
    Asking.may_go = anyio.Event()
    ref = mesh.add(parent)
    answers: list[Any] = []

    async def ask() -> None:
        answers.append(await ref.ask("hello"))

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await eventually(lambda: "asking" in parent.diary)
        group.start_soon(mesh.stop, "parent")
        await eventually(lambda: mesh.statistics().agents["parent"].state == "stopping")
        Asking.may_go.set()

    assert answers == ["hello"]
    assert mesh.agents == []


async def test_children_share_their_parents_drain_time() -> None:
    begun: list[str] = []

    class Hung(Agent):
        async def on_message(self, message: Any) -> None:
            begun.append(self.name)
            await anyio.sleep_forever()

    class Crowd(Agent):
        async def on_start(self, context: Context) -> None:
            for number in range(20):
                context.spawn(Hung(f"hung{number}")).tell_nowait("hello")

    async with tidy_mesh(drain_timeout=1.0) as mesh:
        mesh.add(Crowd("crowd"))
        await eventually(lambda: len(begun) == 20)
        began = anyio.current_time()

        await mesh.stop("crowd")

        assert anyio.current_time() - began < 20 * 1.0 / 2
        assert mesh.statistics().stopped_agents.cancelled == 20


# -- beginning again ---------------------------------------------------------------------------------------------------


async def test_a_parent_begins_again_without_the_children_it_had(mesh: Mesh) -> None:
    diary: list[Any] = []
    mesh.add(Parent("parent", diary, "x", "y"))
    await mesh.ask("parent", Spawn("extra"))
    await mesh.ask("extra", "are you there?")
    diary.clear()

    await mesh.tell("parent", Explode())
    assert await mesh.ask("parent", "hello") == "hello"

    assert diary == ["-extra", "-y", "-x", "-parent", "+parent", "+x", "+y"]
    assert mesh.agents == ["parent", "x", "y"]


@pytest.mark.parametrize(
    ("strategy", "story"),
    [
        ("one_for_one", ["-y", "+y"]),
        ("one_for_all", ["-z", "-y", "-x", "+x", "+y", "+z"]),
        ("rest_for_one", ["-z", "-y", "+y", "+z"]),
    ],
)
async def test_the_parents_strategy_says_who_begins_again(strategy: Strategy, story: list[str], mesh: Mesh) -> None:
    diary: list[Any] = []
    mesh.add(Parent("parent", diary, "x", "y", "z", strategy=strategy))
    await mesh.ask("parent", "are you there?")
    diary.clear()

    await mesh.tell("y", Explode())
    await eventually(lambda: len(diary) == len(story))
    for name in "xyz":
        assert await mesh.ask(name, "hello") == "hello"

    assert diary == story
    restarts = [mesh.statistics().agents[name].restarts for name in "xyz"]
    assert restarts == [f"+{name}" in story for name in "xyz"]


async def test_siblings_that_begin_again_keep_their_mail_in_order(mesh: Mesh) -> None:
    class Keeping(Noting):
        async def on_message(self, message: Any) -> Any:
            self.diary.append(message)

    class Brood(Noting):
        strategy = "one_for_all"

        async def on_start(self, context: Context) -> None:
            for name in ("x", "y"):
                context.spawn(Keeping(name, self.diary))

    diary: list[Any] = []
    mesh.add(Brood("parent", diary))
    await eventually(lambda: sorted(diary) == ["+x", "+y"])
    mesh.tell_nowait("x", Explode())
    for number in range(100):
        mesh.tell_nowait("y", number)

    await eventually(lambda: 99 in diary)

    numbers = [entry for entry in diary if isinstance(entry, int)]
    assert numbers == list(range(100))
    assert mesh.statistics().agents["y"].completed == 100


class Hanging(Noting):
    """Holds on to one message for ever: on the loop, against its cancellation, or in a thread."""

    concurrency = 2
    release = threading.Event()

    @on
    async def hold(self, how: str) -> None:
        self.diary.append(how)
        if how == "willing":
            await anyio.sleep_forever()
        while not self.release.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.01)

    @on
    def hold_thread(self, how: bytes) -> None:
        self.diary.append(how.decode())
        assert self.release.wait(DEADLINE)


HOLDS = [
    (how, backend)
    for how in ("willing", "thread", "stubborn")
    for backend in ("asyncio", "trio")
    if (how, backend) != ("stubborn", "trio")  # on trio nothing ignores its cancellation for long
]


def _hold(how: str) -> Any:
    Hanging.release = threading.Event()
    return b"thread" if how == "thread" else how


@pytest.mark.parametrize(("how", "anyio_backend"), HOLDS)
async def test_a_hung_handler_of_the_same_agent_does_not_keep_it_from_beginning_again(
    how: str, anyio_backend: str
) -> None:
    message = _hold(how)
    async with tidy_mesh(stop_grace=0.05, backoff_first=0.0) as mesh:
        diary: list[Any] = []
        ref = mesh.add(Hanging("hanging", diary))
        await ref.tell(message)
        await eventually(lambda: how in diary)

        await ref.tell(Explode())
        with anyio.fail_after(DEADLINE):
            assert await ref.ask(7) == 7

        statistics = mesh.statistics().agents["hanging"]
        assert (statistics.restarts, statistics.cancelled, statistics.failed) == (1, 1, 1)
        Hanging.release.set()


@pytest.mark.parametrize(("how", "anyio_backend"), HOLDS)
async def test_nor_does_a_hung_sibling(how: str, anyio_backend: str) -> None:
    class Brood(Noting):
        strategy = "one_for_all"

        async def on_start(self, context: Context) -> None:
            context.spawn(Hanging("hanging", self.diary))
            context.spawn(Noting("failing", self.diary))

    message = _hold(how)
    async with tidy_mesh(stop_grace=0.05, backoff_first=0.0) as mesh:
        diary: list[Any] = []
        mesh.add(Brood("parent", diary))
        await mesh.ask("parent", "hello")
        await mesh.tell("hanging", message)
        await eventually(lambda: how in diary)

        await mesh.tell("failing", Explode())
        with anyio.fail_after(DEADLINE):
            assert await mesh.ask("hanging", 7) == 7
            assert await mesh.ask("failing", 8) == 8

        assert mesh.statistics().agents["hanging"].cancelled == 1
        Hanging.release.set()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # on trio nothing ignores its cancellation for long
async def test_a_conversation_whose_handler_was_given_up_goes_on_after_the_restart(anyio_backend: str) -> None:
    class Keyed(Hanging):
        takes_keys = True

        def __ceylon_serial_key__(self, envelope: Envelope) -> str:
            return envelope.recipient

    message = _hold("stubborn")
    async with tidy_mesh(stop_grace=0.05, backoff_first=0.0) as mesh:
        diary: list[Any] = []
        mesh.add(Keyed("keyed", diary))
        await mesh.tell("keyed/alice", message)
        await eventually(lambda: "stubborn" in diary)

        await mesh.tell("keyed/bob", Explode())
        with anyio.fail_after(DEADLINE):
            assert await mesh.ask("keyed/alice", 7) == 7
        Hanging.release.set()


async def test_who_asks_a_sibling_that_begins_again_hears_so() -> None:
    class Brood(Noting):
        strategy = "one_for_all"

        async def on_start(self, context: Context) -> None:
            context.spawn(Hanging("hanging", self.diary))
            context.spawn(Noting("failing", self.diary))

    diary: list[Any] = []
    async with tidy_mesh(stop_grace=0.3) as mesh:
        mesh.add(Brood("parent", diary))
        await mesh.ask("parent", "hello")

        async def fail() -> None:
            await eventually(lambda: "willing" in diary)
            await mesh.tell("failing", Explode())

        async with anyio.create_task_group() as group:
            group.start_soon(fail)
            with pytest.raises(AgentStoppedError, match="began again before it answered"):
                await mesh.ask("hanging", "willing")


async def test_failures_while_siblings_begin_again_are_seen_to_afterwards(mesh: Mesh) -> None:
    diary: list[Any] = []
    mesh.add(Parent("parent", diary, "x", "y", "z", strategy="rest_for_one"))
    await mesh.ask("parent", "are you there?")
    diary.clear()

    mesh.tell_nowait("z", Explode())
    mesh.tell_nowait("y", Explode())
    mesh.tell_nowait("x", Explode())
    for name in "xyz":
        assert await mesh.ask(name, "hello") == "hello"
    await eventually(lambda: {agent.state for agent in mesh.statistics().agents.values()} == {"running"})

    assert diary[-6:] == ["-z", "-y", "-x", "+x", "+y", "+z"]
    assert sum(entry.startswith("+") for entry in diary) == sum(entry.startswith("-") for entry in diary)


# -- stopped meanwhile -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", ["one_for_one", "one_for_all", "rest_for_one"])
@pytest.mark.parametrize("stopped", ["failing", "sibling", "parent"])
async def test_who_is_stopped_while_it_pauses_before_a_restart_is_gone(strategy: Strategy, stopped: str) -> None:
    diary: list[Any] = []
    async with tidy_mesh(backoff_first=60.0, drain_timeout=0.05) as mesh:
        mesh.add(Parent("parent", diary, "failing", "sibling", strategy=strategy))
        await mesh.ask("parent", "are you there?")
        await mesh.tell("failing", Explode())
        await eventually(lambda: "-failing" in diary)

        with anyio.fail_after(DEADLINE):
            await mesh.stop(stopped)

        assert stopped not in mesh.agents
        assert diary.count(f"-{stopped}") == 1
        if stopped == "failing":  # the others need not wait for it
            await eventually(lambda: mesh.statistics().agents["sibling"].state == "running")
    assert sorted(entry for entry in diary if "+" in entry) == sorted(
        entry.replace("-", "+") for entry in diary if "-" in entry
    )


class SlowStart(Noting):
    """Its second start takes until it is let go, its stop as well."""

    gate: anyio.Event
    where = "start"

    async def on_start(self, context: Context) -> None:
        await super().on_start(context)
        if self.where == "start" and self.diary.count(f"+{self.name}") > 1:
            await self.gate.wait()

    async def on_stop(self) -> None:
        self.diary.append("stopping")
        if self.where == "stop" and self.diary.count("stopping") == 1:
            await self.gate.wait()
        await super().on_stop()


@pytest.mark.parametrize("where", ["start", "stop"])
@pytest.mark.parametrize("at_once", [False, True])
async def test_a_stop_in_the_middle_of_a_restart_lets_on_stop_end(where: str, at_once: bool, mesh: Mesh) -> None:  # noqa: FBT001
    class Slow(SlowStart):
        gate = anyio.Event()

    Slow.where = where
    diary: list[Any] = []
    mesh.add(Slow("slow", diary))
    await mesh.tell("slow", Explode())
    await eventually(lambda: diary[-1:] == (["+slow"] if where == "start" else ["stopping"]) and len(diary) > 1)
    ended = False

    async def stop() -> None:
        nonlocal ended
        await mesh.stop("slow", at_once=at_once)
        ended = True

    async with anyio.create_task_group() as group:
        group.start_soon(stop)
        await anyio.wait_all_tasks_blocked()
        if where == "stop":
            assert not ended
            Slow.gate.set()

    assert mesh.agents == []
    assert diary.count("stopping") == diary.count("-slow") == (2 if where == "start" else 1)


async def test_a_parent_that_stops_while_its_children_begin_again_waits_for_their_ends(mesh: Mesh) -> None:
    class Slow(SlowStart):
        where = "stop"
        gate = anyio.Event()

    class Brood(Noting):
        strategy = "one_for_all"

        async def on_start(self, context: Context) -> None:
            context.spawn(Slow("slow", self.diary))
            context.spawn(Noting("failing", self.diary))

    diary: list[Any] = []
    mesh.add(Brood("parent", diary))
    await mesh.ask("parent", "hello")
    await mesh.ask("slow", "hello")
    await mesh.tell("failing", Explode())
    await eventually(lambda: "stopping" in diary)

    async with anyio.create_task_group() as group:
        group.start_soon(mesh.stop, "parent")
        await anyio.wait_all_tasks_blocked()
        Slow.gate.set()

    assert [entry for entry in diary if entry.startswith("-")] == ["-failing", "-slow", "-parent"]
    assert mesh.agents == []


async def test_who_is_given_up_is_no_more_of_a_sibling(mesh: Mesh) -> None:
    class Slow(SlowStart):
        where = "stop"
        on_failure = "escalate"
        gate = anyio.Event()

    class Brood(Noting):
        strategy = "one_for_all"
        on_failure = "resume"

        async def on_start(self, context: Context) -> None:
            context.spawn(Slow("slow", self.diary))
            context.spawn(Noting("failing", self.diary))

    diary: list[Any] = []
    mesh.add(Brood("parent", diary))
    await mesh.ask("parent", "hello")
    assert [await mesh.ask(name, "hello") for name in ("slow", "failing")] == ["hello", "hello"]
    await mesh.tell("slow", Explode())
    await eventually(lambda: "stopping" in diary)

    await mesh.tell("failing", Explode())
    assert await mesh.ask("failing", "hello") == "hello"
    Slow.gate.set()
    await eventually(lambda: mesh.agents == ["parent", "failing"])

    assert diary[2:] == ["stopping", "-failing", "+failing", "-slow"]
