"""Anthropic, Gemini and OpenAI's Responses: what is the same for the three, streamed or not."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from ceylon.errors import IncompleteStreamError, ModelAuthError, ModelConfigError, ModelError, ModelNotFoundError
from ceylon.models.http import HttpClient
from ceylon.models.resolve import resolve
from ceylon.models.turns import ReplyPart, Request, TextPart, ThinkingPart, ToolCall, ToolCallPart, ToolResult, Turn
from ceylon.testing.every_dialect import answer, ask
from ceylon.testing.model_server import Fault, ModelServer, Said
from support.models import parts_of, question
from support.services import CONVERSATIONS, DIALECTS, KEY, WEATHER, Bytes, model_at, reply_of

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("dialect", DIALECTS)]

CALLS = (ToolCall("toolu_1", "weather", {"city": "Lisbon", "days": 2}), ToolCall("toolu_2", "clock"))
ALL = Said(thinking="hm, so", text="I look it up", calls=CALLS)
ONE_LOOP = pytest.mark.parametrize("anyio_backend", ["asyncio"])  # what is tried has nothing to do with the loop
PATHS = {
    "anthropic": "/v1/messages",
    "gemini": "/v1beta/models/test-model:streamGenerateContent?alt=sse",
    "openai-responses": "/v1/responses",
}


@pytest.fixture
async def client(anyio_backend: str) -> AsyncIterator[HttpClient]:
    async with HttpClient() as client:
        yield client


def streamed_bytes(dialect: str, said: Said) -> bytes:
    """Return the bytes of *said* as a stream."""
    body = {"model": "test-model", "max_tokens": 1, "messages": [], "contents": [], "input": [], "stream": True}
    path = PATHS[dialect]
    return b"".join(answer(dialect, ask(dialect, path, msgspec.json.encode(body)), said).pieces)


async def test_every_kind_of_conversation_is_answered_alike_streamed_or_not(client: HttpClient, dialect: str) -> None:
    with ModelServer() as server:
        session = await model_at(server, dialect).open(client)
        for request in CONVERSATIONS.values():
            whole = await reply_of(session, request, is_streamed=False)
            assert whole == await reply_of(session, request, is_streamed=True)
            assert whole.text.startswith("echo: ")
            assert whole.finish == "stop"
            assert whole.usage.output == len(whole.text.split())
            assert whole.usage.input > 0
            assert whole.model == "test-model"


async def test_calls_come_behind_the_text_and_end_the_answer(client: HttpClient, dialect: str) -> None:
    with ModelServer(lambda _: ALL) as server:
        session = await model_at(server, dialect).open(client)
        parts = await parts_of(session, CONVERSATIONS["tools"])

        *said, last = parts
        assert isinstance(last, ReplyPart)
        assert last.reply == await session.complete(CONVERSATIONS["tools"])
    calls = tuple(part.call for part in said if isinstance(part, ToolCallPart))
    assert "".join(part.text for part in said if isinstance(part, ThinkingPart)) == "hm, so" == last.reply.thinking
    assert "".join(part.text for part in said if isinstance(part, TextPart)) == "I look it up" == last.reply.text
    assert [type(part) for part in said[-2:]] == [ToolCallPart, ToolCallPart]
    assert last.reply.calls == calls
    assert last.reply.finish == "tool"
    assert [(call.name, call.arguments) for call in calls] == [(call.name, call.arguments) for call in CALLS]
    assert len({call.id for call in calls}) == 2
    assert last.reply.usage.reasoning == (0 if dialect == "anthropic" else 2)  # Anthropic does not always say


async def test_signed_thoughts_go_back_as_they_came_and_to_nobody_else(client: HttpClient, dialect: str) -> None:
    secrets = {"anthropic": "c2lnbmVk", "gemini": "c2lnbmVk", "openai-responses": "c2VjcmV0"}
    with ModelServer(lambda _: ALL) as server:
        reply = await (await model_at(server, dialect).open(client)).complete(CONVERSATIONS["tools"])
        turn = msgspec.json.decode(msgspec.json.encode(reply.turn()), type=Turn)  # a store keeps it as JSON
        results = tuple(ToolResult(call.id, call.name, "fine") for call in reply.calls)
        history = Request(turns=(Turn("user", "?"), turn, Turn("tool", results=results)), tools=(WEATHER,))
        for other in DIALECTS:
            await (await model_at(server, other).open(client)).complete(history)
            body = server.requests[-1].body.decode()
            assert (secrets[dialect] in body) == (other == dialect)
            assert "I look it up" in body
            assert "Lisbon" in body


async def test_a_turn_that_was_changed_goes_back_as_it_is_now(client: HttpClient, dialect: str) -> None:
    with ModelServer(lambda _: ALL) as server:
        session = await model_at(server, dialect).open(client)
        reply = await session.complete(CONVERSATIONS["tools"])
        changed = msgspec.structs.replace(reply.turn(), calls=reply.calls[:1])
        await session.complete(
            Request(
                turns=(Turn("user", "?"), changed, Turn("tool", results=(ToolResult("toolu_1", "weather", "fine"),)))
            )
        )

    assert "clock" not in server.requests[-1].body.decode()


async def test_ids_that_are_made_up_are_new_in_the_conversation(client: HttpClient, dialect: str) -> None:
    nameless = Said(calls=(ToolCall("", "clock"), ToolCall("", "weather", {"city": "Faro"})))
    turns = [Turn("user", "?")]
    with ModelServer(lambda _: nameless) as server:
        session = await model_at(server, dialect).open(client)
        for is_streamed in (True, False, True):
            reply = await reply_of(session, Request(turns=tuple(turns), tools=(WEATHER,)), is_streamed=is_streamed)
            results = tuple(ToolResult(call.id, call.name, "fine") for call in reply.calls)
            turns += [reply.turn(), Turn("tool", results=results)]

    ids = [call.id for turn in turns for call in turn.calls]
    assert len(set(ids)) == len(ids) == 6


async def test_arguments_that_are_no_object_are_shown_and_not_called(client: HttpClient, dialect: str) -> None:
    if dialect == "gemini":
        return  # its arguments are an object already; see its own tests
    broken = Said(
        calls=(ToolCall("toolu_1", "weather", invalid='{"city": Lis'), ToolCall("toolu_2", "weather", invalid="7"))
    )
    with ModelServer(lambda _: broken) as server:
        session = await model_at(server, dialect).open(client)
        reply = await reply_of(session, question(), is_streamed=True)
        results = tuple(ToolResult(call.id, call.name, "no", is_error=True) for call in reply.calls)
        await session.complete(Request(turns=(Turn("user", "?"), reply.turn(), Turn("tool", results=results))))

    assert [call.invalid for call in reply.calls] == ['{"city": Lis', "7"]
    assert [call.arguments for call in reply.calls] == [{}, {}]


@ONE_LOOP
@pytest.mark.parametrize("cuts", [pytest.param(1, marks=pytest.mark.big), 61])
async def test_a_stream_is_read_alike_wherever_the_network_cuts_it(dialect: str, cuts: int) -> None:
    said = Said(thinking="hm é", text="ja \u2028 \U0001f600 so", calls=CALLS)
    whole = streamed_bytes(dialect, said)
    transport = Bytes("text/event-stream", [whole])
    async with HttpClient(transport=transport) as client:
        session = await resolve(f"{dialect}::test-model", base_url="http://box", api_key=KEY).open(client)
        expected = await parts_of(session, question())
        assert isinstance(expected[-1], ReplyPart)
        assert (expected[-1].reply.text, len(expected[-1].reply.calls)) == (said.text, 2)
        for place in range(1, len(whole), cuts):
            transport.pieces = [whole[:place], whole[place:]]
            assert await parts_of(session, question()) == expected
        transport.pieces = [whole[place : place + 1] for place in range(len(whole))]
        assert await parts_of(session, question()) == expected


@ONE_LOOP
@pytest.mark.parametrize("cuts", [pytest.param(1, marks=pytest.mark.big), 61])
async def test_no_call_comes_out_of_a_stream_that_broke_off(dialect: str, cuts: int) -> None:
    whole = streamed_bytes(dialect, ALL)
    terminal = {
        "anthropic": b"event: message_stop",
        "gemini": b'"finishReason"',
        "openai-responses": b"event: response.completed",
    }
    transport = Bytes("text/event-stream", [])
    async with HttpClient(transport=transport) as client:
        session = await resolve(f"{dialect}::test-model", base_url="http://box", api_key=KEY).open(client)
        for place in range(0, whole.index(terminal.get(dialect, b"event: response.completed")), cuts):
            transport.pieces = [whole[:place]]
            parts: list[Any] = []
            with pytest.raises(IncompleteStreamError):
                async for part in session.stream(question()):
                    parts.append(part)  # noqa: PERF401 – it raises
            assert not any(isinstance(part, (ToolCallPart, ReplyPart)) for part in parts)


async def test_a_server_that_does_not_stream_is_read_all_the_same(client: HttpClient, dialect: str) -> None:
    bodies = {
        "anthropic": {"type": "message", "content": [{"type": "text", "text": "whole"}], "stop_reason": "end_turn"},
        "gemini": [{"candidates": [{"content": {"parts": [{"text": "whole"}]}, "finishReason": "STOP"}]}],
        "openai-responses": {
            "object": "response",
            "status": "completed",
            "output": [{"type": "message", "content": [{"type": "output_text", "text": "whole"}]}],
        },
    }
    with ModelServer() as server:
        server.fail(Fault(body=msgspec.json.encode(bodies[dialect])))
        parts = await parts_of(await model_at(server, dialect).open(client), question())

    assert "".join(part.text for part in parts if isinstance(part, TextPart)) == "whole"
    assert isinstance(parts[-1], ReplyPart)
    assert parts[-1].reply.text == "whole"


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"7", b"{}", b"{", b"[" * 10_000, b'{"error":"out of memory"}'])
async def test_what_is_no_answer_is_a_typed_error(client: HttpClient, dialect: str, body: bytes) -> None:
    with ModelServer() as server:
        session = await model_at(server, dialect).open(client)
        for is_streamed in (False, True):
            server.fail(Fault(body=body), Fault(pieces=(b"data: " + body + b"\n\n",)))
            for _ in range(2):
                with pytest.raises(ModelError):
                    await reply_of(session, question(), is_streamed=is_streamed)
            assert (await reply_of(session, question(), is_streamed=is_streamed)).text == "echo: hi"


# -- keys, addresses, options


async def test_the_key_travels_in_its_own_header(client: HttpClient, dialect: str) -> None:
    names = {"anthropic": "x-api-key", "gemini": "x-goog-api-key", "openai-responses": "authorization"}
    with ModelServer(key=KEY) as server:
        await (await model_at(server, dialect).open(client)).complete(question())
        with pytest.raises(ModelAuthError):
            await (await model_at(server, dialect, key="sk-wrong").open(client)).complete(question())

    headers = server.requests[0].headers
    assert headers[names[dialect]].endswith(KEY)
    assert [name for name, value in headers.items() if KEY in value] == [names[dialect]]


async def test_the_key_is_in_no_error(client: HttpClient, dialect: str) -> None:
    key = "AIzaCanaryCanaryCanary4711"
    words = f"bad key {key}, x-api-key: {key}"
    body = msgspec.json.encode({"type": "error", "error": {"type": "api_error", "message": words}})
    with ModelServer() as server:
        session = await model_at(server, dialect, key=key).open(client)
        for is_streamed in (False, True):
            for fault in (Fault(status=401, body=body), Fault(body=body), Fault(pieces=(b"data: " + body + b"\n\n",))):
                server.fail(fault)
                with pytest.raises(ModelError) as caught:
                    await reply_of(session, question(), is_streamed=is_streamed)
                assert key not in f"{caught.value} {caught.value!r} {vars(caught.value)} {caught.value.__cause__!r}"
        assert key not in repr(session) + repr(model_at(server, dialect, key=key))


@pytest.mark.parametrize("variable", ["OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY"])
def test_a_missing_key_names_its_variable(monkeypatch: pytest.MonkeyPatch, dialect: str, variable: str) -> None:
    model = resolve(f"{dialect}::m")
    variables = {
        "anthropic": ["ANTHROPIC_API_KEY"],
        "gemini": ["GOOGLE_API_KEY", "GEMINI_API_KEY"],
        "openai-responses": ["OPENAI_API_KEY"],
    }
    with pytest.raises(ModelConfigError, match=variables[dialect][0]):
        model.check()

    monkeypatch.setenv(variable, KEY)
    if variable in variables[dialect]:
        model.check()
    else:
        with pytest.raises(ModelConfigError, match=variables[dialect][0]):
            model.check()
    resolve(f"{dialect}::m", base_url="http://127.0.0.1:1").check()  # a server of one's own may want none


async def test_an_option_is_checked_by_the_services_names(client: HttpClient, dialect: str) -> None:
    known: dict[str, Any] = {"top_p": 0.5}
    if dialect != "openai-responses":
        known = {"topP": 0.5} if dialect == "gemini" else {"speed": "fast"}
    with ModelServer() as server:
        session = await model_at(server, dialect, options={**known, "extra_body": {"new": 1}}).open(client)
        await session.complete(question())
        with pytest.raises(ModelConfigError, match=r"'sped'.*extra_body"):
            await session.complete(question(options={"sped": 1}))
        with pytest.raises(ModelConfigError, match="'sped'"):
            model_at(server, dialect, options={"sped": 1}).check()

    body = server.requests[0].json
    assert body["new"] == 1
    assert body.get("generationConfig", body).items() >= known.items()


async def test_an_unknown_model_is_answered_with_the_known_ones(client: HttpClient, dialect: str) -> None:
    with ModelServer(models=("other-model",)) as server:
        session = await model_at(server, dialect).open(client)
        for is_streamed in (False, True):
            with pytest.raises(ModelNotFoundError, match="'test-model'") as caught:
                await reply_of(session, question(), is_streamed=is_streamed)
            assert caught.value.available == ("other-model",)
