"""What the parts of composition owe each other: groups of agents, topics, requests, ticks, interceptors, pipelines."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
import msgspec
import pytest

from ceylon import (
    Agent,
    AgentStartError,
    ApprovalRequest,
    Approved,
    ArgumentError,
    CeylonError,
    Context,
    DeadlockError,
    FamilyFullError,
    LlmAgent,
    MailboxFullError,
    Mesh,
    RejectedError,
    StageTypeError,
    Terminated,
    UnknownAgentError,
    action,
    every,
    on,
)
from ceylon.messages import Envelope
from ceylon.models.turns import ToolCall
from ceylon.pipelines import call, pipeline
from ceylon.settings import DEFAULTS
from ceylon.testing import ScriptedModel
from support.core_agents import Held, Keeper, until
from support.law import lawful_mesh
from support.leaps import leap, on_leaping_loops


class Seen:
    """An interceptor of each kind that keeps what it sees."""

    def __init__(self) -> None:
        self.delivered: list[tuple[str, str, Any]] = []
        self.handled: list[tuple[str, Any]] = []

    def at_delivery(self, envelope: Envelope, call_next: Any) -> None:
        self.delivered.append((envelope.kind, envelope.recipient, envelope.message))
        call_next(envelope)

    async def at_handling(self, envelope: Envelope, call_next: Any) -> Any:
        self.handled.append((envelope.recipient, envelope.message))
        return await call_next(envelope)


class Names(Agent):
    """Answers with its address."""

    async def on_message(self, message: Any, context: Context) -> str:
        return context.address


class Letters(Agent):
    """Gives a text letter by letter."""

    @on
    async def spell(self, text: str) -> AsyncIterator[str]:
        for letter in text:
            yield letter


class Subscriber(Agent):
    """Subscribes as it starts; tells what it hears to *heard*."""

    def __init__(self, name: str, heard: list[tuple[str, Any]]) -> None:
        super().__init__(name)
        self.heard = heard

    async def on_start(self, context: Context) -> None:
        context.subscribe("news.*")

    async def on_message(self, message: Any, context: Context) -> None:
        self.heard.append((context.address, message))


class Crowder(Agent):
    """Submits more than there is room for; says how that ended, and when."""

    mailbox_capacity = 1

    @on
    async def crowd(self, recipient: str, context: Context) -> tuple[type[BaseException], float]:
        began = context.now
        try:
            for number in range(3):
                _ = await context.submit(recipient, number)
        except CeylonError as error:
            return type(error), context.now - began
        return AssertionError, 0.0

    @on
    async def number(self, number: int) -> int:
        return number


# -- interceptors ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["plain", "pool", "family/key", "line"])
async def test_an_interceptor_sees_once_what_is_submitted(anyio_backend: Any, address: str) -> None:
    seen = Seen()
    async with lawful_mesh(interceptors=[seen.at_delivery, seen.at_handling]) as mesh:
        mesh.add(Names("plain"))
        mesh.pool(Names, "pool", size=2)
        mesh.register(Names, "family")
        mesh.add(pipeline(mesh.ref("pool")).named("line"))

        await (await mesh.submit(address, "hello"))

        assert seen.delivered[0] == ("ask", address, "hello")
        assert len(seen.delivered) == len(seen.handled) == (2 if address == "line" else 1)


async def test_what_an_interceptor_keeps_out_cannot_be_submitted(anyio_backend: Any) -> None:
    def nothing(envelope: Envelope, call_next: Any) -> None:
        raise PermissionError

    async with lawful_mesh(interceptors=[nothing]) as mesh:
        mesh.add(Names("plain"))

        with pytest.raises(RejectedError):
            _ = await mesh.submit("plain", "hello")

        assert not mesh.pending()
        assert [letter.reason for letter in mesh.dead_letters()] == ["rejected"]


async def test_what_waits_for_one_of_a_group_passes_the_interceptors_too(anyio_backend: Any) -> None:
    def no_secrets(envelope: Envelope, call_next: Any) -> None:
        if envelope.message == "secret" and envelope.recipient != "second":
            raise PermissionError
        call_next(envelope)

    async with lawful_mesh(interceptors=[no_secrets]) as mesh:
        held = [_crowded("first"), _crowded("second")]
        for agent in held:
            mesh.subscribe("jobs", mesh.add(agent), group="hands")
            await mesh.tell(agent.name, "under way")
            await until(lambda agent=agent: agent.begun)  # type: ignore[misc]
            await mesh.tell(agent.name, "waits")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(mesh.publish, "jobs", "secret")
            await until(lambda: [wait for wait in mesh.waits() if wait.kind == "room"])
            for agent in held:
                agent.gate.set()
        await mesh.drain()

        assert [agent.name for agent in held if "secret" in agent.ended] == ["second"]


async def test_an_interceptor_may_send_elsewhere_what_finds_a_group_full(anyio_backend: Any) -> None:
    def elsewhere(envelope: Envelope, call_next: Any) -> None:
        is_job = envelope.message == "job"
        call_next(msgspec.structs.replace(envelope, recipient="spare") if is_job else envelope)

    async with lawful_mesh(interceptors=[elsewhere]) as mesh:
        held, spare = _crowded("first"), Keeper("spare")
        mesh.add(spare)
        mesh.subscribe("jobs", mesh.add(held), group="hands")
        await mesh.tell("first", "under way")
        await until(lambda: held.begun)
        await mesh.tell("first", "waits")

        assert await mesh.publish("jobs", "job") == 1
        held.gate.set()
        await mesh.drain()

        assert spare.kept == ["job"]


def _crowded(name: str) -> Held:
    agent = Held(name)
    agent.mailbox_capacity = 1
    return agent


async def test_a_pipeline_shows_the_parts_of_agents_behind_interceptors_and_of_those_of_which_there_are_many(
    anyio_backend: Any,
) -> None:
    seen = Seen()
    async with lawful_mesh(interceptors=[seen.at_handling]) as mesh:
        mesh.add(Letters("plain"))
        mesh.pool(Letters, "pool", size=2)
        mesh.register(Letters, "family")

        for address in ("plain", "pool", "family/new"):
            events = [event async for event in pipeline(mesh.ref(address)).stream("ab")]
            assert [event.value for event in events if event.what == "part"] == ["a", "b"], address


# -- room --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sender", "recipient", "error"),
    [("plain", "plain", MailboxFullError), ("pool", "pool", MailboxFullError), ("family/a", "family/b", DeadlockError)],
)
async def test_nobody_waits_for_room_that_only_he_can_make(
    mesh: Mesh, sender: str, recipient: str, error: type[BaseException]
) -> None:
    mesh.add(Crowder("plain"))
    mesh.pool(Crowder, "pool", size=1)
    mesh.register(Crowder, "family", limit=1)

    found, seconds = await mesh.ask(sender, recipient)

    assert found is error
    assert seconds < mesh.interior.settings.tell_timeout / 2
    await mesh.collect()


async def test_who_submits_to_a_full_family_hears_that_it_is_the_family(anyio_backend: Any) -> None:
    async with lawful_mesh(settings=msgspec.structs.replace(DEFAULTS, tell_timeout=0.05)) as mesh:
        held = Held("family")
        mesh.register(lambda _: held, "family", limit=1)
        await mesh.tell("family/a", "under way")
        await until(lambda: held.begun)

        with pytest.raises(FamilyFullError):
            _ = await mesh.submit("family/b", "hello")

        held.gate.set()


# -- topics ------------------------------------------------------------------------------------------------------------


async def test_a_keyed_agent_that_has_left_memory_hears_what_it_subscribes_to(mesh: Mesh) -> None:
    heard: list[tuple[str, Any]] = []
    family = mesh.register(lambda _: Subscriber("family", heard), "family")
    await family.ref("a").tell("begin")
    await mesh.drain()
    await mesh.stop("family/a")

    assert not family.active
    assert await mesh.publish("news.today", "rain") == 1
    await mesh.drain()

    assert heard == [("family/a", "begin"), ("family/a", "rain")]


async def test_a_keyed_agent_subscribes_before_anybody_has_spoken_to_it_and_until_its_family_ends(mesh: Mesh) -> None:
    heard: list[tuple[str, Any]] = []
    mesh.register(lambda _: Subscriber("family", heard), "family")
    subscription = mesh.subscribe("jobs", "family/a", group="hands")

    assert await mesh.publish("jobs", "dig") == 1
    await mesh.drain()
    await mesh.stop("family")

    assert heard == [("family/a", "dig")]
    assert not subscription.is_active
    assert await mesh.publish("jobs", "dig") == await mesh.publish("news.today", "rain") == 0
    assert mesh.interior.subscriptions.are_none


async def test_a_subscription_asked_for_and_declared_by_a_keyed_agent_is_one_and_lasts(mesh: Mesh) -> None:
    heard: list[Any] = []

    class Declares(Agent):
        @on(topic="jobs")
        async def job(self, job: str) -> None:
            heard.append(job)

    mesh.register(Declares, "family")
    subscription = mesh.subscribe("jobs", "family/a")

    for job in ("first", "second"):
        assert await mesh.publish("jobs", job) == 1
        await mesh.drain()
        await mesh.stop("family/a")
    assert await mesh.publish("jobs", "third") == 1
    await mesh.drain()
    subscription.cancel()
    assert await mesh.publish("jobs", "declared") == 1  # as long as it is in memory
    await mesh.drain()
    await mesh.stop("family/a")

    assert await mesh.publish("jobs", "nobody") == 0
    assert heard == ["first", "second", "third", "declared"]
    assert mesh.interior.subscriptions.are_none


@pytest.mark.parametrize("group", [None, "hands"])
async def test_a_pool_that_subscribes_gets_each_publication_once(mesh: Mesh, group: str | None) -> None:
    heard: list[tuple[str, Any]] = []

    class Member(Agent):
        async def on_message(self, message: Any, context: Context) -> None:
            heard.append((context.address, message))

    subscription = mesh.subscribe("jobs", mesh.pool(Member, "pool", size=2), group=group)

    for job in range(4):
        assert await mesh.publish("jobs", job) == 1
    await mesh.drain()
    await mesh.stop("pool")

    assert sorted(heard) == [("pool/1", 0), ("pool/1", 2), ("pool/2", 1), ("pool/2", 3)]
    assert not subscription.is_active


async def test_a_full_pool_in_a_group_that_nobody_waits_for_leaves_a_dead_letter(mesh: Mesh) -> None:
    held = _crowded("pool")
    pool = mesh.pool(lambda _: held, "pool", size=1)
    mesh.subscribe("jobs", pool, group="hands")
    await pool.tell("under way")
    await until(lambda: held.begun)
    await pool.tell("waits")

    assert await mesh.publish("jobs", "dig", when_full="refuse") == 0

    held.gate.set()
    assert [(letter.reason, letter.envelope.message) for letter in mesh.dead_letters()] == [("full", "dig")]


async def test_dead_letters_come_to_a_keyed_agent_and_to_a_pool(mesh: Mesh) -> None:
    heard: list[tuple[str, Any]] = []
    mesh.register(lambda _: Subscriber("family", heard), "family")
    mesh.subscribe("$dead_letters", "family/a")

    with pytest.raises(UnknownAgentError):
        await mesh.tell("nobody", "hello")
    await mesh.drain()

    assert [(address, letter.envelope.recipient) for address, letter in heard] == [("family/a", "nobody")]


async def test_who_cannot_be_made_is_passed_over_and_keeps_nothing_from_the_others(mesh: Mesh) -> None:
    heard: list[tuple[str, Any]] = []

    def make(key: str) -> Agent:
        if key == "bad":
            raise ValueError(key)
        return Subscriber("family", heard)

    mesh.register(make, "family")
    for key in ("bad", "good"):
        mesh.subscribe("all", f"family/{key}")
        mesh.subscribe("jobs", f"family/{key}", group="hands")
    mesh.subscribe("$dead_letters", "family/bad")

    assert await mesh.publish("all", "rain") == await mesh.publish("jobs", "dig") == 1
    await mesh.drain()

    assert heard == [("family/good", "rain"), ("family/good", "dig")]
    assert {letter.reason for letter in mesh.dead_letters()} == {"unrouted"}


async def test_waking_an_agent_that_cannot_be_made_leaves_its_error_to_the_call(mesh: Mesh) -> None:
    def make(key: str) -> Agent:
        raise ValueError(key)

    mesh.register(make, "family")

    with pytest.raises(AgentStartError):
        await pipeline(call(mesh.ref("family/bad"), "shout")).run("hello")
    assert [letter.envelope.recipient for letter in mesh.dead_letters()] == ["family/bad"]


async def test_only_what_a_name_could_have_behind_it_may_subscribe(mesh: Mesh) -> None:
    mesh.pool(Names, "pool", size=1)
    mesh.register(Names, "family")

    for address in ("family", "pool/7", "nobody/key"):
        with pytest.raises(UnknownAgentError):
            mesh.subscribe("jobs", address)


async def test_a_broadcast_reaches_every_key_and_leaves_out_whole_pools_and_families(mesh: Mesh) -> None:
    pool, family = mesh.pool(Keeper, "pool", size=2), mesh.register(Keeper, "family")
    await family.ref("cost in $").tell("hello")

    assert await mesh.broadcast("hello") == 3
    assert await mesh.broadcast("hello", exclude=[pool]) == 1
    assert await mesh.broadcast("hello", exclude=["family"]) == 2


# -- ticks, watches, approvals -----------------------------------------------------------------------------------------


async def test_an_agent_that_only_ticks_leaves_memory(mesh: Mesh) -> None:
    class Ticking(Agent):
        @every(0.01)
        async def tick(self) -> None: ...

        async def on_start(self, context: Context) -> None:
            context.every(0.01, "again")

        async def on_message(self, message: str) -> None: ...

    family = mesh.register(Ticking, "family", idle=0.05)
    await family.ref("a").tell("hello")

    await until(lambda: not family.active)


@pytest.mark.parametrize("name", ["pool", "family"])
async def test_a_name_for_many_is_not_watched_as_if_it_were_one(mesh: Mesh, name: str) -> None:
    told: list[Terminated] = []

    class Watcher(Agent):
        @on
        async def watch(self, name: str, context: Context) -> str:
            try:
                context.watch(name)
            except ArgumentError as error:
                return str(error)
            return ""

        @on
        async def ended(self, message: Terminated) -> None:
            told.append(message)

    mesh.pool(Names, "pool", size=1)
    mesh.register(Names, "family")
    mesh.add(Watcher("watcher"))

    assert "many agents" in await mesh.ask("watcher", name)
    await mesh.drain()
    assert not told


@on_leaping_loops
@pytest.mark.parametrize("boss", ["family/lisbon", "pool"])
async def test_an_approver_may_be_one_of_many_and_stops_the_clock(mesh: Mesh, boss: str) -> None:
    class Payer(Agent):
        @action(approve=boss)
        async def pay(self, amount: int) -> int:
            """Pay so much."""
            return amount

    class Boss(Agent):
        @on
        async def decide(self, request: ApprovalRequest) -> Approved:
            leap(20)
            await anyio.sleep(0.001)
            return Approved(digest=request.digest)

    mesh.register(Boss, "family")
    mesh.pool(Boss, "pool", size=2)
    mesh.pool(Payer, "payers", size=2)

    assert await mesh.ref("payers").using(timeout=15).call("pay", amount=3) == 3


# -- pipelines ---------------------------------------------------------------------------------------------------------


async def test_pipelines_are_members_of_pools_and_families(mesh: Mesh) -> None:
    mesh.pool(lambda number: pipeline(Names("helper"), lambda at: (number, at)).named("p"), "pool", size=2)
    mesh.register(lambda key: pipeline(Names("helper"), lambda at: (key, at)).named("f"), "family")

    answers = [await mesh.ask(address, "who?") for address in ("pool", "pool", "family/a", "family/b")]

    assert [number for number, _ in answers] == ["1", "2", "a", "b"]
    assert len({at for _, at in answers}) == 4
    await mesh.stop("pool")
    await mesh.stop("family")
    assert not mesh.agents


async def test_a_picture_says_that_keyed_agents_are_out_of_memory(mesh: Mesh) -> None:
    family = mesh.register(Names, "family")
    await family.ref("a").ask("hello")
    await mesh.stop("family/a")

    assert "out of memory" in mesh.draw()
    assert "no such agent" not in mesh.draw()


class Shouter(Agent):
    """Has nothing but an action."""

    @action
    def shout(self, text: str) -> str:
        """Say it louder."""
        return text.upper()


def _shouters(mesh: Mesh, kind: str) -> str:
    """Let there be one of many shouters, none of which is in memory; return its address."""
    if kind == "pool":
        return mesh.pool(Shouter, "many", size=2).address
    mesh.register(Shouter if kind == "class" else lambda _: Shouter("many"), "many")
    return "many/one"


@pytest.mark.parametrize("kind", ["pool", "class", "function"])
async def test_an_action_of_one_of_many_is_a_stage_before_anybody_has_spoken_to_it(mesh: Mesh, kind: str) -> None:
    address = _shouters(mesh, kind)

    assert await pipeline(call(mesh.ref(address), "shout")).run("hello") == "HELLO"


@pytest.mark.parametrize("kind", ["pool", "class", "function"])
async def test_one_of_many_is_a_tool_before_anybody_has_spoken_to_it(mesh: Mesh, kind: str) -> None:
    address = _shouters(mesh, kind)
    model = ScriptedModel([ToolCall("1", "shout", {"text": "hello"}), "done"])
    bot = mesh.add(LlmAgent("bot", model, tools=[mesh.ref(address)]))

    assert await bot.ask("please") == "done"
    assert "HELLO" in str(model.requests[-1].turns)


async def test_a_stage_that_is_an_agent_with_actions_only_says_so(mesh: Mesh) -> None:
    mesh.add(Shouter("shouter"))

    with pytest.raises(StageTypeError, match="'shouter' takes actions only"):
        pipeline(str, mesh.ref("shouter"))


async def test_an_action_of_a_keyed_agent_that_waits_for_its_place_is_a_stage_too(mesh: Mesh) -> None:
    class Slow(Shouter):
        @on
        async def hold(self, gate: anyio.Event) -> None:
            await gate.wait()

    gate, results = anyio.Event(), list[str]()
    family = mesh.register(Slow, "family", limit=1)
    await family.ref("a").tell(gate)

    async def run() -> None:
        results.append(await pipeline(call(family.ref("b"), "shout")).run("hello"))

    async with anyio.create_task_group() as tasks:
        for number in (1, 2):
            tasks.start_soon(run)
            await until(lambda number=number: len([w for w in mesh.waits() if w.on == "family/b"]) == number)  # type: ignore[misc]
        gate.set()

    assert results == ["HELLO", "HELLO"]
