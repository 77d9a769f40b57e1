"""Death watch: one `Terminated` for each watch, whatever the end was, never lost, behind everything sent before."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

import ceylon
from ceylon import Agent, BlockingContext, Context, HandlerError, Mesh, Message, Terminated, on
from ceylon.errors import InvalidNameError
from support.core_agents import Echo
from support.leftovers import eventually, tidy_mesh


@pytest.fixture
async def mesh(anyio_backend: str) -> AsyncIterator[Mesh]:
    """A mesh that must end tidily."""
    async with tidy_mesh(restarts=1) as mesh:
        yield mesh


class Watch(Message[None], tag="watch.begin"):
    """Watch the agent at *address*."""

    address: str


class Unwatch(Message[None], tag="watch.end"):
    """Do not watch it any more."""

    address: str


class Explode(Message[None], tag="watch.explode"):
    """Fail."""


class Watcher(Agent):
    """Keeps what it is told, outside of itself."""

    on_failure = "restart"

    def __init__(self, name: str, kept: list[Any]) -> None:
        super().__init__(name)
        self.kept = kept

    @on
    async def watch(self, watch: Watch, context: Context) -> None:
        context.watch(watch.address)

    @on
    async def unwatch(self, unwatch: Unwatch, context: Context) -> None:
        context.unwatch(context.ref(unwatch.address))

    @on
    async def explode(self, explode: Explode) -> None:
        raise ValueError("boom")

    @on
    async def keep(self, ended: Terminated, context: Context) -> None:
        assert context.sender == ended.address
        self.kept.append(ended)

    async def on_message(self, message: Any) -> Any:
        self.kept.append(message)
        return message


class ThreadWatcher(Watcher):
    """Watches from a thread."""

    @on
    def watch(self, watch: Watch, context: BlockingContext) -> None:  # type: ignore[override]
        context.watch(watch.address)

    @on
    def unwatch(self, unwatch: Unwatch, context: BlockingContext) -> None:  # type: ignore[override]
        context.unwatch(unwatch.address)


class Failing(Echo):
    """Fails for good when it is told to; before that it begins again once."""

    on_failure = "restart"

    @on
    async def explode(self, explode: Explode) -> None:
        raise ValueError("boom")


KINDS = [Watcher, ThreadWatcher]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_watcher_hears_that_an_agent_was_stopped(kind: type[Watcher], mesh: Mesh) -> None:
    kept: list[Any] = []
    watcher = mesh.add(kind("watcher", kept))
    mesh.add(Echo("echo"))
    await watcher.ask(Watch("echo"))

    await mesh.stop("echo")
    await watcher.ask("and?")

    assert kept == [Terminated("echo", "stopped"), "and?"]


async def test_a_watcher_hears_that_an_agent_failed_and_why(mesh: Mesh) -> None:
    kept: list[Any] = []
    watcher = mesh.add(Watcher("watcher", kept))
    failing = mesh.add(Failing("failing"))
    await watcher.ask(Watch("failing"))

    await failing.tell(Explode())
    assert await failing.ask("it began again") == "it began again"
    before = list(kept)
    await failing.tell(Explode())
    await eventually(lambda: kept)

    assert before == []
    assert kept == [Terminated("failing", "failed", "ValueError: boom")]


async def test_a_watcher_hears_that_an_agent_could_not_start(mesh: Mesh) -> None:
    class Unable(Echo):
        async def on_start(self) -> None:
            raise OSError("no")

    kept: list[Any] = []
    watcher = mesh.add(Watcher("watcher", kept))
    mesh.add(Unable("unable"))
    await watcher.ask(Watch("unable"))

    await eventually(lambda: kept)

    assert kept == [Terminated("unable", "failed", "OSError: no")]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_watch_for_nobody_ends_at_once(kind: type[Watcher], mesh: Mesh) -> None:
    kept: list[Any] = []
    watcher = mesh.add(kind("watcher", kept))
    mesh.add(Echo("gone"))
    await mesh.stop("gone")

    await watcher.ask(Watch("gone"))
    await watcher.ask(Watch("never"))
    await eventually(lambda: len(kept) == 2)

    assert kept == [Terminated("gone", "unknown"), Terminated("never", "unknown")]


async def test_what_is_no_address_cannot_be_watched(mesh: Mesh) -> None:
    watcher = mesh.add(Watcher("watcher", []))

    with pytest.raises(HandlerError) as caught:
        await watcher.ask(Watch("not an address"))

    assert isinstance(caught.value.root, InvalidNameError)


async def test_two_watches_give_one_message(mesh: Mesh) -> None:
    kept: list[Any] = []
    watcher = mesh.add(Watcher("watcher", kept))
    mesh.add(Echo("echo"))
    await watcher.ask(Watch("echo"))
    await watcher.ask(Watch("echo"))

    await mesh.stop("echo")
    await watcher.ask("and?")

    assert kept == [Terminated("echo", "stopped"), "and?"]


async def test_a_watch_is_over_when_it_has_been_told(mesh: Mesh) -> None:
    kept: list[Any] = []
    watcher = mesh.add(Watcher("watcher", kept))
    mesh.add(Echo("echo"))
    await watcher.ask(Watch("echo"))
    for _ in range(2):
        await mesh.stop("echo")
        mesh.add(Echo("echo"))
    await watcher.ask("and?")

    assert kept == [Terminated("echo", "stopped"), "and?"]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_watch_may_be_taken_back(kind: type[Watcher], mesh: Mesh) -> None:
    kept: list[Any] = []
    watcher = mesh.add(kind("watcher", kept))
    mesh.add(Echo("echo"))
    await watcher.ask(Watch("echo"))
    await watcher.ask(Unwatch("echo"))
    await watcher.ask(Unwatch("nobody"))

    await mesh.stop("echo")
    await watcher.ask("and?")

    assert kept == ["and?"]


async def test_every_watcher_hears_of_it(mesh: Mesh) -> None:
    kept: list[list[Any]] = [[] for _ in range(5)]
    mesh.add(Echo("echo"))
    for number, each in enumerate(kept):
        await mesh.add(Watcher(f"watcher{number}", each)).ask(Watch("echo"))

    await mesh.stop("echo")
    await eventually(lambda: all(kept))

    assert kept == [[Terminated("echo", "stopped")]] * 5


async def test_a_watch_outlives_the_watchers_restart(mesh: Mesh) -> None:
    kept: list[Any] = []
    watcher = mesh.add(Watcher("watcher", kept))
    mesh.add(Echo("echo"))
    await watcher.ask(Watch("echo"))
    await watcher.tell(Explode())
    await watcher.ask("are you there?")

    await mesh.stop("echo")
    await eventually(lambda: len(kept) == 2)

    assert kept[1:] == [Terminated("echo", "stopped")]


async def test_a_watch_ends_with_the_watcher_and_leaves_nothing_behind(mesh: Mesh) -> None:
    mesh.add(Echo("echo"))
    cell = mesh.interior.router.cells["echo"]
    for number in range(20):
        name = f"watcher{number}"
        await mesh.add(Watcher(name, [])).ask(Watch("echo"))
        await mesh.stop(name)
    kept: list[Any] = []
    watcher = mesh.add(Watcher("watcher", kept))
    watching = mesh.interior.router.cells["watcher"]
    for number in range(20):
        mesh.add(Echo(f"echo{number}"))
        await watcher.ask(Watch(f"echo{number}"))
        await mesh.stop(f"echo{number}")
    await eventually(lambda: len(kept) == 20)

    assert cell.life is not None
    assert watching.life is not None
    assert not cell.life.watchers
    assert not watching.life.watched


async def test_the_news_goes_into_a_full_mailbox_behind_what_was_sent_before(mesh: Mesh) -> None:
    gate = anyio.Event()

    class Slow(Watcher):
        mailbox_capacity = 3

        @on
        async def hold(self, number: int) -> None:
            self.kept.append(number)
            await gate.wait()

    class Chatty(Agent):
        async def on_message(self, message: Any, context: Context) -> None:
            for number in range(2, 7):
                context.start_soon(self.say, number, context)
            await context.publish("news", "nobody cares")

        async def say(self, number: int, context: Context) -> None:
            await context.tell("slow", number)

    kept: list[Any] = []
    slow = mesh.add(Slow("slow", kept))
    chatty = mesh.add(Chatty("chatty"))
    await slow.ask(Watch("chatty"))
    await slow.tell(1)
    await eventually(lambda: kept == [1])
    await chatty.ask("go")
    await eventually(lambda: len(mesh.interior.router.cells["slow"].mail) == 3)

    await mesh.stop("chatty")
    state = mesh.statistics().agents["slow"]
    gate.set()
    await eventually(lambda: any(isinstance(entry, Terminated) for entry in kept))

    assert state.pending == 5  # one under way, three, and one more than there is room for
    assert kept[-1] == Terminated("chatty", "stopped")
    assert len(kept) == 5


async def test_what_waits_for_room_goes_in_first(mesh: Mesh) -> None:
    gate = anyio.Event()

    class Slow(Watcher):
        mailbox_capacity = 1

        @on
        async def hold(self, number: int) -> None:
            self.kept.append(number)
            await gate.wait()

        @on(topic="news")
        async def read(self, news: str) -> None:
            self.kept.append(news)

    class Publisher(Agent):
        async def on_message(self, message: Any, context: Context) -> None:
            await context.publish("news", message)

    kept: list[Any] = []
    slow = mesh.add(Slow("slow", kept))
    mesh.add(Publisher("publisher"))
    await slow.ask(Watch("publisher"))
    await slow.tell(1)
    await eventually(lambda: kept == [1])
    await slow.tell(2)
    await mesh.tell("publisher", "extra")
    await eventually(lambda: mesh.interior.router.cells["slow"].parked)

    await mesh.stop("publisher", at_once=True)
    gate.set()
    await eventually(lambda: any(isinstance(entry, Terminated) for entry in kept))

    assert kept[-1] == Terminated("publisher", "stopped")
    assert kept[:2] == [1, 2]


async def test_nobody_is_told_while_the_mesh_ends(anyio_backend: str) -> None:
    async with tidy_mesh() as mesh:
        mesh.add(Echo("echo"))
        kept: list[Any] = []
        watcher = mesh.add(Watcher("watcher", kept))
        mesh.add(Echo("last"))
        await watcher.ask(Watch("echo"))
        await watcher.ask(Watch("last"))

    assert kept == []


async def test_nobody_hears_of_his_own_end(mesh: Mesh) -> None:
    kept: list[Any] = []
    watcher = mesh.add(Watcher("watcher", kept))
    await watcher.ask(Watch("watcher"))

    await mesh.stop("watcher")

    assert kept == []
    assert mesh.dead_letters() == []


async def test_a_key_behind_the_name_watches_the_agent(mesh: Mesh) -> None:
    class Keyed(Echo):
        takes_keys = True

    kept: list[Any] = []
    watcher = mesh.add(Watcher("watcher", kept))
    mesh.add(Keyed("keyed"))
    await watcher.ask(Watch("keyed/alice"))

    await mesh.stop("keyed")
    await eventually(lambda: kept)

    assert kept == [Terminated("keyed", "stopped")]


def test_terminated_is_a_message_that_anybody_may_import() -> None:
    assert "Terminated" in ceylon.__all__
    assert issubclass(Terminated, Message)
    assert Terminated("echo", "stopped") == Terminated("echo", "stopped", "")
