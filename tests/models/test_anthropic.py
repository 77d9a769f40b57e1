"""Anthropic's Messages API: what is sent, and what is tolerated."""

from typing import Any

import msgspec
import pytest

from ceylon.errors import (
    IncompleteStreamError,
    ModelAuthError,
    ModelConfigError,
    ModelProtocolError,
    ModelRateLimitError,
    ModelStatusError,
)
from ceylon.models.anthropic import AnthropicModel
from ceylon.models.http import HttpClient
from ceylon.models.turns import (
    Attachment,
    Finish,
    Native,
    OutputSchema,
    Reply,
    Request,
    Tool,
    ToolCall,
    ToolResult,
    Turn,
    Usage,
)
from ceylon.settings import DEFAULTS
from ceylon.testing.model_server import Fault, ModelServer
from support.models import question
from support.services import CONVERSATIONS, PICTURE, WEATHER, body_of, model_at, reply_of

pytestmark = pytest.mark.anyio

START = {"type": "message_start", "message": {"model": "m", "usage": {"input_tokens": 3}}}
END = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}}
STOP = {"type": "message_stop"}


def block(index: int, content: dict[str, Any], *deltas: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"type": "content_block_start", "index": index, "content_block": content},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


HI = block(0, {"type": "text", "text": ""}, {"type": "text_delta", "text": "hi"})


def use(index: int, identity: str, *pieces: str) -> list[dict[str, Any]]:
    deltas = ({"type": "input_json_delta", "partial_json": piece} for piece in pieces)
    return block(index, {"type": "tool_use", "id": identity, "name": "weather", "input": {}}, *deltas)


async def streamed(server: ModelServer, client: HttpClient, *events: dict[str, Any]) -> Reply:
    pieces = tuple(f"event: {each['type']}\ndata: ".encode() + msgspec.json.encode(each) + b"\n\n" for each in events)
    server.fail(Fault(pieces=pieces))
    return await reply_of(await model_at(server, "anthropic").open(client), question(), is_streamed=True)


async def whole(server: ModelServer, client: HttpClient, **body: Any) -> Reply:
    server.fail(Fault(body=msgspec.json.encode({"type": "message", "content": [], **body})))
    return await (await model_at(server, "anthropic").open(client)).complete(question())


async def test_results_are_one_message_and_come_first_in_it(client: HttpClient, server: ModelServer) -> None:
    body = await body_of(server, client, model_at(server, "anthropic"), CONVERSATIONS["results and more"])

    assert body["system"] == "Be brief."
    assert body["max_tokens"] == DEFAULTS.model_answer_tokens
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "user"]
    assert body["messages"][1]["content"] == [
        {"type": "text", "text": "Let me look."},
        {"type": "tool_use", "id": "call_a", "name": "weather", "input": {"city": "Lisbon"}},
        {"type": "tool_use", "id": "call_b", "name": "clock", "input": {}},
    ]
    assert body["messages"][2]["content"] == [
        {"type": "tool_result", "tool_use_id": "call_a", "content": '{"sky": "blue"}'},
        {"type": "tool_result", "tool_use_id": "call_b", "content": "broken", "is_error": True},
        {"type": "text", "text": "And?"},
    ]


async def test_results_come_first_even_where_the_turns_do_not(client: HttpClient, server: ModelServer) -> None:
    turns = (
        Turn("user", "?"),
        Turn("assistant", calls=(ToolCall("a.b:0", "weather"),)),
        Turn("user", "wait"),
        Turn("tool", results=(ToolResult("a.b:0", "weather", "fine"),)),
        Turn("assistant", " "),
        Turn("user", "and?"),
    )

    body = await body_of(server, client, model_at(server, "anthropic"), Request(turns=turns))

    assert body["messages"][1:] == [
        {"role": "assistant", "content": [{"type": "tool_use", "id": "a_b_0", "name": "weather", "input": {}}]},
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "a_b_0", "content": "fine"},
                {"type": "text", "text": "wait"},
                {"type": "text", "text": "and?"},
            ],
        },
    ]


@pytest.mark.parametrize(
    ("name", "choice"),
    [
        ("tools", None),
        ("some tool", {"type": "any"}),
        ("a tool by name", {"type": "tool", "name": "weather"}),
        ("no tool", {"type": "none"}),
    ],
)
async def test_tools_and_their_choice(client: HttpClient, server: ModelServer, name: str, choice: object) -> None:
    body = await body_of(server, client, model_at(server, "anthropic"), CONVERSATIONS[name])

    assert body["tools"][0] == {
        "name": "weather",
        "description": "Tell the weather.",
        "input_schema": WEATHER.parameters,
    }
    assert body.get("tool_choice") == choice


async def test_one_call_at_a_time_can_be_asked_for(client: HttpClient, server: ModelServer) -> None:
    model = model_at(server, "anthropic", options={"disable_parallel_tool_use": True})

    assert (await body_of(server, client, model, CONVERSATIONS["tools"]))["tool_choice"] == {
        "type": "auto",
        "disable_parallel_tool_use": True,
    }
    assert (await body_of(server, client, model, CONVERSATIONS["some tool"]))["tool_choice"]["type"] == "any"
    assert "tool_choice" not in await body_of(server, client, model, question())


async def test_a_model_that_thinks_at_length_is_not_forced_and_has_room(
    client: HttpClient, server: ModelServer
) -> None:
    thinking = {"type": "enabled", "budget_tokens": 2048}
    model = model_at(server, "anthropic", options={"thinking": thinking})

    body = await body_of(server, client, model, CONVERSATIONS["some tool"])

    assert body["thinking"] == thinking
    assert "tool_choice" not in body
    assert body["max_tokens"] == DEFAULTS.model_answer_tokens + 2048


def test_some_models_are_never_forced() -> None:
    for name, is_forceable in (("claude-haiku-4-5", True), ("claude-fable-5", False), ("claude-mythos-5-1", False)):
        session = AnthropicModel(model=name, base_url="http://box").dialect()
        assert session.abilities.tool_choice == is_forceable


async def test_a_schema_is_closed_and_keeps_the_effort(client: HttpClient, server: ModelServer) -> None:
    model = model_at(server, "anthropic", options={"output_config": {"effort": "low"}})

    config = (await body_of(server, client, model, CONVERSATIONS["output"]))["output_config"]

    schema = config["format"]["schema"]
    assert (config["effort"], config["format"]["type"]) == ("low", "json_schema")
    assert schema["additionalProperties"] is False
    assert schema["properties"]["hours"]["items"]["additionalProperties"] is False
    assert schema["properties"]["degrees"]["anyOf"][0] == {"type": "integer", "description": "{minimum: -90}"}


async def test_a_schema_that_cannot_be_closed_is_told(client: HttpClient, server: ModelServer) -> None:
    schema = {"type": "object", "additionalProperties": {"type": "integer"}}
    request = Request(turns=(Turn("user", "?"),), output=OutputSchema("Counts", schema))

    body = await body_of(server, client, model_at(server, "anthropic"), request)

    assert "output_config" not in body
    assert '"additionalProperties":{"type":"integer"}' in body["system"]


async def test_pictures_and_papers_are_blocks(client: HttpClient, server: ModelServer) -> None:
    turn = Turn(
        "user",
        "What?",
        attachments=(
            PICTURE,
            Attachment("application/pdf", b"%PDF", "a.pdf"),
            Attachment("text/csv", "é;1".encode()),
        ),
    )

    body = await body_of(server, client, model_at(server, "anthropic"), Request(turns=(turn,)))

    assert body["messages"][0]["content"] == [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}},
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="},
            "title": "a.pdf",
        },
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "é;1"}},
        {"type": "text", "text": "What?"},
    ]
    with pytest.raises(ModelConfigError, match="takes no audio/wav"):
        await body_of(
            server,
            client,
            model_at(server, "anthropic"),
            Request(turns=(Turn("user", attachments=(Attachment("audio/wav", b""),)),)),
        )


async def test_settings_have_their_names_and_what_is_refused_is_passed_over(
    client: HttpClient, server: ModelServer
) -> None:
    options = {"cache_control": {"type": "ephemeral"}, "betas": ["a-1", "b-2"]}
    request = msgspec.structs.replace(CONVERSATIONS["settings"], stop=("x",))

    body = await body_of(server, client, model_at(server, "anthropic", options=options), request)

    headers = server.requests[-1].headers
    assert headers["anthropic-beta"] == "a-1,b-2"
    assert headers["anthropic-version"] == "2026-10-21"
    assert {name: body[name] for name in body if name not in {"messages", "system"}} == {
        "model": "test-model",
        "max_tokens": 64,
        "stop_sequences": ["x"],
        "cache_control": {"type": "ephemeral"},
    }


async def test_a_temperature_is_sent_to_the_version_that_took_one(client: HttpClient, server: ModelServer) -> None:
    old = model_at(server, "anthropic", options={"anthropic_version": "2023-06-01", "top_k": 3})

    body = await body_of(server, client, old, CONVERSATIONS["settings"])

    assert (body["temperature"], body["top_k"]) == (0.5, 3)
    assert server.requests[-1].headers["anthropic-version"] == "2023-06-01"
    assert "anthropic_version" not in body
    with pytest.raises(ModelConfigError, match="'top_k'"):
        model_at(server, "anthropic", options={"top_k": 3}).check()


async def test_a_token_of_the_environment_is_a_bearer_and_an_address_may_have_its_version(
    client: HttpClient, server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "token-4711")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", f"{server.base_url}/v1/")

    await (await AnthropicModel(model="test-model").open(client)).complete(question())

    assert server.requests[0].headers["authorization"] == "Bearer token-4711"
    assert "x-api-key" not in server.requests[0].headers


# -- answers


async def test_what_is_not_known_is_passed_over(client: HttpClient, server: ModelServer) -> None:
    reply = await streamed(
        server,
        client,
        {"type": "ping"},
        START,
        *block(0, {"type": "hologram", "light": {}}, {"type": "light_delta", "text": {"a": 1}}),
        *block(
            1,
            {"type": "text", "text": "a"},
            {"type": "text_delta", "text": "b"},
            {"type": "citations_delta", "citation": {}},
            {"type": "new_delta", "text": 7},
        ),
        {"type": "ping"},
        {"type": "weather_report", "sky": ["blue"]},
        END,
        STOP,
    )

    assert reply == Reply(text="ab", usage=Usage(input=3, output=2), model="m")


async def test_thoughts_keep_signature_and_order(client: HttpClient, server: ModelServer) -> None:
    reply = await streamed(
        server,
        client,
        START,
        *block(
            0,
            {"type": "thinking", "thinking": "", "signature": ""},
            {"type": "thinking_delta", "thinking": "h"},
            {"type": "thinking_delta", "thinking": "m"},
            {"type": "signature_delta", "signature": "s1"},
            {"type": "signature_delta", "signature": "s2"},
        ),
        *block(1, {"type": "redacted_thinking", "data": "xx"}),
        *block(2, {"type": "text", "text": ""}, {"type": "text_delta", "text": "so", "citations": None}),
        *use(3, "toolu_1", "", '{"city": "Fa', 'ro"}'),
        END,
        STOP,
    )

    assert reply.thinking == "hm"
    assert reply.native == Native(
        "anthropic",
        [
            {"type": "thinking", "thinking": "hm", "signature": "s1s2"},
            {"type": "redacted_thinking", "data": "xx"},
            {"type": "text", "text": "so"},
            {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Faro"}},
        ],
    )


async def test_an_answer_without_thoughts_needs_nothing_back(client: HttpClient, server: ModelServer) -> None:
    assert (await streamed(server, client, START, *HI, END, STOP)).native is None


async def test_cached_tokens_are_part_of_the_input(client: HttpClient, server: ModelServer) -> None:
    counted = {"input_tokens": 3, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 7, "output_tokens": 1}
    later = {"output_tokens": 11, "output_tokens_details": {"thinking_tokens": 4}, "input_tokens": None}
    start = {"type": "message_start", "message": {"model": "m", "usage": counted}}

    reply = await streamed(server, client, start, *HI, {**END, "usage": later}, STOP)

    assert reply.usage == Usage(input=15, output=11, cached_input=5, cache_write=7, reasoning=4)


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("pause_turn", "stop"),
        ("tool_use", "stop"),  # the calls say it, not the word
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("refusal", "filter"),
    ],
)
async def test_stop_reasons_become_one_vocabulary(
    client: HttpClient, server: ModelServer, reason: str, finish: Finish
) -> None:
    end = {**END, "delta": {"stop_reason": reason}}
    content = [{"type": "text", "text": "hi"}]

    assert (await streamed(server, client, START, *HI, end, STOP)).finish == finish
    assert (await whole(server, client, content=content, stop_reason=reason)).finish == finish


async def test_calls_end_an_answer_whatever_the_word(client: HttpClient, server: ModelServer) -> None:
    reply = await streamed(server, client, START, *use(0, "toolu_1", ""), END, STOP)

    assert (reply.finish, reply.calls) == ("tool", (ToolCall("toolu_1", "weather"),))


async def test_a_call_that_a_limit_cut_off_is_none(client: HttpClient, server: ModelServer) -> None:
    end = {**END, "delta": {"stop_reason": "max_tokens"}}

    reply = await streamed(server, client, START, *HI, *use(1, "toolu_1"), end, STOP)

    assert (reply.finish, reply.calls, reply.text) == ("length", (), "hi")


@pytest.mark.parametrize(
    "events",
    [
        [START, *HI, END],  # no message_stop
        [START, *HI, STOP],  # no reason
        [START, *HI[:-1], END, STOP],  # a block that is not whole
        [START, *use(0, "toolu_1", '{"city"')[:-1], END, STOP],
        [],
    ],
)
async def test_anything_less_than_the_end_is_incomplete(
    client: HttpClient, server: ModelServer, events: list[dict[str, Any]]
) -> None:
    with pytest.raises(IncompleteStreamError):
        await streamed(server, client, *events)


@pytest.mark.parametrize(
    "events",
    [
        [*HI, *HI],
        [*HI, HI[1]],
        [*use(0, "toolu_1"), *use(1, "toolu_1")],
    ],
    ids=["an index twice", "more after the end", "an id twice"],
)
async def test_events_that_contradict_each_other_are_refused(
    client: HttpClient, server: ModelServer, events: list[dict[str, Any]]
) -> None:
    with pytest.raises(ModelProtocolError):
        await streamed(server, client, START, *events, END, STOP)


@pytest.mark.parametrize(
    ("kind", "status", "error"),
    [
        ("overloaded_error", 529, ModelStatusError),
        ("rate_limit_error", 429, ModelRateLimitError),
        ("authentication_error", 401, ModelAuthError),
        ("api_error", 500, ModelStatusError),
        ("a new one", 500, ModelStatusError),
    ],
)
async def test_an_error_in_the_middle_has_the_status_it_would_have_had(
    client: HttpClient, server: ModelServer, kind: str, status: int, error: type[ModelStatusError]
) -> None:
    failing = {"type": "error", "error": {"type": kind, "message": "Overloaded", "details": {"a": 1}}}

    for ask in (streamed(server, client, START, *HI[:2], failing), whole(server, client, **failing)):
        with pytest.raises(error, match="Overloaded") as caught:
            await ask
        assert caught.value.status == status


async def test_a_tool_without_words_has_none(client: HttpClient, server: ModelServer) -> None:
    request = Request(turns=(Turn("user", "?"),), tools=(Tool("clock", "", {"type": "object"}),))

    body = await body_of(server, client, model_at(server, "anthropic"), request)

    assert body["tools"] == [{"name": "clock", "input_schema": {"type": "object"}}]
