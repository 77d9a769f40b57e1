"""One agent for each key: it comes with its first message, leaves when nobody speaks to it, and loses nothing."""

import asyncio
import gc
import math
import sys
import weakref
from collections.abc import Iterator
from typing import Any

import anyio
import pytest

from ceylon import (
    Agent,
    AgentStartError,
    ArgumentError,
    BlockingMesh,
    Context,
    DefinitionError,
    DuplicateNameError,
    Family,
    InvalidNameError,
    LlmAgent,
    Mesh,
    Terminated,
    UnknownAgentError,
    action,
    on,
)
from support.core_agents import SECONDS, until
from support.law import lawful_mesh

IDLE = 0.02
FOR_EVER = math.inf


class Shop(Agent):
    """Says who it is, and keeps what its instances did."""

    lived: list[tuple[str, str]]

    def __init__(self, name: str, lived: list[tuple[str, str]] | None = None) -> None:
        super().__init__(name)
        self.lived = [] if lived is None else lived
        self.heard: list[Any] = []

    async def on_start(self) -> None:
        self.lived.append(("start", self.key))

    async def on_stop(self) -> None:
        self.lived.append(("stop", self.key))

    async def on_message(self, message: Any, context: Context) -> Any:
        self.heard.append(message)
        return [self.name, self.key, context.address, context.recipient, list(self.heard)]

    @action
    def whose(self) -> str:
        """Whose shop it is."""
        return self.key


class TeaShop(Agent):
    async def on_message(self, message: str, context: Context) -> Any:
        return await context.ref(Shop, key=message).ask("a question")


# -- coming ------------------------------------------------------------------------------------------------------------


async def test_an_agent_exists_from_its_first_message_on(mesh: Mesh) -> None:
    lived: list[tuple[str, str]] = []
    family = mesh.register(lambda key: Shop(key, lived), "shop", idle=FOR_EVER)
    assert mesh.agents == []

    said = await mesh.ask("shop/lisbon", "hello")

    assert said == ["shop", "lisbon", "shop/lisbon", "shop/lisbon", ["hello"]]
    assert mesh.agents == ["shop/lisbon"]
    assert family.active == ["lisbon"]
    assert lived == [("start", "lisbon")]


async def test_every_verb_and_every_kind_of_address_reach_it(mesh: Mesh) -> None:
    family = mesh.register(Shop)
    mesh.add(TeaShop("tea"))

    await mesh.tell("shop/porto", 1)
    await mesh.ref("shop/porto").tell(2)
    mesh.ref(Shop, key="porto").tell_nowait(3)
    await family.ref("porto").ask(4)
    await mesh.ref("shop", key="porto").using(timeout=SECONDS).ask(5)
    assert await mesh.call("shop/porto", "whose") == "porto"
    assert await mesh.ask("tea", "porto") == [
        "shop",
        "porto",
        "shop/porto",
        "shop/porto",
        [1, 2, 3, 4, 5, "a question"],
    ]


async def test_each_key_has_an_agent_of_its_own(mesh: Mesh) -> None:
    mesh.register(Shop)

    for key in ("a", "b", "a"):
        await mesh.tell(f"shop/{key}", key)

    assert (await mesh.ask("shop/a", "?"))[-1] == ["a", "a", "?"]
    assert (await mesh.ask("shop/b", "?"))[-1] == ["b", "?"]


@pytest.mark.parametrize("key", ["São Paulo", "a/b", " ", "x" * 256, "\x00", "$", "茶"])
async def test_a_key_is_any_text(mesh: Mesh, key: str) -> None:
    family = mesh.register(lambda key: Shop(key, None), "shop")

    assert (await family.ref(key).ask("hello"))[:3] == ["shop", key, f"shop/{key}"]


@pytest.mark.parametrize("key", ["", "x" * 257])
async def test_a_key_that_is_none_is_refused(mesh: Mesh, key: str) -> None:
    family = mesh.register(Shop)

    with pytest.raises(InvalidNameError):
        family.ref(key)
    with pytest.raises(InvalidNameError):
        await mesh.tell(f"shop/{key}", "hello")
    with pytest.raises(InvalidNameError):
        mesh.ref(Shop, key=5)  # type: ignore[arg-type]
    assert mesh.agents == []


async def test_an_unknown_family_is_an_unknown_agent_and_the_known_are_named(mesh: Mesh) -> None:
    mesh.register(Shop)

    with pytest.raises(UnknownAgentError, match="did you mean 'shop/…'"):
        await mesh.tell("shopp/x", "hello")
    with pytest.raises(UnknownAgentError, match="shop/…"):
        await mesh.tell("shop", "nobody's")
    with pytest.raises(UnknownAgentError, match=r"mesh\.register\(TeaShop\).*shop/…"):
        mesh.ref(TeaShop, key="x")
    with pytest.raises(ArgumentError, match="say whose"):
        mesh.ref(Shop)
    assert mesh.statistics().refused == 2


async def test_a_family_is_called_like_its_class_and_a_name_stands_for_one_thing(mesh: Mesh) -> None:
    assert mesh.register(TeaShop).name == "tea_shop"
    mesh.register(Shop)
    mesh.register(Shop, "second")
    mesh.add(Shop("first"))

    with pytest.raises(DuplicateNameError):
        mesh.register(Shop)
    with pytest.raises(DuplicateNameError):
        mesh.register(Shop, "first")
    with pytest.raises(DuplicateNameError):
        mesh.add(Shop("shop"))
    with pytest.raises(ArgumentError, match="'shop' and as 'second'"):
        mesh.ref(Shop, key="x")


class Needy(Agent):
    def __init__(self, name: str, database: str) -> None:
        super().__init__(name)
        self.database = database


class Nameless(Agent):
    def __init__(self) -> None:
        super().__init__("nameless")


@pytest.mark.parametrize(
    ("makes", "words"),
    [
        (Needy, r"a required argument: 'database'.*lambda key: Needy"),
        (Nameless, r"too many.*lambda key: Nameless"),
        (Shop("shop"), "give it the class, Shop"),
        (str, "no class of agents"),
        (5, "not 5"),
        (lambda key: Shop(key, None), "says no name"),
    ],
)
async def test_what_makes_no_agents_is_refused_at_once(mesh: Mesh, makes: Any, words: str) -> None:
    with pytest.raises(DefinitionError, match=words):
        mesh.register(makes)


async def test_numbers_out_of_their_range_are_refused(mesh: Mesh) -> None:
    numbers = (("idle", 0), ("idle", -1.0), ("idle", "1"), ("limit", 0), ("limit", True), ("idle", math.nan))
    for name, number in numbers:
        options: dict[str, Any] = {name: number}
        with pytest.raises(ArgumentError):
            mesh.register(Shop, **options)
    with pytest.raises(DefinitionError, match="one argument"):
        mesh.register(lambda: Shop("x"), "shop")  # type: ignore[arg-type, misc]


async def test_a_function_that_makes_agents_is_no_coroutine(mesh: Mesh) -> None:
    async def make(key: str) -> Any:
        return Shop(key)

    mesh.register(make, "shop")  # type: ignore[arg-type]

    with pytest.raises(AgentStartError, match="is no agent"):
        await mesh.ask("shop/x", "hello")


async def test_an_agent_that_cannot_be_made_is_told_to_the_sender(mesh: Mesh) -> None:
    def make(key: str) -> Any:
        if key == "no agent":
            return key
        if key == "model":
            return LlmAgent("model", "ollama::none")
        raise KeyError(key)

    mesh.register(make, "shop")

    for key, words in (("bad", "KeyError"), ("no agent", "no agent"), ("model", "mesh.add")):
        with pytest.raises(AgentStartError, match=words):
            await mesh.ask(f"shop/{key}", "hello")
        with pytest.raises(AgentStartError, match=words):
            await mesh.tell(f"shop/{key}", "hello")
    assert mesh.agents == []
    assert mesh.statistics().dead_letters == {"unrouted": 6}


# -- leaving -----------------------------------------------------------------------------------------------------------


async def test_an_idle_agent_leaves_and_comes_again(mesh: Mesh) -> None:
    lived: list[tuple[str, str]] = []
    mesh.register(lambda key: Shop(key, lived), "shop", idle=IDLE)
    await mesh.ask("shop/lisbon", 1)

    await until(lambda: not mesh.agents)
    assert (await mesh.ask("shop/lisbon", 2))[-1] == [2]

    assert lived[:3] == [("start", "lisbon"), ("stop", "lisbon"), ("start", "lisbon")]
    assert mesh.statistics().stopped_agents.completed >= 1


class Slow(Agent):
    """Leaves slowly: a gate holds its `on_stop`."""

    leaving = anyio.Event  # replaced
    gate = anyio.Event

    def __init__(self, name: str, events: dict[str, anyio.Event]) -> None:
        super().__init__(name)
        self.events = events
        self.heard: list[Any] = []

    async def on_stop(self) -> None:
        self.events["leaving"].set()
        await self.events["gate"].wait()

    async def on_message(self, message: Any) -> Any:
        self.heard.append(message)
        return list(self.heard)


async def test_what_comes_while_one_leaves_waits_for_the_next_one_in_order(mesh: Mesh) -> None:
    events = {"leaving": anyio.Event(), "gate": anyio.Event()}
    mesh.register(lambda key: Slow(key, events), "slow", idle=IDLE)
    await mesh.tell("slow/x", "before")
    await events["leaving"].wait()
    assert mesh.statistics().agents["slow/x"].state == "leaving"

    for number in range(5):
        await mesh.tell("slow/x", number)
    answers: list[Any] = []
    async with anyio.create_task_group() as tasks:

        async def ask() -> None:
            answers.append(await mesh.ask("slow/x", "?"))

        tasks.start_soon(ask)
        await until(lambda: len(mesh.ledger().open) == 6)
        assert answers == []
        events["gate"].set()

    assert answers == [[0, 1, 2, 3, 4, "?"]]


async def test_messages_keep_an_agent_in_memory(mesh: Mesh) -> None:
    lived: list[tuple[str, str]] = []
    mesh.register(lambda key: Shop(key, lived), "shop", idle=SECONDS)
    for number in range(100):
        await mesh.ask("shop/x", number)

    assert lived == [("start", "x")]


class Busy(Agent):
    """Has something under way besides messages."""

    def __init__(self, name: str, gate: anyio.Event) -> None:
        super().__init__(name)
        self.gate = gate

    async def on_message(self, message: str, context: Context) -> None:
        if message == "background":
            context.start_soon(self.gate.wait)
        elif message == "later":
            context.after(3600.0, "now")
        elif message == "child":
            context.spawn(Shop(f"child-{self.key}"))
        elif message == "handler":
            await self.gate.wait()


@pytest.mark.parametrize("doing", ["background", "later", "child", "handler"])
async def test_who_has_something_under_way_does_not_leave(mesh: Mesh, doing: str) -> None:
    gate = anyio.Event()
    mesh.register(lambda key: Busy(key, gate), "busy", idle=IDLE)
    await mesh.tell("busy/x", doing)
    await mesh.tell("busy/idle", "nothing")

    await until(lambda: "busy/idle" not in mesh.agents)
    await mesh.tell("busy/idle", "nothing")
    await until(lambda: "busy/idle" not in mesh.agents)

    assert "busy/x" in mesh.agents
    gate.set()
    if doing in {"background", "handler"}:
        await until(lambda: "busy/x" not in mesh.agents)


class Watcher(Agent):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.ends: list[Terminated] = []

    @on
    async def mourn(self, end: Terminated) -> None:
        self.ends.append(end)

    async def on_message(self, address: str, context: Context) -> None:
        context.watch(address)


async def test_who_watches_an_agent_hears_that_it_has_left(mesh: Mesh) -> None:
    mesh.register(Shop, idle=SECONDS)
    watcher = Watcher("watcher")
    await mesh.ask("shop/x", "hello")
    await mesh.add(watcher).ask("shop/x")

    await mesh.stop("shop/x")

    await until(lambda: watcher.ends)
    assert [(end.address, end.reason) for end in watcher.ends] == [("shop/x", "stopped")]


async def test_nothing_is_left_of_agents_that_have_left(mesh: Mesh) -> None:
    instances: weakref.WeakSet[Shop] = weakref.WeakSet()

    def make(key: str) -> Shop:
        instances.add(made := Shop(key))
        return made

    family = mesh.register(make, "shop", idle=IDLE, limit=20)
    for number in range(100):
        await family.ref(f"{number}").ask(number)

    await until(lambda: not mesh.agents)
    await until(lambda: gc.collect() >= 0 and not instances)

    assert mesh.interior.registered["shop"].cells() == []
    assert mesh.interior.registered["shop"].timers == 0
    assert mesh.statistics().stopped_agents.completed == 100


# -- stopping ----------------------------------------------------------------------------------------------------------


async def test_stopping_one_lets_it_leave_and_the_next_message_brings_it_back(mesh: Mesh) -> None:
    lived: list[tuple[str, str]] = []
    mesh.register(lambda key: Shop(key, lived), "shop")
    await mesh.ask("shop/x", 1)

    await mesh.stop("shop/x")
    await mesh.stop("shop/x")  # it is not there: that is all that was wanted

    assert mesh.agents == []
    assert (await mesh.ask("shop/x", 2))[-1] == [2]
    assert lived == [("start", "x"), ("stop", "x"), ("start", "x")]


async def test_what_waits_for_one_that_is_stopped_is_handled_by_the_next(mesh: Mesh) -> None:
    gate = anyio.Event()
    lived: list[Any] = []

    class Held(Agent):
        async def on_start(self) -> None:
            lived.append("start")

        async def on_message(self, message: Any) -> Any:
            lived.append(message)
            await gate.wait()

    mesh.register(Held)
    for number in range(3):
        await mesh.tell("held/x", number)
    await until(lambda: 0 in lived)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(mesh.stop, "held/x")
        await until(lambda: mesh.statistics().agents["held/x"].state == "leaving")
        gate.set()
    await mesh.drain()

    assert lived == ["start", 0, "start", 1, 2]


async def test_stopping_a_family_ends_all_and_its_name_is_unknown(mesh: Mesh) -> None:
    lived: list[tuple[str, str]] = []
    mesh.register(lambda key: Shop(key, lived), "shop")
    for key in "abc":
        await mesh.ask(f"shop/{key}", key)

    await mesh.stop("shop")

    assert mesh.agents == []
    assert [key for what, key in lived if what == "stop"] == ["c", "b", "a"]
    with pytest.raises(UnknownAgentError):
        await mesh.ask("shop/a", 1)
    with pytest.raises(UnknownAgentError):
        await mesh.stop("shop")
    mesh.register(Shop)
    assert (await mesh.ask("shop/a", 1))[-1] == [1]


async def test_an_agent_may_stop_itself_and_its_family(mesh: Mesh) -> None:
    class Ending(Agent):
        async def on_message(self, message: str) -> str:
            await mesh.stop(message)
            return "done"

    mesh.register(Ending)

    assert await mesh.ask("ending/x", "ending/x") == "done"
    assert await mesh.ask("ending/x", "ending") == "done"
    await until(lambda: not mesh.agents)


async def test_a_family_can_be_registered_before_the_mesh_is_open(anyio_backend: Any) -> None:
    mesh = Mesh("early")
    family = mesh.register(Shop)
    async with mesh:
        assert (await family.ref("x").ask(1))[:2] == ["shop", "x"]


def test_families_are_for_threads_too() -> None:
    with BlockingMesh("threads") as mesh:
        family = mesh.register(Shop, idle=IDLE)
        assert family.ref("x").ask(1)[-1] == [1]
        assert mesh.ref(Shop, key="x").ask(2)[1] == "x"
        assert family == Family(mesh.interior, "shop")
        mesh.stop("shop/x")
        assert family.ref("x").ask(3)[-1] == [3]
        mesh.stop("shop")
        with pytest.raises(UnknownAgentError):
            mesh.tell("shop/x", 1)


class ThreadShop(Agent):
    """Works in a thread, and asks others of its family there."""

    def on_message(self, message: list[str], context: Any) -> Any:
        return [self.key, *(context.ref(ThreadShop, key=message[0]).ask(message[1:]) if message else [])]


async def test_agents_in_threads_come_and_go_like_others(mesh: Mesh) -> None:
    mesh.register(ThreadShop, idle=IDLE)

    assert await mesh.ask("thread_shop/a", ["b", "c"]) == ["a", "b", "c"]
    await until(lambda: not mesh.agents)
    assert await mesh.ask("thread_shop/a", ["b"]) == ["a", "b"]


async def test_where_a_mail_is_shows_in_the_ledger_and_in_why(anyio_backend: Any) -> None:
    events = {"leaving": anyio.Event(), "gate": anyio.Event()}
    async with lawful_mesh() as mesh:
        mesh.register(lambda key: Slow(key, events), "slow", idle=IDLE)
        await mesh.tell("slow/x", "before")
        await events["leaving"].wait()
        await mesh.tell("slow/x", "after")

        [message] = mesh.ledger().open
        assert (message.recipient, message.place) == ("slow/x", "in the mailbox")
        why = mesh.why(message.message_id)
        assert "agent leaving" in str(why)
        assert why.blocked_by == ("slow/x",)
        events["gate"].set()


class Starter(Agent):
    """Brings so many of a family into memory."""

    async def on_message(self, count: int, context: Context) -> None:
        for number in range(count):
            await context.tell(f"shop/{number}", "come")


@pytest.fixture
def impatient_threads() -> Iterator[None]:
    """Let threads take turns as often as Python can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_any_thread_may_look_while_agents_come(impatient_threads: None) -> None:
    with BlockingMesh("market") as mesh:
        family = mesh.register(Shop, "shop")
        request = mesh.add(Starter("starter")).submit(200)
        while not request.is_done:
            assert mesh.agents[0] == "starter"
            assert mesh.ref(Shop, key="x") == family.ref("x")
            assert family.active is not None

        assert len(mesh.agents) == 201


@pytest.mark.parametrize("kind", [SystemExit, GeneratorExit, asyncio.CancelledError, MemoryError])
async def test_whatever_a_constructor_raises_is_told_to_who_sends_and_disturbs_nobody(
    mesh: Mesh, kind: type[BaseException]
) -> None:
    def fail(key: str) -> Agent:
        raise kind(key)

    family = mesh.register(fail, "family")
    for send in (family.ref("x").tell, family.ref("x").ask, family.ref("x").submit):
        with pytest.raises(AgentStartError, match=kind.__name__):
            await send("hello")

    assert mesh.statistics().dead_letters == {"unrouted": 3}
    assert (await mesh.add(Shop("shop")).ask("who"))[0] == "shop"
