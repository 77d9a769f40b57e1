"""Subscriptions at run time: they begin, end, and end with their agents; and what looks for them grows with nobody."""

import threading
from typing import Any

import anyio
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ceylon import (
    Agent,
    ArgumentError,
    BlockingContext,
    BlockingMesh,
    Context,
    DefinitionError,
    InvalidNameError,
    Mesh,
    MeshClosedError,
    Subscription,
    UnknownAgentError,
    on,
)
from ceylon.core.subscriptions import Subscriptions, interest_in
from ceylon.core.topic_index import TopicIndex
from ceylon.core.topics import TopicPattern, words_of
from ceylon.settings import DEFAULTS
from support.core_agents import Keeper, until
from support.law import lawful_mesh


class Listener(Agent):
    """Declares one subscription, and makes others."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.heard: list[Any] = []
        self.subscriptions: list[Subscription] = []

    @on(topic="sales.*")
    async def sale(self, message: str) -> None:
        self.heard.append(("sale", message))

    @on
    async def follow(self, topic: bytes, context: Context) -> None:
        self.subscriptions.append(context.subscribe(topic.decode()))

    @on
    def follow_from_a_thread(self, topic: bytearray, context: BlockingContext) -> None:
        self.subscriptions.append(context.subscribe(topic.decode()))

    async def on_message(self, message: Any) -> None:
        self.heard.append(message)


# -- beginning and ending ----------------------------------------------------------------------------------------------


async def test_a_subscription_begins_at_once_and_ends_when_it_is_cancelled(mesh: Mesh) -> None:
    keeper = Keeper("keeper")
    ref = mesh.add(keeper)

    assert await mesh.publish("news.local", 1) == 0
    subscription = mesh.subscribe("news.*", ref)
    assert await mesh.publish("news.local", 2) == 1
    assert await mesh.publish("news", 3) == 0
    subscription.cancel()
    subscription.cancel()
    assert await mesh.publish("news.local", 4) == 0
    await mesh.drain()

    assert keeper.kept == [2]
    assert mesh.statistics().unheard == 3


async def test_a_subscription_says_what_it_is(mesh: Mesh) -> None:
    mesh.add(Keeper("keeper"))

    alone, member = mesh.subscribe("news.*", "keeper"), mesh.subscribe("news.**", "keeper", group="desk")

    assert (alone.topic, alone.address, alone.group, alone.is_active) == ("news.*", "keeper", None, True)
    assert (member.topic, member.group) == ("news.**", "desk")
    assert repr(alone) == "<Subscription of 'keeper' to 'news.*' active>"
    member.cancel()
    assert repr(member) == "<Subscription of 'keeper' to 'news.**' as one of 'desk' over>"


async def test_an_agent_subscribes_by_itself_on_the_loop_and_in_a_thread(mesh: Mesh) -> None:
    listener = Listener("listener")
    ref = mesh.add(listener)

    await ref.ask(b"news")
    await ref.ask(bytearray(b"weather.**"))

    assert [await mesh.publish(topic, topic) for topic in ("news", "weather", "weather.lisbon", "other")] == [
        1,
        1,
        1,
        0,
    ]
    await mesh.drain()
    assert listener.heard == ["news", "weather", "weather.lisbon"]


async def test_handlers_for_the_topic_go_before_handlers_by_type(mesh: Mesh) -> None:
    listener = Listener("listener")
    mesh.add(listener)
    mesh.subscribe("**", listener.name)

    await mesh.publish("sales.tea", "cheap")
    await mesh.publish("news", "old")
    await mesh.drain()

    assert listener.heard == [("sale", "cheap"), "old"]


async def test_asking_twice_is_one_subscription(mesh: Mesh) -> None:
    keeper = Keeper("keeper")
    mesh.add(keeper)

    first, second = mesh.subscribe("news", "keeper"), mesh.subscribe("news", "keeper")
    assert await mesh.publish("news", 1) == 1
    first.cancel()

    assert await mesh.publish("news", 2) == 0
    assert not second.is_active


async def test_what_a_class_declares_cannot_be_cancelled(mesh: Mesh) -> None:
    mesh.add(Listener("listener"))

    mesh.subscribe("sales.*", "listener").cancel()

    assert await mesh.publish("sales.tea", "cheap") == 1


async def test_subscriptions_end_with_their_agent(mesh: Mesh) -> None:
    mesh.add(Listener("listener"))
    subscription = mesh.subscribe("news", "listener")

    await mesh.stop("listener")

    assert not subscription.is_active
    assert mesh.interior.subscriptions.are_none
    subscription.cancel()
    mesh.add(Listener("listener"))
    assert await mesh.publish("news", 1) == 0
    assert await mesh.publish("sales.tea", "cheap") == 1


async def test_subscriptions_stay_while_the_agent_begins_again_and_may_be_asked_for_each_time(mesh: Mesh) -> None:
    class Fragile(Listener):
        on_failure = "restart"

        async def on_start(self, context: Context) -> None:
            context.subscribe("news")
            context.subscribe("work", group="hands")

        async def on_message(self, message: Any) -> None:
            if message == "break":
                raise ValueError(message)
            self.heard.append(message)

    ref = mesh.add(Fragile("fragile"))
    mesh.add(Keeper("other"))
    mesh.subscribe("work", "other", group="hands")
    for _ in range(3):
        await ref.tell("break")
        await until(lambda: mesh.statistics().agents["fragile"].pending == 0)
    await until(lambda: mesh.statistics().agents["fragile"].state == "running")

    assert await mesh.publish("news", "x") == 1
    for number in range(4):
        assert await mesh.publish("work", number) == 1
    await mesh.drain()
    assert [each for each in mesh.agent("fragile").heard if each != "x"] in ([0, 2], [1, 3])  # type: ignore[attr-defined]


async def test_a_restarting_agent_misses_nothing_it_subscribes_to(mesh: Mesh) -> None:
    class Fragile(Keeper):
        on_failure = "restart"

        async def on_message(self, message: Any) -> int:
            if message == "break":
                raise ValueError(message)
            return await super().on_message(message)

    mesh.add(Fragile("fragile"))
    mesh.subscribe("news", "fragile")

    for number in range(5):
        await mesh.publish("news", "break" if number == 1 else number)
    await mesh.drain()

    assert mesh.agent("fragile").kept == [2, 3, 4]  # type: ignore[attr-defined]


async def test_agents_subscribe_before_the_mesh_is_opened(anyio_backend: Any) -> None:
    mesh, keeper = Mesh("test"), Keeper("keeper")
    mesh.add(keeper)
    mesh.subscribe("news", keeper.name)
    cancelled = mesh.subscribe("other", keeper.name)
    cancelled.cancel()

    async with mesh:
        assert await mesh.publish("news", 1) == 1
        assert await mesh.publish("other", 2) == 0

    assert keeper.kept == [1]


async def test_nobody_subscribes_who_is_not_there(mesh: Mesh) -> None:
    mesh.add(Keeper("keeper"))

    with pytest.raises(UnknownAgentError, match="keeper"):
        mesh.subscribe("news", "keepr")
    with pytest.raises(InvalidNameError):
        mesh.subscribe("news", "no name")


async def test_a_closed_mesh_takes_no_subscriptions(anyio_backend: Any) -> None:
    async with Mesh("test") as mesh:
        mesh.add(Keeper("keeper"))
        subscription = mesh.subscribe("news", "keeper")

    assert not subscription.is_active
    subscription.cancel()
    with pytest.raises(MeshClosedError):
        mesh.subscribe("news", "keeper")


def test_a_blocking_mesh_and_other_threads_subscribe_too() -> None:
    with BlockingMesh("test") as mesh:
        keeper = Keeper("keeper")
        ref = mesh.add(keeper)
        subscription = mesh.subscribe("news", ref)
        assert mesh.publish("news", 1) == 1
        subscription.cancel()
        assert mesh.publish("news", 2) == 0  # behind the cancelling, in one thread's order
        with pytest.raises(UnknownAgentError):
            mesh.subscribe("news", "nobody")
        with pytest.raises(ArgumentError):
            mesh.subscribe("news..x", ref)

    assert keeper.kept == [1]


async def test_another_loop_may_subscribe_to_a_mesh(mesh: Mesh) -> None:
    mesh.add(Keeper("keeper"))
    made: list[Subscription] = []

    def elsewhere() -> None:
        made.append(mesh.blocking.subscribe("news", "keeper"))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    await until(lambda: made)
    thread.join()

    assert await mesh.publish("news", 1) == 1


# -- what cannot be ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("topic", ["", "news..x", "*.news", "news.**", ".", "news."])
async def test_nothing_is_published_on_what_is_no_topic(mesh: Mesh, topic: str) -> None:
    with pytest.raises(ArgumentError, match="is no topic"):
        await mesh.publish(topic, 1)

    assert mesh.statistics().unheard == 0


async def test_a_choice_that_there_is_not_is_refused(mesh: Mesh) -> None:
    mesh.add(Keeper("keeper"))
    wrong: Any = "never"

    with pytest.raises(ArgumentError, match="'wait', 'refuse'"):
        await mesh.publish("news", 1, when_full=wrong)
    with pytest.raises(ArgumentError, match="'wait', 'refuse'"):
        mesh.subscribe("news", "keeper", when_full=wrong)
    with pytest.raises(InvalidNameError):
        mesh.subscribe("news", "keeper", group="no name")


def test_a_group_without_a_topic_is_refused_when_the_class_is_made() -> None:
    with pytest.raises(DefinitionError, match="are about a topic"):

        class Wrong(Agent):
            @on(group="billing")
            async def sale(self, message: str) -> None: ...


async def test_an_agent_has_no_more_subscriptions_than_it_may(anyio_backend: Any) -> None:
    async with lawful_mesh(settings=msgspec.structs.replace(DEFAULTS, subscriptions=3)) as mesh:
        mesh.add(Keeper("keeper"))
        some = [mesh.subscribe(f"news.{number}", "keeper") for number in range(3)]
        mesh.subscribe("news.0", "keeper")
        with pytest.raises(ArgumentError, match="has 3 subscriptions"):
            mesh.subscribe("news.3", "keeper")
        some[0].cancel()

        mesh.subscribe("news.3", "keeper")


# -- the index ---------------------------------------------------------------------------------------------------------

Steps = list[tuple[bool, str, str]]
"""Whether it stays or is cancelled, a pattern, who subscribes."""

_words = st.sampled_from(["a", "b", "c"])
_topics = st.lists(_words, min_size=1, max_size=4).map(".".join)
_patterns = st.tuples(st.lists(st.one_of(_words, st.just("*")), min_size=1, max_size=4), st.booleans()).map(
    lambda it: ".".join([*it[0], "**"] if it[1] else it[0])
)
_steps = st.lists(st.tuples(st.booleans(), _patterns | st.just("**"), st.sampled_from(["x", "y", "z"])), max_size=30)


@given(_steps, st.lists(_topics, min_size=1, max_size=10))
def test_the_index_finds_whom_asking_everybody_would_find(
    steps: list[tuple[bool, str, str]], topics: list[str]
) -> None:
    _compare(steps, topics)


def _compare(steps: Steps, topics: list[str]) -> None:
    """Ask the index, and everybody, who is to receive something on each of *topics*."""
    subscriptions, there = Subscriptions(1_000), set[tuple[str, str]]()
    for is_new, pattern, address in steps:
        member = subscriptions.ask(address, address, interest_in(pattern, None, "wait"))
        there.add((pattern, address))
        if not is_new:
            subscriptions.cancel(member)
            there.remove((pattern, address))

    for topic in topics:
        expected = {address for pattern, address in there if TopicPattern(pattern).matches(topic)}
        assert set(subscriptions.receivers(topic).each) == expected
    assert subscriptions.are_none == (not there)


@given(_steps)
def test_of_subscriptions_that_are_over_nothing_is_left(steps: Steps) -> None:
    subscriptions = Subscriptions(1_000)
    for is_new, pattern, address in steps:
        subscriptions.ask(address, address, interest_in(pattern, "group" if is_new else None, "wait"))
    for address in "xyz":
        subscriptions.end(address)

    assert subscriptions.are_none


def test_looking_for_a_topic_does_not_ask_all_who_subscribe(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(TopicPattern, "matches", lambda self, topic: asked.append(topic))
    subscriptions = Subscriptions(100_000)
    for number in range(500):
        subscriptions.ask("x", "x", interest_in(f"topic.{number}", None, "wait"))
        subscriptions.ask("y", "y", interest_in(f"topic.{number}.*", None, "wait"))

    places = subscriptions.index.find("topic.7", words_of("topic.7"))

    assert [len(place.each) for place in places] == [1]
    assert asked == []


def test_an_index_that_forgets_wildcards_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = [(True, "a.*", "x"), (True, "a.b", "y")]
    _compare(steps, ["a.b"])
    monkeypatch.setattr(TopicIndex, "_walk", lambda self, words: iter(()))

    with pytest.raises(AssertionError):
        _compare(steps, ["a.b"])


# -- publishers and full mailboxes -------------------------------------------------------------------------------------


class Slow(Agent):
    """A subscriber with room for one."""

    mailbox_capacity: int | None = 1

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.gate = anyio.Event()
        self.heard: list[Any] = []

    async def on_message(self, message: Any) -> None:
        self.heard.append(message)
        await self.gate.wait()


class Lossy(Slow):
    """One that says itself that nobody is to wait for it."""

    @on(topic="news", when_full="refuse")
    async def news(self, message: Any) -> None:
        await self.on_message(message)


async def _fill(mesh: Mesh, slow: Slow) -> None:
    mesh.add(slow)
    await mesh.tell(slow.name, "first")
    await until(lambda: slow.heard)
    await mesh.tell(slow.name, "second")


@pytest.mark.parametrize(("publisher", "subscriber"), [("refuse", "wait"), ("wait", "refuse"), ("refuse", "refuse")])
async def test_a_full_subscriber_does_not_get_it_where_either_side_will_not_wait(
    mesh: Mesh, publisher: Any, subscriber: Any
) -> None:
    slow, keeper = Slow("slow"), Keeper("keeper")
    await _fill(mesh, slow)
    mesh.add(keeper)
    for address in ("slow", "keeper"):
        mesh.subscribe("news", address, when_full=subscriber)

    with anyio.fail_after(4):  # a tell would wait for five seconds
        assert await mesh.publish("news", "x", when_full=publisher) == 1

    assert mesh.statistics().dead_letters == {"full": 1}
    assert mesh.statistics().refused == 1
    assert [(letter.envelope.recipient, letter.envelope.topic) for letter in mesh.dead_letters()] == [("slow", "news")]
    slow.gate.set()


async def test_a_class_may_say_that_nobody_is_to_wait_for_it(mesh: Mesh) -> None:
    lossy = Lossy("lossy")
    await _fill(mesh, lossy)

    with anyio.fail_after(4):  # a tell would wait for five seconds
        assert await mesh.publish("news", "x") == 0
    lossy.gate.set()

    assert mesh.statistics().dead_letters == {"full": 1}


async def test_of_two_subscriptions_of_an_agent_the_patient_one_counts(mesh: Mesh) -> None:
    slow, received = Slow("slow"), list[int]()
    await _fill(mesh, slow)
    mesh.subscribe("news", "slow", when_full="refuse")
    mesh.subscribe("news.**", "slow")

    async def publish() -> None:
        received.append(await mesh.publish("news", "x"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(publish)
        await until(lambda: mesh.interior.router.cells["slow"].parked)
        slow.gate.set()

    assert received == [1]


async def test_a_broadcast_may_refuse_to_wait_too(mesh: Mesh) -> None:
    slow = Slow("slow")
    await _fill(mesh, slow)
    mesh.add(Keeper("keeper"))

    with anyio.fail_after(4):  # a tell would wait for five seconds
        assert await mesh.broadcast("x", when_full="refuse") == 1
    slow.gate.set()


async def test_a_publisher_that_leaves_leaves_nothing_waiting(mesh: Mesh) -> None:
    slow = Slow("slow")
    await _fill(mesh, slow)
    mesh.subscribe("news", "slow")
    with anyio.move_on_after(60) as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(mesh.publish, "news", "x")
            await until(lambda: mesh.interior.router.cells["slow"].parked)
            scope.cancel()

    slow.gate.set()
    await mesh.drain()

    assert slow.heard == ["first", "second"]
    assert mesh.statistics().timers == 0


async def test_a_publication_passes_no_deadline_on(mesh: Mesh) -> None:
    deadlines: list[float | None] = []

    class Hearer(Agent):
        @on(topic="news")
        async def news(self, message: str, context: Context) -> None:
            deadlines.append(context.deadline)

    class Crier(Agent):
        async def on_message(self, message: str, context: Context) -> int:
            deadlines.append(context.deadline)
            return await context.publish("news", message)

    mesh.add(Hearer("hearer"))
    await mesh.add(Crier("crier")).ask("x", timeout=20)
    await mesh.drain()

    assert deadlines[0] is not None
    assert deadlines[1:] == [None]


async def test_an_interceptor_may_cancel_subscriptions_while_something_is_published(anyio_backend: Any) -> None:
    made: list[Subscription] = []

    def cancel_all(envelope: Any, call_next: Any) -> None:
        for subscription in made:
            subscription.cancel()
        call_next(envelope)

    async with lawful_mesh(interceptors=[cancel_all]) as mesh:
        for name in ("a", "b", "c"):
            mesh.add(Keeper(name))
            made.append(mesh.subscribe("news", name))
            made.append(mesh.subscribe("news", name, group="g"))

        assert await mesh.publish("news", 1) == 3
        assert await mesh.publish("news", 2) == 0
