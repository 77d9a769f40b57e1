"""The contracts of the ports: the adapters there are keep them, and each broken promise is named."""

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, ClassVar, Final

import anyio
import msgspec
import pytest

from ceylon import Agent, LlmAgent, ModelError, ModelTimeoutError
from ceylon.core.backends.on_asyncio import AsyncioDriver
from ceylon.core.ports import AgentOptions
from ceylon.messages import Envelope
from ceylon.models.http import HttpClient
from ceylon.models.port import Abilities, Model
from ceylon.models.resolve import resolve
from ceylon.models.turns import Finish, OutputSchema, Part, Reply, ReplyPart, Request, TextPart, ToolCallPart, Usage
from ceylon.testing import Probe, ScriptedModel
from ceylon.testing.contracts import agent_contract, driver_contract, model_contract
from ceylon.testing.model_server import Fault, ModelServer
from ceylon.testing.obedient import Obedient
from support.core_agents import Echo, Held
from support.llm import CountingModel

MANY: Final = 40
DIALECTS: Final = ["openai", "ollama", "openai-responses", "anthropic", "gemini"]
WORDS: Final = "a few words in a row"
OBEDIENT: Final = Obedient(WORDS)

# -- models ------------------------------------------------------------------------------------------------------------


async def test_the_contract_of_a_model_closes_what_it_opens() -> None:
    model = CountingModel(*["some words"] * 20)

    await model_contract(model, calls=False, output=False)

    assert model.closed >= model.opened > 1  # one of them is closed twice on purpose


async def test_a_scripted_model_keeps_the_contract() -> None:
    model = ScriptedModel([OBEDIENT.answer] * MANY)
    slow = ScriptedModel([ModelTimeoutError("scripted::model", 1.0)] * 2)

    await model_contract(model, failing=[slow, ScriptedModel()])


@pytest.fixture
async def client(anyio_backend: str) -> AsyncGenerator[HttpClient]:
    async with HttpClient() as client:
        yield client


def model_at(server: ModelServer, dialect: str, name: str = "test-model", key: str = "sk-test") -> Model:
    """Return the model of an adapter that speaks with *server*."""
    url = server.openai_url if dialect.startswith("openai") else server.base_url
    return resolve(f"{dialect}::{name}", base_url=url, api_key=key)


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_the_adapters_keep_the_contract_with_a_server_that_works(client: HttpClient, dialect: str) -> None:
    with ModelServer(OBEDIENT) as server, ModelServer(key="sk-other") as closed:
        await model_contract(model_at(server, dialect), client, failing=[model_at(closed, dialect, key="sk-wrong")])


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_the_adapters_keep_the_contract_as_agents_use_them(client: HttpClient, dialect: str) -> None:
    with ModelServer(OBEDIENT) as server:
        await model_contract(model_at(server, dialect), client, is_adapted=True)


async def test_a_model_of_ollama_that_knows_no_tools_keeps_the_contract(client: HttpClient) -> None:
    with ModelServer(OBEDIENT, capabilities=["completion"]) as server:
        await model_contract(model_at(server, "ollama"), client)
        await model_contract(model_at(server, "ollama"), client, is_adapted=True)


def asked_in_words(request: Request) -> Reply:
    """Obey a schema that is only told, with words and a fence round the object."""
    _, found, schema = request.turns[0].text.partition("JSON schema: ")
    if not found or request.tools:
        return OBEDIENT.answer(request)
    wanted = msgspec.structs.replace(request, output=OutputSchema("wanted", msgspec.json.decode(schema)))
    reply = OBEDIENT.answer(wanted)
    return msgspec.structs.replace(reply, text=f"Here you are:\n```json\n{reply.text}\n```\nAnything else?")


@pytest.mark.parametrize(
    "abilities",
    [
        Abilities(),
        Abilities(tools=False),
        Abilities(tools=False, output="prompt"),
        Abilities(tool_choice=False),
        Abilities(tool_choice=False, output="prompt"),
        Abilities(output="tool"),
        Abilities(output="prompt"),
        Abilities(output_with_tools=False),
    ],
    ids=str,
)
async def test_an_adapted_session_keeps_the_contract_whatever_its_server_can_do(abilities: Abilities) -> None:
    model = ScriptedModel([asked_in_words] * MANY, abilities=abilities)

    await model_contract(model, is_adapted=True)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("fault", [Fault(status=500), Fault(cut_at=20), Fault(raw=b"no HTTP at all"), Fault(body=b"{")])
async def test_the_adapters_fail_as_models_do_when_their_server_does(
    client: HttpClient, dialect: str, fault: Fault
) -> None:
    with ModelServer(OBEDIENT) as server, ModelServer() as broken:
        broken.fail(*[fault] * MANY)
        await model_contract(model_at(server, dialect), client, failing=[model_at(broken, dialect)])


class Broken:
    """A model that keeps the contract, but for what a subclass does."""

    name = "broken::model"
    abilities = Abilities()

    def check(self) -> None: ...

    async def open(self, client: object) -> "Broken":
        return type(self)()

    def reply(self, request: Request) -> Reply:
        return OBEDIENT.answer(request)

    async def complete(self, request: Request) -> Reply:
        await anyio.lowlevel.checkpoint()
        return self.reply(request)

    async def stream(self, request: Request) -> AsyncGenerator[Part, None]:
        reply = self.reply(request)
        for word in re.findall(r" ?[^ ]+", reply.text):
            await anyio.lowlevel.checkpoint()
            yield TextPart(word)
        for call in reply.calls:
            yield ToolCallPart(call)
        yield ReplyPart(reply)

    async def aclose(self) -> None: ...


async def test_the_model_that_is_going_to_be_broken_keeps_the_contract() -> None:
    await model_contract(Broken())


class Nameless(Broken):
    name = "model"


class WithoutAnEnd(Broken):
    async def stream(self, request: Request) -> AsyncGenerator[Part, None]:
        yield TextPart(WORDS)


class WithTwoEnds(Broken):
    async def stream(self, request: Request) -> AsyncGenerator[Part, None]:
        yield ReplyPart(self.reply(request))
        yield ReplyPart(self.reply(request))


class OtherInAStream(Broken):
    async def stream(self, request: Request) -> AsyncGenerator[Part, None]:
        yield TextPart("something ")
        await anyio.lowlevel.checkpoint()
        yield TextPart("else")
        yield ReplyPart(Reply(text="something else"))


class Forgetful(Broken):
    async def stream(self, request: Request) -> AsyncGenerator[Part, None]:
        async with aclosing(super().stream(request)) as parts:
            async for part in parts:
                if not isinstance(part, TextPart) or part.text != " words":
                    yield part


class Negative(Broken):
    def reply(self, request: Request) -> Reply:
        return Reply(text=WORDS, usage=Usage(output=-1))


class ClosedOnce(Broken):
    is_closed = False

    async def aclose(self) -> None:
        if self.is_closed:
            raise RuntimeError("closed already")
        self.is_closed = True


class OneAtATime(Broken):
    busy = 0

    async def complete(self, request: Request) -> Reply:
        self.busy += 1
        try:
            await anyio.sleep(0.001)
            assert self.busy == 1, "busy"
            return self.reply(request)
        finally:
            self.busy -= 1


class Translating(Broken):
    async def complete(self, request: Request) -> Reply:
        try:
            await anyio.lowlevel.checkpoint()
        except BaseException as error:
            raise ModelError("gone") from error
        return self.reply(request)


class Clinging(Broken):
    async def stream(self, request: Request) -> AsyncGenerator[Part, None]:
        try:
            yield TextPart("a few words")
            yield TextPart(" in a row")
        except GeneratorExit:
            raise ModelError("left") from None
        yield ReplyPart(self.reply(request))


class Wordless(Broken):
    async def complete(self, request: Request) -> Reply:
        return Reply(text="")


class Invented(Broken):
    async def stream(self, request: Request) -> AsyncGenerator[Part, None]:
        yield "a few words"  # type: ignore[misc]
        yield ReplyPart(self.reply(request))


class Speechless(Broken):
    """Answers in words, whatever it is to call."""

    def reply(self, request: Request) -> Reply:
        return Reply(text=WORDS)


class Altered(Broken):
    """Calls, but not quite as it should."""

    changes: ClassVar[dict[str, Any]] = {}
    ending: Finish = "tool"

    def reply(self, request: Request) -> Reply:
        reply = super().reply(request)
        calls = tuple(msgspec.structs.replace(call, **self.changes) for call in reply.calls)
        return msgspec.structs.replace(reply, calls=calls, finish=self.ending if calls else "stop")


class Misnaming(Altered):
    changes: ClassVar[dict[str, Any]] = {"name": "stocks"}


class Misarguing(Altered):
    changes: ClassVar[dict[str, Any]] = {"arguments": {"sku": 7}}


class Mumbling(Altered):
    changes: ClassVar[dict[str, Any]] = {"invalid": "{sku", "arguments": {}}


class Anonymous(Altered):
    changes: ClassVar[dict[str, Any]] = {"id": ""}


class Ending(Altered):
    ending: Finish = "stop"


class Insistent(Broken):
    """Calls again when it has the results, under the same id."""

    def reply(self, request: Request) -> Reply:
        return super().reply(msgspec.structs.replace(request, turns=request.turns[:1]))


class Hiding(Broken):
    async def stream(self, request: Request) -> AsyncGenerator[Part, None]:
        async with aclosing(super().stream(request)) as parts:
            async for part in parts:
                if not isinstance(part, ToolCallPart):
                    yield part


class Thrifty(Broken):
    async def complete(self, request: Request) -> Reply:
        return msgspec.structs.replace(await super().complete(request), usage=Usage(output=1))


class Prosaic(Broken):
    def reply(self, request: Request) -> Reply:
        return super().reply(msgspec.structs.replace(request, output=None))


class Forgetting(Broken):
    """Keeps to a schema only where there are no tools."""

    def reply(self, request: Request) -> Reply:
        is_both = request.tools and request.output
        return Reply(text=WORDS, usage=Usage(output=1)) if is_both else super().reply(request)


@pytest.mark.parametrize(
    ("model", "promise"),
    [
        (Speechless, "it calls what it must: it does not call; it says 'a few"),
        (Misnaming, "it calls what it must: it calls 'stocks', which it was not given"),
        (Misarguing, "it calls what it must: the arguments is not of the schema: Expected `str`, got `int`"),
        (Mumbling, "it calls what it must: its arguments are no JSON object: '{sku'"),
        (Anonymous, "it calls what it must: the ids of its calls are ['']"),
        (Ending, "it calls what it must: it calls, and ends by 'stop'"),
        (Insistent, "it takes results: calls of two answers have the same ids: ['call_a']"),
        (Hiding, "a stream has the calls of its reply: the parts' calls are ()"),
        (Thrifty, "streamed or not the answer is the same: whole it takes"),
        (Thrifty, "a stream has the calls of its reply: whole the calls take"),
        (Prosaic, "its output keeps to the schema: the answer is not of the schema"),
        (Forgetting, "it answers by a schema although it has tools: the answer is not of the schema"),
        (Nameless, "it has a canonical name: its name is 'model'"),
        (WithoutAnEnd, "a stream ends with the whole answer: a stream has 0 ReplyParts"),
        (WithTwoEnds, "a stream ends with the whole answer: a stream has 2 ReplyParts"),
        (OtherInAStream, "streamed or not the answer is the same: whole it is 'a few"),
        (Forgetful, "a stream ends with the whole answer: the parts' text is 'a few in a row'"),
        (Negative, "it answers as a whole: its usage is negative"),
        (ClosedOnce, "a session may be closed twice: RuntimeError: closed already"),
        (Translating, "a cancelled request stays cancelled: ModelError: gone"),
        (Clinging, "a stream that is left disturbs nothing: ModelError: left"),
        (Wordless, "it answers as a whole: its text is empty"),
        (Invented, "a part of the stream is no TextPart or ThinkingPart or ReplyPart but 'a few words'"),
        (OneAtATime, "requests may run at the same time: ExceptionGroup"),
    ],
)
async def test_a_broken_model_is_found_out(model: type[Broken], promise: str) -> None:
    with pytest.raises(AssertionError) as raised:
        await model_contract(model())

    assert promise in str(raised.value)


async def test_a_model_that_was_to_fail_and_answers_is_found_out() -> None:
    with pytest.raises(AssertionError, match="it fails with a model error: it answers, and was to fail"):
        await model_contract(Broken(), failing=[Broken()])


async def test_a_model_that_fails_in_its_own_way_is_found_out() -> None:
    with pytest.raises(AssertionError, match=r"it fails with ValueError\('no'\), which is no ModelError"):
        await model_contract(Broken(), failing=[ScriptedModel([ValueError("no")] * 2)])


# -- agents ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda: Echo("echo"),
        lambda: Held("held"),
        lambda: Probe("probe"),
        lambda: LlmAgent("assistant", ScriptedModel()).with_temperature(0.5),
    ],
)
async def test_every_kind_of_agent_keeps_the_contract(make: Callable[[], Any]) -> None:
    await agent_contract(make())


class Unique(Agent):
    def __ceylon_rebuild__(self) -> Any:
        return self


class Renamed(Agent):
    def __ceylon_rebuild__(self) -> Any:
        return Renamed("another")


class Homesick(Agent):
    def __ceylon_leave_home__(self) -> None: ...


class Everywhere(Agent):
    def __ceylon_claim__(self, interior: object) -> None: ...


class Unhashable(Agent):
    def __ceylon_serial_key__(self, envelope: Envelope) -> Any:
        return []


class Hooked(Agent):
    on_start = "now"


class Moody(Agent):
    def __ceylon_options__(self) -> AgentOptions:
        self.concurrency += 1
        return msgspec.structs.replace(super().__ceylon_options__(), concurrency=self.concurrency)


@pytest.mark.parametrize(
    ("agent", "promise"),
    [
        (Unique, "it can be made again: it is the same object"),
        (Renamed, "it can be made again: it is called 'another', not 'broken'"),
        (Homesick, "it is free when it has left: AgentInUseError"),
        (Everywhere, "it is in one mesh at a time: a second mesh could add it"),
        (Unhashable, r"its serial keys are hashable: the key of an envelope is \[\]"),
        (Hooked, "its hooks are functions or none: on_start is 'now'"),
        (Moody, "its options are options: they differ"),
    ],
)
async def test_a_broken_agent_is_found_out(agent: type[Agent], promise: str) -> None:
    with pytest.raises(AssertionError, match=promise):
        await agent_contract(agent("broken"))


# -- loops -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("backend", "options"), [("asyncio", {}), ("asyncio", {"use_uvloop": True}), ("trio", {})], ids=str
)
def test_every_loop_keeps_the_contract(backend: str, options: dict[str, Any]) -> None:
    anyio.run(driver_contract, backend=backend, backend_options=options)


class Backwards(AsyncioDriver):
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        waiting: list[Callable[[], None]] = []

        def call_soon(callback: Callable[[], None]) -> None:
            waiting.append(callback)
            loop.call_soon(lambda: waiting.pop()())  # noqa: PLW0108 – the last one then

        self.call_soon = call_soon


class AtOnce(AsyncioDriver):
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.call_soon = lambda callback: callback()


class Early(AsyncioDriver):
    def call_at(self, when: float, callback: Callable[[], None]) -> Callable[[], None]:
        return super().call_at(when - 60, callback)


class Irrevocable(AsyncioDriver):
    def call_at(self, when: float, callback: Callable[[], None]) -> Callable[[], None]:
        super().call_at(when, callback)
        return lambda: None


class OtherClock(AsyncioDriver):
    def now_anywhere(self) -> float:
        return self.now() + 60


class Unshielded(AsyncioDriver):
    async def shielded(self, wait: Callable[[], Awaitable[None]]) -> None:
        await wait()


class Swallowing(AsyncioDriver):
    async def shielded(self, wait: Callable[[], Awaitable[None]]) -> None:
        with anyio.CancelScope(shield=True):
            await wait()


class Lost(AsyncioDriver):
    def is_current(self) -> bool:
        return True


class Rushing(AsyncioDriver):
    async def checkpoint(self) -> None: ...


@pytest.mark.parametrize(
    ("driver", "promise"),
    [
        (Backwards, "call soon keeps the order and waits for the loop: callbacks ran in the order"),
        (AtOnce, "call soon keeps the order and waits for the loop: a callback ran before"),
        (Early, "call at is never early keeps the order and can be taken back: too early"),
        (Irrevocable, "call at is never early keeps the order and can be taken back: there fired"),
        (OtherClock, "its clock is one from everywhere: a thread saw"),
        (Unshielded, "what is shielded ends and the cancellation comes after: there happened"),
        (Swallowing, "what is shielded ends and the cancellation comes after: there happened"),
        (Lost, "it knows its loop and thread: it takes a thread without a loop for its own"),
        (Rushing, "a checkpoint lets others run: what was ready did not run"),
    ],
)
def test_a_broken_driver_is_found_out(driver: type[AsyncioDriver], promise: str) -> None:
    async def run() -> None:
        await driver_contract(driver(asyncio.get_running_loop()))

    with pytest.raises(AssertionError, match=promise):
        anyio.run(run)


def test_all_broken_promises_are_named_together() -> None:
    class Bad(Early, OtherClock): ...

    async def run() -> None:
        await driver_contract(Bad(asyncio.get_running_loop()))

    with pytest.raises(AssertionError) as raised:
        anyio.run(run)

    assert str(raised.value).splitlines()[0] == "Bad breaks its contract:"
    assert len(str(raised.value).splitlines()) == 3
