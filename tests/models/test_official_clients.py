"""The published clients of the providers know every request we send, and read every answer as we do.

They come with the dependency group `clients`; `scripts/test --clients` runs this file with them.
"""

import importlib
import importlib.util
import json
from collections.abc import Iterator
from typing import Any, Final

import anyio
import msgspec
import pytest

from ceylon.errors import ModelStatusError
from ceylon.models.closed_schema import closed
from ceylon.models.http import HttpClient
from ceylon.models.turns import Reply, Request, ToolCall, ToolResult, Turn
from ceylon.testing.every_dialect import answer, ask
from ceylon.testing.model_server import Fault, ModelServer, Said
from support import official
from support.models import question
from support.services import CONVERSATIONS, PICTURE, REPORT, WEATHER, model_at, reply_of

pytestmark = pytest.mark.clients

CALLS: Final = (ToolCall("toolu_1", "weather", {"city": "Lisbon", "days": 2}), ToolCall("toolu_2", "clock"))
ANSWERS: Final = {
    "text": Said(text="a few words: é \U0001f600"),  # and no U+2028: there Ollama's client cuts a line in two
    "a call": Said(calls=CALLS[:1]),
    "everything": Said(thinking="hm, so", text="I look it up", calls=CALLS),
}
OPTIONS: Final[dict[str, dict[str, Any]]] = {
    "anthropic": {
        "thinking": {"type": "adaptive"},
        "output_config": {"effort": "low"},
        "cache_control": {"type": "ephemeral"},
        "metadata": {"user_id": "u"},
    },
    "gemini": {
        "topK": 3.0,
        "thinkingConfig": {"thinkingBudget": 128, "includeThoughts": True},
        "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
    },
    "openai": {"reasoning_effort": "low", "metadata": {"a": "b"}},
    "openai-responses": {"reasoning": {"effort": "low", "summary": "auto"}, "text": {"verbosity": "low"}},
    "ollama": {"num_ctx": 2048, "think": True, "keep_alive": "5m"},
}


@pytest.fixture(autouse=True)
def clients() -> None:
    """Skip where they are not installed; CI refuses that."""
    missing = [name for name in official.CLIENTS if not _is_there(name)]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)} (the dependency group `clients`)")


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


def _is_there(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def sent(server: ModelServer, dialect: str, *requests: Request, **settings: Any) -> list[bytes]:
    """Return the bodies that our adapter sends."""
    before = len(server.requests)

    async def send() -> None:
        async with HttpClient() as client:
            session = await model_at(server, dialect, key=official.KEY, **settings).open(client)
            for request in requests:
                await session.complete(request)

    anyio.run(send)
    return [request.body for request in server.requests[before:]]


def replied(server: ModelServer, dialect: str, *, is_streamed: bool) -> Reply:
    async def ask_once() -> Reply:
        async with HttpClient() as client:
            session = await model_at(server, dialect, key=official.KEY).open(client)
            return await reply_of(session, question(), is_streamed=is_streamed)

    return anyio.run(ask_once)


@pytest.mark.parametrize("dialect", official.DIALECTS)
@pytest.mark.parametrize("name", CONVERSATIONS)
def test_a_request_is_what_the_clients_types_allow_and_the_client_sends_the_same(
    server: ModelServer, dialect: str, name: str
) -> None:
    (body,) = sent(server, dialect, CONVERSATIONS[name])

    official.check_request(dialect, body)
    official.send(dialect, server, json.loads(body))

    assert official.plain(dialect, server.requests[-1].json) == official.plain(dialect, json.loads(body))
    assert server.requests[-1].path == server.requests[-2].path


@pytest.mark.parametrize("dialect", official.DIALECTS)
def test_so_are_requests_with_options(server: ModelServer, dialect: str) -> None:
    (body,) = sent(server, dialect, CONVERSATIONS["results"], options=OPTIONS[dialect])

    official.check_request(dialect, body)
    official.send(dialect, server, json.loads(body))

    assert official.plain(dialect, server.requests[-1].json) == official.plain(dialect, json.loads(body))


@pytest.mark.parametrize("dialect", official.DIALECTS)
def test_so_are_requests_for_a_stream(server: ModelServer, dialect: str) -> None:
    replied(server, dialect, is_streamed=True)

    official.check_request(dialect, server.requests[-1].body, is_streamed=True)


@pytest.mark.parametrize("dialect", official.DIALECTS)
def test_so_are_signed_thoughts_on_their_way_back(dialect: str) -> None:
    with ModelServer(lambda _: ANSWERS["everything"]) as server:
        reply = replied(server, dialect, is_streamed=True)
        results = tuple(ToolResult(call.id, call.name, "fine") for call in reply.calls)
        turns = (Turn("user", "?", attachments=(PICTURE,)), reply.turn(), Turn("tool", results=results))
        (body,) = sent(server, dialect, Request(turns=turns, tools=CONVERSATIONS["tools"].tools))

        official.check_request(dialect, body)
        official.send(dialect, server, json.loads(body))

        assert official.plain(dialect, server.requests[-1].json) == official.plain(dialect, json.loads(body))


@pytest.mark.parametrize("dialect", official.DIALECTS)
@pytest.mark.parametrize("is_streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_is_read_alike(dialect: str, name: str, *, is_streamed: bool) -> None:
    with ModelServer(lambda _: ANSWERS[name]) as server:
        theirs = official.read(dialect, server, is_streamed=is_streamed)
        ours = replied(server, dialect, is_streamed=is_streamed)

    assert theirs == official.Read(
        text=ours.text,
        thinking=ours.thinking,
        calls=tuple((call.name, call.arguments) for call in ours.calls),
        tokens=(ours.usage.input, ours.usage.output),
        finish=ours.finish,
    )
    assert (theirs.text, theirs.thinking, len(theirs.calls)) == (
        ANSWERS[name].text,
        ANSWERS[name].thinking,
        len(ANSWERS[name].calls),
    )


@pytest.mark.parametrize("dialect", official.DIALECTS)
@pytest.mark.parametrize("is_streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("name", ANSWERS)
def test_the_test_servers_answers_are_of_the_clients_types(dialect: str, name: str, *, is_streamed: bool) -> None:
    paths = {
        "openai": "/v1/chat/completions",
        "openai-responses": "/v1/responses",
        "anthropic": "/v1/messages",
        "gemini": f"/v1beta/models/m:{'streamGenerateContent?alt=sse' if is_streamed else 'generateContent'}",
        "ollama": "/api/chat",
    }
    asked = {"model": "m", "max_tokens": 1, "messages": [], "contents": [], "input": [], "stream": is_streamed}
    read = ask(dialect, paths[dialect], msgspec.json.encode(asked))

    pieces = answer(dialect, read, ANSWERS[name]).pieces

    contents = [line for piece in pieces for line in piece.splitlines() if line and not line.startswith(b"event:")]
    contents = [line.removeprefix(b"data: ") for line in contents if line != b"data: [DONE]"]
    assert (len(contents) > 1) == is_streamed or dialect == "gemini"
    for content in contents:
        if content == b'{"type":"ping"}':
            continue  # in no type of the client, which passes it over
        official.check_answer(dialect, content, is_streamed=is_streamed)


@pytest.mark.parametrize("dialect", official.DIALECTS)
@pytest.mark.parametrize("status", [400, 401, 429, 500])
def test_an_error_has_the_same_status_and_words(server: ModelServer, dialect: str, status: int) -> None:
    server.fail(Fault(status=status), Fault(status=status))

    with pytest.raises(Exception) as theirs:  # noqa: PT011 – each client has its own
        official.read(dialect, server, is_streamed=False)
    with pytest.raises(ModelStatusError) as ours:
        replied(server, dialect, is_streamed=False)

    assert official.failure_of(dialect, theirs.value) == (ours.value.status, ours.value.body) == (status, "it broke")


@pytest.mark.parametrize(
    "schema",
    [
        REPORT.schema,
        WEATHER.parameters,
        {"type": "array", "items": {"type": "string", "maxLength": 3, "format": "color"}, "minItems": 2},
        {"oneOf": [{"type": "null"}, {"const": 1}, {"type": "string", "format": "date"}], "description": "which"},
    ],
)
def test_a_schema_is_closed_as_anthropics_client_does_it(schema: dict[str, Any]) -> None:
    transform = importlib.import_module("anthropic.lib._parse._transform").transform_schema

    assert closed(schema) == transform(schema)


# -- sabotage


def _with(body: Any, change: str) -> bytes:
    """Return *body* with one mistake in it."""
    text = json.dumps(body)
    if change == "a field nobody knows":
        return json.dumps({**body, "tempreature": 1}).encode()
    if change == "a word misspelt deep inside":
        for word in ("tool_use_id", "call_id", "tool_call_id", "functionResponse", "tool_name"):
            text = text.replace(f'"{word}"', f'"{word}x"')
    if change == "a number for a text":
        text = text.replace('"Be brief."', "7")
    return text.encode()


@pytest.mark.parametrize("dialect", official.DIALECTS)
@pytest.mark.parametrize("change", ["a field nobody knows", "a word misspelt deep inside", "a number for a text"])
def test_a_wrong_request_is_found_out(server: ModelServer, dialect: str, change: str) -> None:
    (body,) = sent(server, dialect, CONVERSATIONS["results"])
    official.check_request(dialect, body)
    wrong = _with(json.loads(body), change)
    assert json.loads(wrong) != json.loads(body)

    with pytest.raises(ValueError, match="validation error"):
        official.check_request(dialect, wrong)


@pytest.mark.parametrize("dialect", official.DIALECTS)
def test_a_wrong_answer_is_found_out(dialect: str) -> None:
    wrong = {
        "openai": {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [{"index": 0}]},
        "openai-responses": {"id": "x", "object": "response", "output": []},
        "anthropic": {"id": "x", "type": "message", "role": "assistant", "model": "m", "content": [{"type": "text"}]},
        "gemini": {"candidates": [{"content": {"parts": [{"txet": "a"}]}}]},
        "ollama": {"model": "m", "message": {"content": "no role"}},
    }

    with pytest.raises(ValueError, match="validation error"):
        official.check_answer(dialect, json.dumps(wrong[dialect]).encode(), is_streamed=False)
