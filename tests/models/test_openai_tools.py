"""Tools, results and schemas in chat completions: what is sent to which server, and what comes back of it."""

from typing import Any

import msgspec
import pytest

from ceylon.errors import IncompleteStreamError, ModelConfigError, ModelError
from ceylon.models.http import HttpClient
from ceylon.models.openai import OpenAIModel
from ceylon.models.openai_request import messages, settings
from ceylon.models.providers import SERVICES
from ceylon.models.quirks import OPENAI, Quirks
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

PARAMETERS = {
    "type": "object",
    "properties": {"sku": {"type": "string"}, "most": {"type": "integer", "default": 9}},
    "required": ["sku"],
}
STOCK = Tool("stock", "Says how many there are.", PARAMETERS)
CALL = ToolCall("a", "stock", {"sku": "A7"})
OTHER = ToolCall("b", "stock", {"sku": "B8"})
COUNT = OutputSchema("count", {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]})


def model_of(server: ModelServer, **more: Any) -> OpenAIModel:
    return OpenAIModel(model="test-model", base_url=server.openai_url, **more)


# -- what is sent


async def test_tools_and_a_schema_are_sent_as_servers_read_them(client: HttpClient, server: ModelServer) -> None:
    session = await model_of(server).open(client)

    await session.complete(question(tools=(STOCK,), tool_choice="stock", output=COUNT))

    body = server.requests[0].json
    assert body["tools"] == [
        {"type": "function", "function": {"name": "stock", "description": STOCK.description, "parameters": PARAMETERS}}
    ]
    assert body["tool_choice"] == {"type": "function", "function": {"name": "stock"}}
    assert body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "count", "schema": COUNT.schema},
    }
    assert "parallel_tool_calls" not in body


@pytest.mark.parametrize(("choice", "sent"), [("auto", None), ("none", "none"), ("required", "required")])
def test_a_choice_is_sent_unless_it_is_the_usual_one(choice: str, sent: str | None) -> None:
    assert settings("m", question(tools=(STOCK,), tool_choice=choice), Quirks()).get("tool_choice") == sent
    assert "tool_choice" not in settings("m", question(tool_choice=choice), Quirks())


def test_the_official_server_is_held_to_the_schemas() -> None:
    body = settings("m", question(tools=(STOCK,), output=COUNT, max_tokens=5), OPENAI.quirks)

    function = body["tools"][0]["function"]
    assert function["strict"] is True
    assert function["parameters"] == {
        "type": "object",
        "properties": {"sku": {"type": "string"}, "most": {"type": "integer", "description": "default: 9"}},
        "required": ["sku", "most"],
        "additionalProperties": False,
    }
    assert body["response_format"]["json_schema"]["strict"] is True
    assert body["response_format"]["json_schema"]["schema"]["additionalProperties"] is False
    assert body["max_completion_tokens"] == 5


def test_a_schema_that_cannot_be_strict_is_sent_as_it_is() -> None:
    free = {"type": "object", "properties": {"x": {"type": "object"}}, "required": ["x"]}
    request = question(tools=(Tool("free", "", free),), output=OutputSchema("free", free, "Anything."))

    body = settings("m", request, OPENAI.quirks)

    assert body["tools"][0]["function"] == {"name": "free", "description": "", "parameters": free}
    assert body["response_format"]["json_schema"] == {
        "name": "free",
        "schema": free,
        "strict": False,
        "description": "Anything.",
    }


TALK = (
    Turn("system", "be brief"),
    Turn("user", "how many?"),
    Turn("assistant", "", "hm", (CALL, ToolCall("b", "stock of/what", invalid="{sku"))),
    Turn("tool", results=(ToolResult("a", "stock", "3"), ToolResult("b", "stock", "no such", is_error=True))),
    Turn("assistant", "Three.", "well"),
)


def test_calls_and_results_go_back_paired() -> None:
    sent = messages(Request(turns=TALK), Quirks())

    assert sent == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "how many?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "stock", "arguments": '{"sku":"A7"}'}},
                {
                    "id": "b",
                    "type": "function",
                    "function": {"name": "stock_of_what", "arguments": '{"invalid":"{sku"}'},
                },
            ],
        },
        {"role": "tool", "tool_call_id": "a", "content": "3"},
        {"role": "tool", "tool_call_id": "b", "content": "no such"},
        {"role": "assistant", "content": "Three."},
    ]


def test_thoughts_that_led_to_calls_go_back_where_they_are_wanted() -> None:
    sent = messages(Request(turns=TALK), SERVICES["deepseek"].quirks)

    assert sent[2]["reasoning_content"] == "hm"
    assert "reasoning_content" not in sent[5]


def test_ids_are_as_short_as_mistral_wants_them_and_still_pair() -> None:
    sent = messages(Request(turns=TALK), SERVICES["mistral"].quirks)

    first, second = (call["id"] for call in sent[2]["tool_calls"])
    assert (sent[3]["tool_call_id"], sent[4]["tool_call_id"]) == (first, second)
    assert first != second
    assert len(first) == 9
    assert (
        messages(
            Request(turns=(Turn("tool", results=(ToolResult("abcDEF123", "x", "y"),)),)), SERVICES["mistral"].quirks
        )[0]["tool_call_id"]
        == "abcDEF123"
    )


def test_a_name_that_no_server_would_take_back_is_made_one() -> None:
    turn = Turn("assistant", calls=(ToolCall("a", "x" * 10_240), ToolCall("b", "")))

    calls = messages(Request(turns=(turn,)), Quirks())[0]["tool_calls"]

    assert [call["function"]["name"] for call in calls] == ["x" * 64, "_"]


def test_pictures_sounds_and_files_are_pieces_of_the_content() -> None:
    attached = (
        Attachment("image/png", b"\x89P"),
        Attachment("audio/wav", b"RI"),
        Attachment("text/csv", b"a", "a.csv"),
    )

    sent = messages(Request(turns=(Turn("user", "look", attachments=attached),)), Quirks())

    assert sent[0]["content"] == [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVA="}},
        {"type": "input_audio", "input_audio": {"data": "Ukk=", "format": "wav"}},
        {"type": "file", "file": {"filename": "a.csv", "file_data": "data:text/csv;base64,YQ=="}},
    ]


def test_pictures_of_a_result_follow_it_as_the_users() -> None:
    turn = Turn("tool", results=(ToolResult("a", "shot", "see"),), attachments=(Attachment("image/png", b""),))

    assert [each["role"] for each in messages(Request(turns=(turn,)), Quirks())] == ["tool", "user"]


def test_a_setting_the_server_does_not_have_is_refused() -> None:
    assert settings("m", question(seed=1), SERVICES["mistral"].quirks) == {"random_seed": 1}
    with pytest.raises(ModelConfigError, match="perplexity takes no seed"):
        settings("perplexity", question(seed=1), SERVICES["perplexity"].quirks)


async def test_a_server_that_sends_its_usage_anyway_is_not_asked_for_it(
    client: HttpClient, server: ModelServer
) -> None:
    session = await model_of(server, service=SERVICES["mistral"]).open(client)

    await parts_of(session, question())

    assert "stream_options" not in server.requests[0].json


def test_whoever_only_borrows_openais_name_is_not_held_to_its_ways(server: ModelServer) -> None:
    assert model_of(server).quirks == Quirks()
    assert OpenAIModel(model="m").quirks.strict
    assert OpenAIModel(
        model="m", base_url="https://x.openai.azure.com/openai/v1", service=SERVICES["azure"]
    ).quirks.strict


def test_azure_needs_an_address_and_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    model = OpenAIModel(model="m", service=SERVICES["azure"])

    with pytest.raises(ModelConfigError, match="AZURE_OPENAI_BASE_URL"):
        model.check()
    monkeypatch.setenv("AZURE_OPENAI_BASE_URL", "https://x.openai.azure.com/openai/v1")
    with pytest.raises(ModelConfigError, match="AZURE_OPENAI_API_KEY"):
        model.check()


async def test_abilities_are_the_services(client: HttpClient, server: ModelServer) -> None:
    session = await model_of(server, service=SERVICES["perplexity"]).open(client)

    assert not session.abilities.tools
    assert (await model_of(server).open(client)).abilities.tools


# -- what comes back


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_calls_come_whole_behind_the_text(client: HttpClient, server: ModelServer, *, is_streamed: bool) -> None:
    server.say(Said(text="Let me see.", thinking="hm", calls=(CALL, OTHER)))
    session = await model_of(server).open(client)

    if is_streamed:
        *parts, last = await parts_of(session, question(tools=(STOCK,)))
        assert isinstance(last, ReplyPart)
        reply = last.reply
        assert [type(part) for part in parts] == [
            ThinkingPart,
            TextPart,
            TextPart,
            TextPart,
            ToolCallPart,
            ToolCallPart,
        ]
    else:
        reply = await session.complete(question(tools=(STOCK,)))

    assert (reply.text, reply.thinking, reply.calls, reply.finish) == ("Let me see.", "hm", (CALL, OTHER), "tool")
    assert reply.usage == Usage(input=1, output=6)


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_calls_decide_the_finish_whatever_the_server_says(
    client: HttpClient, server: ModelServer, *, is_streamed: bool
) -> None:
    call = {"id": "a", "type": "function", "function": {"name": "stock", "arguments": '{"sku":"A7"}'}}
    for finish, expected, calls in [
        ("stop", "tool", (CALL,)),
        ("length", "length", ()),
        ("content_filter", "filter", ()),
    ]:
        whole = {"choices": [{"message": {"content": None, "tool_calls": [call]}, "finish_reason": finish}]}
        server.fail(Fault(body=msgspec.json.encode(whole)))
        session = await model_of(server).open(client)

        if is_streamed:
            last = (await parts_of(session, question()))[-1]
            reply = last.reply if isinstance(last, ReplyPart) else None
        else:
            reply = await session.complete(question())

        assert reply is not None
        assert (reply.finish, reply.calls) == (expected, calls)


async def test_calls_without_a_finish_reason_are_whole_at_done(client: HttpClient, server: ModelServer) -> None:
    delta = {"tool_calls": [{"function": {"name": "stock", "arguments": {"sku": "A7"}}}]}
    server.fail(
        Fault(pieces=(b"data: " + msgspec.json.encode({"choices": [{"delta": delta}]}), b"\n\ndata: [DONE]\n\n"))
    )
    session = await model_of(server).open(client)

    *_, part, last = await parts_of(session, question())

    assert part == ToolCallPart(ToolCall("call_0", "stock", {"sku": "A7"}))
    assert isinstance(last, ReplyPart)
    assert last.reply.finish == "tool"


async def test_no_call_comes_out_of_a_stream_that_was_cut_off(client: HttpClient, server: ModelServer) -> None:
    """Cut it at every byte: there is a call only where the server had said that it was the end."""
    said = Said(text="hm", calls=(CALL, OTHER))
    server.say(said)
    session = await model_of(server).open(client)
    await parts_of(session, question())
    body = b"".join(answer("openai", Question(model="test-model", stream=True), said).pieces)
    end = body.index(b'"finish_reason":"tool_calls"')
    for position in [*range(0, end, 7), *range(end - 3, end + 20)]:
        server.say(said)
        server.fail(Fault(cut_at=position, ends_cleanly=bool(position % 2)))
        parts: list[object] = []
        try:
            async for part in session.stream(question()):
                parts.append(part)  # noqa: PERF401 – what came before the error counts
        except (IncompleteStreamError, ModelError):
            assert not any(isinstance(part, ToolCallPart | ReplyPart) for part in parts)
        else:
            assert position > end
            assert [part.call for part in parts if isinstance(part, ToolCallPart)] == [CALL, OTHER]
