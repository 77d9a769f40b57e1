"""Tools, results and schemas in Ollama's own API, and what a model is spared that it cannot."""

import msgspec
import pytest

from ceylon.errors import IncompleteStreamError, ModelConfigError, ModelError
from ceylon.models.http import HttpClient
from ceylon.models.ollama import OllamaModel, OllamaSession
from ceylon.models.turns import (
    Attachment,
    OutputSchema,
    ReplyPart,
    Request,
    TextPart,
    ThinkingPart,
    Tool,
    ToolCall,
    ToolCallPart,
    ToolResult,
    Turn,
    Usage,
)
from ceylon.testing.dialects import Question, answer
from ceylon.testing.model_server import Fault, ModelServer, Said
from support.models import parts_of, question

pytestmark = pytest.mark.anyio

STOCK = Tool("stock", "Says how many there are.", {"type": "object", "properties": {"sku": {"type": "string"}}})
CALL = ToolCall("a", "stock", {"sku": "A7"})
COUNT = OutputSchema("count", {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]})
TALK = (
    Turn("user", "how many?"),
    Turn("assistant", "", "hm", (CALL,)),
    Turn("tool", results=(ToolResult("a", "stock", "3"),)),
)


async def session_with(client: HttpClient, server: ModelServer, **options: object) -> OllamaSession:
    return await OllamaModel(model="test-model", base_url=server.base_url, options=dict(options)).open(client)


async def test_tools_and_the_talk_about_them_are_sent_as_ollama_reads_them(
    client: HttpClient, server: ModelServer
) -> None:
    session = await session_with(client, server)

    await session.complete(Request(turns=TALK, tools=(STOCK,)))

    body = server.requests[0].json
    assert body["tools"] == [
        {
            "type": "function",
            "function": {"name": "stock", "description": STOCK.description, "parameters": STOCK.parameters},
        }
    ]
    assert body["messages"] == [
        {"role": "user", "content": "how many?"},
        {
            "role": "assistant",
            "content": "",
            "thinking": "hm",
            "tool_calls": [{"id": "a", "function": {"name": "stock", "arguments": {"sku": "A7"}}}],
        },
        {"role": "tool", "tool_name": "stock", "tool_call_id": "a", "content": "3"},
    ]
    assert "format" not in body


async def test_a_choice_of_none_leaves_the_tools_out(client: HttpClient, server: ModelServer) -> None:
    session = await session_with(client, server)

    await session.complete(question(tools=(STOCK,), tool_choice="none"))

    assert "tools" not in server.requests[0].json
    assert server.shown == 0


async def test_a_schema_is_the_format(client: HttpClient, server: ModelServer) -> None:
    session = await session_with(client, server)

    await session.complete(question(output=COUNT))

    assert server.requests[0].json["format"] == COUNT.schema
    assert server.shown == 0


async def test_pictures_are_sent_as_they_are_and_files_are_refused(client: HttpClient, server: ModelServer) -> None:
    session = await session_with(client, server)

    await session.complete(Request(turns=(Turn("user", "look", attachments=(Attachment("image/png", b"\x89P"),)),)))

    assert server.requests[0].json["messages"] == [{"role": "user", "content": "look", "images": ["iVA="]}]
    with pytest.raises(ModelConfigError, match=r"pictures and no files, and a\.csv is text/csv"):
        await session.complete(
            Request(turns=(Turn("user", attachments=(Attachment("text/csv", b"", "a.csv"),)),)),
        )


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_calls_come_whole(client: HttpClient, server: ModelServer, *, is_streamed: bool) -> None:
    server.say(Said(text="Let me see.", thinking="hm", calls=(CALL, ToolCall("", "stock", {"sku": "B8"}))))
    session = await session_with(client, server)

    if is_streamed:
        *parts, last = await parts_of(session, question(tools=(STOCK,)))
        assert isinstance(last, ReplyPart)
        reply = last.reply
        kinds = [ThinkingPart, TextPart, TextPart, TextPart, ToolCallPart, ToolCallPart]
        assert [type(part) for part in parts] == kinds
    else:
        reply = await session.complete(question(tools=(STOCK,)))

    assert reply.calls == (CALL, ToolCall("call_1", "stock", {"sku": "B8"}))
    assert (reply.text, reply.thinking, reply.finish) == ("Let me see.", "hm", "tool")
    assert reply.usage == Usage(input=1, output=6)


async def test_a_call_without_an_id_or_with_arguments_of_another_kind(client: HttpClient, server: ModelServer) -> None:
    calls = [
        {"function": {"name": "stock", "arguments": '{"sku":"A7"}'}},
        {"function": {"name": "stock", "arguments": [1]}},
    ]
    server.fail(Fault(body=msgspec.json.encode({"message": {"tool_calls": calls}, "done": True})))
    session = await session_with(client, server)

    reply = await session.complete(Request(turns=TALK))

    assert reply.calls == (ToolCall("call_1", "stock", {"sku": "A7"}), ToolCall("call_2", "stock", {}, "[1]"))


async def test_no_call_comes_out_of_a_stream_that_was_cut_off(client: HttpClient, server: ModelServer) -> None:
    said = Said(calls=(CALL,))
    body = b"".join(answer("ollama", Question(model="test-model", stream=True), said).pieces)
    end = body.index(b'"done":true')
    session = await session_with(client, server)
    for position in range(0, end, 5):
        server.say(said)
        server.fail(Fault(cut_at=position, ends_cleanly=bool(position % 2)))
        parts: list[object] = []
        with pytest.raises((IncompleteStreamError, ModelError)):
            async for part in session.stream(question()):
                parts.append(part)  # noqa: PERF401 – what came before the error counts
        assert not any(isinstance(part, ToolCallPart | ReplyPart) for part in parts)


async def test_what_a_model_can_is_asked_once_and_only_when_it_matters(client: HttpClient, server: ModelServer) -> None:
    session = await session_with(client, server)

    await session.complete(question())
    assert server.shown == 0
    for _ in range(3):
        await session.complete(question(tools=(STOCK,)))

    assert server.shown == 1


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_a_model_without_tools_calls_by_a_schema(client: HttpClient, *, is_streamed: bool) -> None:
    with ModelServer(capabilities=["completion"]) as server:
        server.say('{"tool": "stock", "arguments": {"sku": "A7"}}')
        session = await session_with(client, server)

        if is_streamed:
            *parts, last = await parts_of(session, Request(turns=TALK, tools=(STOCK,)))
            assert parts == [ToolCallPart(ToolCall("call_1", "stock", {"sku": "A7"}))]
            assert isinstance(last, ReplyPart)
            reply = last.reply
        else:
            reply = await session.complete(Request(turns=TALK, tools=(STOCK,)))
        body = server.requests[0].json

    assert (reply.calls, reply.finish) == ((ToolCall("call_1", "stock", {"sku": "A7"}),), "tool")
    assert "tools" not in body
    assert body["format"]["anyOf"][0]["properties"]["tool"]["enum"] == ["stock"]
    assert [message["role"] for message in body["messages"]] == ["system", "user", "assistant", "user"]
    assert body["messages"][-1]["content"].startswith("Result of stock: 3\n")


async def test_a_model_without_tools_is_told_of_calls_in_words(client: HttpClient) -> None:
    with ModelServer(capabilities=["completion"]) as server:
        await (await session_with(client, server)).complete(Request(turns=TALK))

        assert [message["role"] for message in server.requests[0].json["messages"]] == ["user", "assistant", "user"]


async def test_a_model_that_cannot_think_is_not_asked_to(client: HttpClient) -> None:
    with ModelServer(capabilities=["completion"]) as server:
        session = await session_with(client, server, think=True)

        assert (await session.complete(question())).text == "echo: hi"
        assert server.requests[0].json["think"] is False


async def test_a_model_that_can_think_is(client: HttpClient, server: ModelServer) -> None:
    await (await session_with(client, server, think=True)).complete(question())

    assert server.requests[0].json["think"] is True


@pytest.mark.parametrize(("wish", "level"), [(True, "medium"), (False, "low"), ("high", "high")])
async def test_a_model_that_thinks_by_levels_gets_one(client: HttpClient, wish: object, level: str) -> None:
    with ModelServer(models=["gpt-oss:20b"]) as server:
        model = OllamaModel(model="gpt-oss:20b", base_url=server.base_url, options={"think": wish})

        await (await model.open(client)).complete(question())

        assert server.requests[0].json["think"] == level


async def test_a_server_that_does_not_say_what_it_can_is_asked_for_everything(client: HttpClient) -> None:
    with ModelServer(capabilities=()) as server:
        session = await session_with(client, server)
        with pytest.raises(ModelError, match="does not support tools"):
            await session.complete(question(tools=(STOCK,)))


@pytest.mark.parametrize(
    ("model", "url", "output"),
    [
        ("gpt-oss:120b-cloud", "http://127.0.0.1:1", "prompt"),
        ("gpt-oss:120b", "https://ollama.com", "prompt"),
        ("gpt-oss:20b", "http://127.0.0.1:1", "schema"),
    ],
)
async def test_models_that_only_seem_to_be_here_are_told_the_schema(
    client: HttpClient, model: str, url: str, output: str
) -> None:
    assert (await OllamaModel(model=model, base_url=url).open(client)).abilities.output == output
