"""What cannot be gets an error that says what to write instead, raised by the await and never by the call."""

import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

import ceylon
from ceylon import (
    Agent,
    AgentInUseError,
    ArgumentError,
    BlockingCallError,
    BlockingMesh,
    DefinitionError,
    HandlerError,
    LlmAgent,
    Mesh,
    MeshClosedError,
    ModelAuthError,
    ModelConfigError,
    ModelNotFoundError,
    ModelRateLimitError,
    ModelStatusError,
    ModelUnavailableError,
)
from ceylon.settings import DEFAULTS
from ceylon.testing.faults import Fault
from ceylon.testing.model_server import ModelServer
from support.llm import impatient, llm, plays


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address where nobody answers."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


# -- settings ----------------------------------------------------------------------------------------------------------

WRONG_SETTINGS: list[tuple[dict[str, Any], str]] = [
    ({"temperature": 2.1}, "temperature=2.1 cannot be; it takes a number from 0 to 2"),
    ({"temperature": -0.1}, "a number from 0 to 2"),
    ({"temperature": "hot"}, "temperature='hot' cannot be; it takes a number from 0 to 2"),
    ({"temperature": float("nan")}, "a number from 0 to 2"),
    ({"temperature": True}, "a number from 0 to 2"),
    ({"max_tokens": 0}, "max_tokens=0 cannot be; it takes a whole number from 1"),
    ({"max_tokens": 1.5}, "a whole number from 1"),
    ({"max_tokens": "100"}, "a whole number from 1"),
    ({"seed": "seven"}, "seed='seven' cannot be; it takes a whole number"),
    ({"concurrency": 0}, "concurrency=0 cannot be; it takes a whole number from 1"),
    ({"concurrency": "8"}, "concurrency='8' cannot be"),
    ({"concurrency": True}, "concurrency=True cannot be"),
    ({"concurrency": 2.0}, "concurrency=2.0 cannot be"),
    ({"timeout": 0}, "timeout=0 cannot be; it takes seconds, more than 0"),
    ({"timeout": "10"}, "timeout='10' cannot be"),
    ({"timeout": float("inf")}, "timeout=inf cannot be"),
    ({"timeout": None}, "timeout=None cannot be"),
    ({"system_prompt": 5}, "system_prompt=5 cannot be; it takes text"),
    ({"stop": 5}, "stop=5 cannot be; it takes texts"),
    ({"stop": ["END", ""]}, "it takes texts that are not empty"),
    ({"options": ["top_p"]}, "it takes a mapping"),
    ({"base_url": 8080}, "base_url=8080 cannot be; it takes an address as text"),
]


@pytest.mark.parametrize(("wrong", "words"), WRONG_SETTINGS, ids=lambda value: str(value)[:40])
def test_a_setting_out_of_its_range_is_named_at_build(wrong: dict[str, Any], words: str) -> None:
    agent = LlmAgent("tutor", "ollama::gemma3", **wrong)
    with pytest.raises(ArgumentError) as refused:
        agent.build()

    assert words in str(refused.value)
    assert isinstance(refused.value, ValueError)


@pytest.mark.parametrize(("wrong", "words"), WRONG_SETTINGS, ids=lambda value: str(value)[:40])
async def test_and_at_the_first_query(wrong: dict[str, Any], words: str, anyio_backend: str) -> None:
    query = LlmAgent("tutor", "ollama::gemma3", **wrong).send_message_async("hi")
    with pytest.raises(ArgumentError) as refused:
        await query

    assert words in str(refused.value)


@pytest.mark.parametrize("concurrency", [0, "8", True, 2.0])
async def test_no_mesh_takes_an_agent_that_could_answer_nothing(concurrency: Any, anyio_backend: str) -> None:
    async with Mesh() as mesh:
        with pytest.raises(ArgumentError, match="it takes a whole number from 1"):
            mesh.add(LlmAgent("tutor", "ollama::gemma3", concurrency=concurrency))

        assert not mesh.agents


def test_a_wrong_key_is_not_shown() -> None:
    with pytest.raises(ArgumentError, match="it takes the key as text") as refused:
        LlmAgent("tutor", "openai::gpt-4.1-mini", api_key=4711).build()  # type: ignore[arg-type]

    assert "4711" not in str(refused.value)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("olama::gemma3", "ollama"),
        ("nowhere::gemma3", "nowhere"),
        ("::gemma3", "write it like 'ollama::gemma3'"),
        ("", "write it like 'ollama::gemma3'"),
        ("ollama::", "ollama::"),
        ("scripted::x", "pass ScriptedModel([...]) itself"),
        (5, "a model is a string or a Model, not int"),
        ("local::llama", "'local::smollm2' and 'local::/path/to/file.gguf'"),
    ],
)
def test_a_model_that_is_none_is_explained_at_build(model: Any, words: str) -> None:
    with pytest.raises(ModelConfigError) as refused:
        LlmAgent("tutor", model).build()

    assert words in str(refused.value)
    assert isinstance(refused.value, ValueError)


def test_a_missing_key_names_its_variable_and_the_model_that_needs_none() -> None:
    with pytest.raises(ModelConfigError, match=r"set OPENAI_API_KEY .* or pass `api_key=`.*'local::smollm2'"):
        LlmAgent("tutor", "openai::gpt-4.1-mini").build()


def test_an_option_the_provider_does_not_have_names_the_close_one() -> None:
    with pytest.raises(ModelConfigError, match=r"no option 'num_ctxx'; did you mean 'num_ctx'"):
        LlmAgent("tutor", "ollama::gemma3").with_options(num_ctxx=8).build()


def test_a_misspelt_keyword_names_the_close_one() -> None:
    with pytest.raises(DefinitionError, match=r"LlmAgent has no option 'temprature'; did you mean 'temperature'\?"):
        LlmAgent("tutor", temprature=0.5)  # type: ignore[call-arg]


def test_a_name_that_cannot_be_shows_the_rule() -> None:
    with pytest.raises(ValueError, match="1 to 64 of A-Z a-z 0-9"):
        LlmAgent("my tutor")


# -- arguments of verbs ------------------------------------------------------------------------------------------------

Verb = Callable[[LlmAgent], Any]

WRONG_CALLS: list[tuple[str, Verb, str]] = [
    ("empty", lambda agent: agent.send_message_async(""), "the query is empty"),
    ("blank", lambda agent: agent.send_message_async(" \n"), "the query is empty"),
    ("no text", lambda agent: agent.send_message_async(5), "a query is text, not int"),  # type: ignore[arg-type]
    ("whole", lambda agent: agent.complete(""), "the query is empty"),
    ("timeout", lambda agent: agent.send_message_async("hi", timeout=0), "timeout=0 cannot be"),
    ("odd timeout", lambda agent: agent.complete("hi", timeout="5"), "timeout='5' cannot be"),  # type: ignore[call-overload]
    ("stream", lambda agent: agent.stream(""), "the query is empty"),
    ("parts", lambda agent: agent.parts(None), "a query is text, not NoneType"),  # type: ignore[arg-type]
    ("stream timeout", lambda agent: agent.stream("hi", timeout=-1), "timeout=-1 cannot be"),
    ("send", lambda agent: agent.conversation("alice").send(""), "the query is empty"),
    ("no key", lambda agent: agent.conversation("").send("hi"), "text of 1 to 256 characters"),
    ("long key", lambda agent: agent.conversation("a" * 257).history(), "text of 1 to 256 characters"),
    ("odd key", lambda agent: agent.conversation(5).clear(), "text of 1 to 256 characters"),  # type: ignore[arg-type]
    ("streamed key", lambda agent: agent.conversation("").stream("hi"), "text of 1 to 256 characters"),
    ("one text", lambda agent: agent.send_messages_async("hi"), "queries='hi' cannot be; it takes a list of texts"),
    ("no list", lambda agent: agent.send_messages_async(None), "queries=None cannot be"),  # type: ignore[call-overload]
    ("at once", lambda agent: agent.send_messages_async(["hi"], concurrency=0), "concurrency=0 cannot be"),
    ("odd at once", lambda agent: agent.as_completed(["hi"], concurrency="8"), "concurrency='8'"),  # type: ignore[arg-type]
    ("retries", lambda agent: agent.send_messages_async(["hi"], retries=-1), "retries=-1 cannot be"),
    ("progress", lambda agent: agent.send_messages_async(["hi"], progress="yes"), "progress='yes' cannot be"),  # type: ignore[call-overload]
    ("no queries", lambda agent: agent.as_completed(5), "queries=5 cannot be"),  # type: ignore[arg-type]
    ("in the batch", lambda agent: agent.send_messages_async(["hi", ""]), "the query is empty"),
]


@pytest.mark.parametrize(("verb", "words"), [case[1:] for case in WRONG_CALLS], ids=[case[0] for case in WRONG_CALLS])
async def test_a_bad_argument_is_raised_by_the_await_and_not_by_the_call(
    verb: Verb, words: str, server: ModelServer, anyio_backend: str
) -> None:
    made = verb(llm(server))  # raises nothing
    with pytest.raises(ArgumentError) as refused:
        await _all_of(made)

    assert words in str(refused.value)
    assert isinstance(refused.value, ValueError)


async def _all_of(made: "Awaitable[Any] | AsyncIterator[Any]") -> None:
    if isinstance(made, AsyncIterator):
        async for _ in made:
            pass
    else:
        await made


@pytest.mark.parametrize(
    "verb",
    [
        lambda agent: agent.send_message(""),
        lambda agent: agent.send_messages(["hi", ""]),
        lambda agent: list(agent.blocking.stream("")),
        lambda agent: agent.blocking.conversation("").send("hi"),
        lambda agent: agent.blocking.conversation("alice").send(""),
        lambda agent: list(agent.blocking.as_completed(5)),
    ],
)
def test_a_blocking_verb_raises_the_same(verb: Verb, server: ModelServer) -> None:
    with pytest.raises(ArgumentError):
        verb(llm(server))


async def test_an_empty_ask_in_a_mesh_fails_with_the_same_sentence(server: ModelServer, anyio_backend: str) -> None:
    async with Mesh() as mesh:
        tutor = mesh.add(llm(server))
        with pytest.raises(HandlerError, match="the query is empty") as failed:
            await tutor.ask("")

    assert isinstance(failed.value.root, ArgumentError)


# -- the server says no, or nothing ------------------------------------------------------------------------------------


async def test_nobody_there_names_the_address_and_both_ways_out(nobody: str, anyio_backend: str) -> None:
    agent = LlmAgent("tutor", "ollama::gemma3", base_url=nobody)
    with pytest.raises(ModelUnavailableError) as failed:
        await agent.send_message_async("hi")

    words = str(failed.value)
    assert nobody in words
    assert "ollama serve" in words
    assert "ollama pull gemma3" in words
    assert "local::smollm2" in words


async def test_nobody_there_is_said_by_a_stream_and_a_conversation_too(nobody: str, anyio_backend: str) -> None:
    agent = LlmAgent("tutor", "openai::m", base_url=nobody, api_key="sk-none")
    with pytest.raises(ModelUnavailableError, match="Start that server or correct `base_url`"):
        await agent.stream("hi").result()
    with pytest.raises(ModelUnavailableError, match="'local::smollm2'"):
        await agent.conversation("alice").send("hi")


async def test_an_unknown_ollama_model_lists_what_there_is_and_how_to_pull(
    server: ModelServer, anyio_backend: str
) -> None:
    agent = LlmAgent("tutor", "ollama::gemma9", base_url=server.base_url)
    with pytest.raises(ModelNotFoundError, match=r"'gemma9' there; it has: test-model.*`ollama pull gemma9`"):
        await agent.send_message_async("hi")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, ModelStatusError),
        (401, ModelAuthError),
        (403, ModelAuthError),
        (429, ModelRateLimitError),
        (500, ModelStatusError),
        (503, ModelStatusError),
    ],
)
async def test_a_status_that_says_no_is_an_error_with_the_server_s_words(
    status: int, kind: type[ModelStatusError], server: ModelServer, anyio_backend: str
) -> None:
    server.fail(*[Fault(status=status)] * DEFAULTS.retry_tries)
    agent = llm(server)
    async with Mesh(settings=impatient()) as mesh:
        mesh.add(agent)
        with pytest.raises(kind, match=rf"openai::test-model: HTTP {status}: it broke") as failed:
            await agent.send_message_async("hi")

    assert failed.value.status == status


async def test_the_key_is_never_in_an_error(server: ModelServer, anyio_backend: str) -> None:
    server.fail(Fault(status=400, body=b'{"error": {"message": "the key sk-canary-4711 is wrong"}}'))
    agent = LlmAgent("tutor", "openai::test-model", base_url=server.openai_url, api_key="sk-canary-4711")
    with pytest.raises(ModelStatusError) as failed:
        await agent.send_message_async("hi")

    assert "4711" not in str(failed.value)


# -- meshes ------------------------------------------------------------------------------------------------------------


async def test_a_mesh_that_is_not_open_yet_says_how_to_open_it(anyio_backend: str) -> None:
    agent = plays("never")
    mesh = Mesh("market")
    mesh.add(agent)
    with pytest.raises(MeshClosedError, match=r"has not been started; use `async with mesh:`"):
        await agent.send_message_async("hi")


async def test_a_closed_mesh_takes_no_query(anyio_backend: str) -> None:
    async with Mesh("market") as mesh:
        tutor = mesh.add(plays())

    with pytest.raises(MeshClosedError, match="mesh 'market' takes no messages: it is closed"):
        await tutor.ask("hi")


async def test_an_agent_of_another_mesh_says_when_it_may_be_added(anyio_backend: str) -> None:
    agent = plays()
    async with Mesh("market") as market, Mesh("harbour") as harbour:
        market.add(agent)
        with pytest.raises(AgentInUseError, match="is in mesh 'market'; it can be added here once that mesh is closed"):
            harbour.add(agent)


async def test_an_agent_may_be_added_elsewhere_when_its_mesh_has_closed(anyio_backend: str) -> None:
    agent = plays("here", "there")
    async with Mesh("market") as market:
        assert await market.add(agent).ask("hi") == "here"
    async with Mesh("harbour") as harbour:
        assert await harbour.add(agent).ask("hi") == "there"


@pytest.mark.parametrize(
    ("verb", "instead"),
    [
        (lambda agent: agent.send_message("hi"), "await agent.send_message_async"),
        (lambda agent: agent.blocking.complete("hi"), "await agent.complete"),
        (lambda agent: agent.blocking.conversation("alice").send("hi"), "await agent.conversation('alice').send"),
        (lambda agent: agent.send_messages(["hi"]), "await"),
        (lambda agent: list(agent.blocking.stream("hi")), "await"),
    ],
)
def test_a_blocking_verb_on_the_mesh_s_own_loop_says_what_to_write(verb: Verb, instead: str) -> None:
    class Caller(Agent):
        async def on_message(self, message: str) -> Any:
            return verb(agent)

    agent = plays()
    with BlockingMesh() as mesh:
        mesh.add(agent)
        caller = mesh.add(Caller("caller"))
        with pytest.raises(HandlerError) as failed:
            caller.ask("go")

    assert isinstance(failed.value.root, BlockingCallError)
    assert instead in str(failed.value)


def test_every_error_of_this_page_is_importable_from_ceylon() -> None:
    for kind in (ArgumentError, ModelConfigError, ModelNotFoundError, ModelUnavailableError, ModelAuthError):
        assert getattr(ceylon, kind.__name__) is kind
        assert issubclass(kind, ceylon.CeylonError)
