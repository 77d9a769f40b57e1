"""Many receivers by subject: patterns, counts, and what happens to a subscriber that has no room."""

from typing import Any

import anyio
import msgspec
import pytest

from ceylon import Agent, Context, Mesh, on
from ceylon.core.topics import TopicPattern
from ceylon.errors import ArgumentError
from ceylon.settings import DEFAULTS
from support.core_agents import Echo, Held, until
from support.law import lawful_mesh


class Listener(Agent):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.heard: list[Any] = []

    @on(topic="sales.*")
    async def sale(self, message: str) -> None:
        self.heard.append(message)


# -- patterns ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "topic", "expected"),
    [
        ("sales", "sales", True),
        ("sales", "sale", False),
        ("sales", "sales.tea", False),
        ("sales.tea", "sales.tea", True),
        ("sales.tea", "sales", False),
        ("sales.*", "sales.tea", True),
        ("sales.*", "sales", False),
        ("sales.*", "sales.tea.green", False),
        ("*.tea", "sales.tea", True),
        ("*.tea", "sales.coffee", False),
        ("*", "sales", True),
        ("*", "sales.tea", False),
        ("*.*", "sales.tea", True),
        ("sales.*.green", "sales.tea.green", True),
        ("sales.*.green", "sales.tea.black", False),
        ("sales.**", "sales.tea", True),
        ("sales.**", "sales.tea.green", True),
        ("sales.**", "sales", True),
        ("sales.**", "buys.tea", False),
        ("**", "sales", True),
        ("**", "sales.tea.green", True),
        ("*.tea.**", "sales.tea.green.sencha", True),
        ("Sales", "sales", False),
    ],
)
def test_a_pattern_matches_the_topics_it_says(pattern: str, topic: str, *, expected: bool) -> None:
    assert TopicPattern(pattern).matches(topic) is expected


@pytest.mark.parametrize("pattern", ["", ".", "sales.", ".tea", "sales..tea", "**.tea", "sales.**.tea"])
def test_a_pattern_that_could_never_match_is_refused(pattern: str) -> None:
    with pytest.raises(ArgumentError, match="is no topic pattern"):
        TopicPattern(pattern)


async def test_a_topic_and_a_message_that_are_swapped_are_told_apart(mesh: Mesh) -> None:
    class Deaf(Agent):
        async def on_message(self, message: Any) -> None:
            """Hear nothing."""

    ref = mesh.add(Deaf("deaf"))
    for swapped in (5, b"a.b", ref):
        with pytest.raises(ArgumentError, match="is no topic"):
            await mesh.publish(swapped, "a.b")  # type: ignore[arg-type]
        with pytest.raises(ArgumentError, match="is no topic pattern"):
            mesh.subscribe(swapped, "a.b")  # type: ignore[arg-type]


def test_a_wrong_pattern_of_a_handler_is_found_when_the_class_is_made() -> None:
    with pytest.raises(ArgumentError, match="is no topic pattern"):

        class Wrong(Agent):
            @on(topic="sales..tea")
            async def sale(self, message: str) -> None: ...


def test_a_pattern_says_what_it_is() -> None:
    assert repr(TopicPattern("sales.*")) == "<TopicPattern 'sales.*'>"


# -- publishing --------------------------------------------------------------------------------------------------------


async def test_a_publication_says_how_many_received_it(mesh: Mesh) -> None:
    listeners = [Listener(name) for name in ("a", "b", "c")]
    for listener in listeners:
        mesh.add(listener)
    mesh.add(Echo("echo"))

    assert await mesh.publish("sales.tea", "cheap") == 3
    await mesh.drain()

    assert [listener.heard for listener in listeners] == [["cheap"]] * 3
    assert mesh.statistics().agents["echo"].accepted == 0


async def test_a_publication_without_subscribers_is_counted_and_no_error(mesh: Mesh) -> None:
    mesh.add(Listener("a"))

    assert await mesh.publish("buys.tea", "cheap") == 0
    assert await mesh.publish("sales", "cheap") == 0

    assert mesh.statistics().unheard == 2
    assert mesh.dead_letters() == []


async def test_an_agent_with_several_matching_handlers_receives_a_publication_once(mesh: Mesh) -> None:
    class Keen(Listener):
        @on(topic="sales.**")
        async def anything(self, message: object) -> None:
            self.heard.append(("anything", message))

    keen = Keen("keen")
    mesh.add(keen)

    assert await mesh.publish("sales.tea", "cheap") == 1
    assert await mesh.publish("sales.tea", 5) == 1
    await mesh.drain()

    assert keen.heard == ["cheap", ("anything", 5)]


async def test_handlers_of_a_topic_are_chosen_by_the_type_of_the_message_too(mesh: Mesh) -> None:
    class Careful(Agent):
        def __init__(self, name: str) -> None:
            super().__init__(name)
            self.heard: list[Any] = []

        @on(topic="sales.*")
        async def text(self, message: str) -> None:
            self.heard.append(("text", message))

        @on(topic="sales.*")
        async def number(self, message: float) -> None:
            self.heard.append(("number", message))

        @on
        async def told(self, message: str) -> None:
            self.heard.append(("told", message))

    careful = Careful("careful")
    ref = mesh.add(careful)

    await mesh.publish("sales.tea", "cheap")
    await mesh.publish("sales.tea", 2.5)
    await ref.tell("cheap")
    await mesh.drain()

    assert careful.heard == [("text", "cheap"), ("number", 2.5), ("told", "cheap")]


async def test_a_publication_that_no_handler_takes_is_a_dead_letter_of_the_subscriber(mesh: Mesh) -> None:
    mesh.add(Listener("a"))

    assert await mesh.publish("sales.tea", 5) == 1
    await mesh.drain()

    letter = mesh.dead_letters()[0]
    assert (letter.reason, letter.envelope.recipient, letter.envelope.topic) == ("unhandled", "a", "sales.tea")


async def test_a_handler_for_a_topic_takes_no_message_that_is_told(mesh: Mesh) -> None:
    listener = Listener("a")
    ref = mesh.add(listener)

    await ref.tell("cheap")
    await mesh.drain()

    assert listener.heard == []
    assert mesh.statistics().agents["a"].dead_lettered == 1


async def test_an_agent_that_has_stopped_receives_nothing(mesh: Mesh) -> None:
    listeners = [Listener("a"), Listener("b")]
    for listener in listeners:
        mesh.add(listener)
    await mesh.stop("a")

    assert await mesh.publish("sales.tea", "cheap") == 1


async def test_an_agent_may_publish_to_itself_and_others(mesh: Mesh) -> None:
    class Crier(Listener):
        @on
        async def cry(self, message: int, context: Context) -> int:
            return await context.publish("sales.tea", str(message))

    crier, listener = Crier("crier"), Listener("a")
    mesh.add(listener)

    assert await mesh.add(crier).ask(5) == 2
    await mesh.drain()

    assert crier.heard == listener.heard == ["5"]


async def test_one_publications_order_is_that_of_its_sender(mesh: Mesh) -> None:
    listener = Listener("a")
    mesh.add(listener)

    for number in range(200):
        await mesh.publish("sales.tea", str(number))
    await mesh.drain()

    assert listener.heard == [str(number) for number in range(200)]


# -- full subscribers --------------------------------------------------------------------------------------------------


class Slow(Agent):
    """A subscriber with room for one."""

    mailbox_capacity: int | None = 1

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.gate = anyio.Event()
        self.heard: list[Any] = []

    @on(topic="sales.*")
    async def sale(self, message: str) -> None:
        self.heard.append(message)
        await self.gate.wait()


async def test_a_full_subscriber_waits_beside_the_others(mesh: Mesh) -> None:
    slow, listener = Slow("slow"), Listener("a")
    mesh.add(slow)
    mesh.add(listener)
    received: list[int] = []

    async def publish(message: str) -> None:
        received.append(await mesh.publish("sales.tea", message))

    async with anyio.create_task_group() as tasks:
        await publish("1")
        await until(lambda: slow.heard)
        await publish("2")
        tasks.start_soon(publish, "3")
        await until(lambda: listener.heard == ["1", "2", "3"])
        assert received == [2, 2]
        slow.gate.set()
    await mesh.drain()

    assert received == [2, 2, 2]
    assert slow.heard == ["1", "2", "3"]


async def test_a_subscriber_that_stays_full_is_not_among_those_that_received_it(anyio_backend: str) -> None:
    async with lawful_mesh(settings=msgspec.structs.replace(DEFAULTS, tell_timeout=0.05)) as mesh:
        slow, listener = Slow("slow"), Listener("a")
        mesh.add(slow)
        mesh.add(listener)
        await mesh.publish("sales.tea", "1")
        await until(lambda: slow.heard)
        await mesh.publish("sales.tea", "2")

        assert await mesh.publish("sales.tea", "3") == 1

        assert mesh.statistics().dead_letters == {"full": 1}
        slow.gate.set()


# -- broadcast ---------------------------------------------------------------------------------------------------------


async def test_a_broadcast_goes_to_every_agent(mesh: Mesh) -> None:
    agents = [Held(f"held-{number}") for number in range(5)]
    for agent in agents:
        agent.gate.set()
        mesh.add(agent)

    assert await mesh.broadcast("tea") == 5
    await mesh.drain()

    assert [agent.ended for agent in agents] == [["tea"]] * 5


async def test_a_broadcast_leaves_out_names_and_refs(mesh: Mesh) -> None:
    refs = [mesh.add(Echo(name)) for name in ("a", "b", "c", "d")]

    assert await mesh.broadcast("tea", exclude=[refs[0], "b"]) == 2
    assert await mesh.broadcast("tea", exclude=iter(refs)) == 0
    await mesh.drain()

    accepted = {name: agent.accepted for name, agent in mesh.statistics().agents.items()}
    assert accepted == {"a": 0, "b": 0, "c": 1, "d": 1}


async def test_a_broadcast_of_an_agent_goes_to_itself_too_unless_left_out(mesh: Mesh) -> None:
    class Crier(Agent):
        @on
        async def cry(self, message: str, context: Context) -> tuple[int, int]:
            return await context.broadcast(5), await context.broadcast(5, exclude=[context.address])

        @on
        async def hear(self, message: int) -> None: ...

    mesh.add(Echo("echo"))

    assert await mesh.add(Crier("crier")).ask("hello") == (2, 1)


async def test_a_broadcast_in_an_empty_mesh_reaches_nobody(mesh: Mesh) -> None:
    assert await mesh.broadcast("tea") == 0
