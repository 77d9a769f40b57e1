"""Gemini's generateContent: what is sent, and what is tolerated."""

import base64
from typing import Any

import msgspec
import pytest

from ceylon.errors import (
    IncompleteStreamError,
    ModelProtocolError,
    ModelRateLimitError,
    ModelRefusalError,
    ModelStatusError,
)
from ceylon.models.gemini import GeminiModel
from ceylon.models.http import HttpClient
from ceylon.models.turns import Finish, Native, Reply, Request, ToolCall, ToolCallPart, ToolResult, Turn, Usage
from ceylon.testing.model_server import Fault, ModelServer
from support.models import parts_of, question
from support.services import CONVERSATIONS, REPORT, WEATHER, body_of, model_at, reply_of

pytestmark = pytest.mark.anyio

DUMMY = base64.b64encode(b"skip_thought_signature_validator").decode()
CALL = {"functionCall": {"name": "weather", "args": {"city": "Faro"}}}


def said(*parts: dict[str, Any], reason: str | None = None, **more: Any) -> dict[str, Any]:
    candidate = {"content": {"role": "model", "parts": parts}, "index": 0}
    return {"candidates": [candidate if reason is None else {**candidate, "finishReason": reason}], **more}


async def streamed(server: ModelServer, client: HttpClient, *chunks: Any) -> Reply:
    server.fail(Fault(pieces=tuple(b"data: " + msgspec.json.encode(each) + b"\r\n\r\n" for each in chunks)))
    return await reply_of(await model_at(server, "gemini").open(client), question(), is_streamed=True)


async def whole(server: ModelServer, client: HttpClient, body: Any) -> Reply:
    server.fail(Fault(body=msgspec.json.encode(body)))
    return await (await model_at(server, "gemini").open(client)).complete(question())


async def test_a_conversation_has_its_own_words(client: HttpClient, server: ModelServer) -> None:
    body = await body_of(server, client, model_at(server, "gemini"), CONVERSATIONS["results and more"])

    assert body == {
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "How is it in Lisbon?"}]},
            {
                "role": "model",
                "parts": [
                    {"text": "Let me look."},
                    {"functionCall": {"name": "weather", "args": {"city": "Lisbon"}}, "thoughtSignature": DUMMY},
                    {"functionCall": {"name": "clock", "args": {}}},
                ],
            },
            {
                "role": "user",
                "parts": [
                    {"functionResponse": {"name": "weather", "response": {"result": '{"sky": "blue"}'}}},
                    {"functionResponse": {"name": "clock", "response": {"error": "broken"}}},
                ],
            },
            {"role": "user", "parts": [{"text": "And?"}]},
        ],
        "tools": [
            {
                "functionDeclarations": [
                    {
                        "name": "weather",
                        "description": "Tell the weather.",
                        "parametersJsonSchema": WEATHER.parameters,
                    },
                    {"name": "clock", "parametersJsonSchema": {"type": "object", "properties": {}}},
                ]
            }
        ],
    }


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("tools", None),
        ("some tool", {"mode": "ANY"}),
        ("a tool by name", {"mode": "ANY", "allowedFunctionNames": ["weather"]}),
        ("no tool", {"mode": "NONE"}),
    ],
)
async def test_the_choice_of_tools(client: HttpClient, server: ModelServer, name: str, config: object) -> None:
    body = await body_of(server, client, model_at(server, "gemini"), CONVERSATIONS[name])

    assert body.get("toolConfig", {}).get("functionCallingConfig") == config


async def test_settings_options_and_schema_are_of_the_generation(client: HttpClient, server: ModelServer) -> None:
    thinking = {"thinkingBudget": 0, "includeThoughts": True}
    safety = [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]
    options = {"topK": 3, "thinkingConfig": thinking, "safetySettings": safety}
    request = msgspec.structs.replace(CONVERSATIONS["settings"], stop=("x",), output=REPORT)

    body = await body_of(server, client, model_at(server, "gemini", options=options), request)

    assert body["safetySettings"] == safety
    assert body["generationConfig"] == {
        "temperature": 0.5,
        "maxOutputTokens": 64,
        "seed": 7,
        "stopSequences": ["x"],
        "topK": 3,
        "thinkingConfig": thinking,
        "responseMimeType": "application/json",
        "responseJsonSchema": REPORT.schema,
    }


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("gemini-x", "/v1beta/models/gemini-x:generateContent"),
        ("models/gemini-x", "/v1beta/models/gemini-x:generateContent"),
        ("tunedModels/mine", "/v1beta/tunedModels/mine:generateContent"),
        ("odd name?", "/v1beta/models/odd%20name%3F:generateContent"),
    ],
)
def test_a_model_has_its_own_address(name: str, path: str) -> None:
    dialect = GeminiModel(model=name).dialect()

    assert dialect.path(stream=False) == path
    assert dialect.path(stream=True) == path.replace("generateContent", "streamGenerateContent?alt=sse")


@pytest.mark.parametrize(
    ("name", "has_both"),
    [("gemini-2.5-flash", False), ("gemini-3-pro", True), ("models/gemini-3.1-x", True), ("gemini-pro-latest", False)],
)
def test_tools_and_a_schema_go_together_since_the_third(name: str, *, has_both: bool) -> None:
    assert GeminiModel(model=name).dialect().abilities.output_with_tools == has_both


# -- signatures and ids


async def test_signatures_and_ids_go_back_on_the_parts_they_came_with(client: HttpClient, server: ModelServer) -> None:
    parts: list[dict[str, Any]] = [
        {"text": "h", "thought": True},
        {"text": "m", "thought": True},
        {"text": "a"},
        {"text": "b"},
        {"text": "", "thoughtSignature": "c2ln"},
        {"functionCall": {"id": "g1", "name": "weather", "args": {"city": "Faro"}}, "thoughtSignature": "c2lnMg=="},
        {"functionCall": {"id": "g2", "name": "weather", "args": {}}},
    ]
    reply = await streamed(server, client, *(said(part) for part in parts), said(reason="STOP"))
    results = tuple(ToolResult(call.id, call.name, "fine") for call in reply.calls)
    turns = (Turn("user", "?"), reply.turn(), Turn("tool", results=results))

    body = await body_of(server, client, model_at(server, "gemini"), Request(turns=turns))

    assert (reply.thinking, reply.text) == ("hm", "ab")
    assert body["contents"][1]["parts"] == [{"text": "hm", "thought": True}, {"text": "ab"}, *parts[4:]]
    assert [part["functionResponse"]["id"] for part in body["contents"][2]["parts"]] == ["g1", "g2"]


async def test_an_unsigned_call_is_signed_for_those_who_want_it(client: HttpClient, server: ModelServer) -> None:
    reply = await whole(server, client, said(CALL, reason="STOP"))
    history = Request(turns=(Turn("user", "?"), reply.turn(), Turn("tool", results=(ToolResult("call_0", "w", "x"),))))

    body = await body_of(server, client, model_at(server, "gemini"), history)

    assert reply.native == Native("gemini", [CALL])
    assert body["contents"][1]["parts"] == [{**CALL, "thoughtSignature": DUMMY}]
    assert "id" not in body["contents"][2]["parts"][0]["functionResponse"]


# -- answers


async def test_calls_without_ids_get_some_and_arguments_may_be_missing(client: HttpClient, server: ModelServer) -> None:
    reply = await streamed(
        server,
        client,
        said(CALL),
        said({"functionCall": {"name": "clock"}}, {"functionCall": {"name": "odd", "args": [1]}}, reason="STOP"),
    )

    assert reply.finish == "tool"
    assert reply.calls == (
        ToolCall("call_0", "weather", {"city": "Faro"}),
        ToolCall("call_1", "clock"),
        ToolCall("call_2", "odd", invalid="[1]"),
    )


async def test_an_id_twice_is_refused(client: HttpClient, server: ModelServer) -> None:
    call = {"functionCall": {"id": "g1", "name": "weather"}}

    with pytest.raises(ModelProtocolError, match="'g1'"):
        await streamed(server, client, said(call), said(call, reason="STOP"))


async def test_usage_is_the_last_one_and_thoughts_are_output(client: HttpClient, server: ModelServer) -> None:
    count = {"promptTokenCount": 5, "candidatesTokenCount": 1, "totalTokenCount": 6}
    last = {
        "promptTokenCount": 5,
        "candidatesTokenCount": 4,
        "thoughtsTokenCount": 3,
        "cachedContentTokenCount": 2,
        "toolUsePromptTokenCount": 1,
    }

    reply = await streamed(
        server,
        client,
        said({"text": "a"}, usageMetadata=count),
        said({"text": "b"}, reason="STOP", modelVersion="gemini-x-001"),
        {"usageMetadata": last},
    )

    assert reply == Reply(text="ab", usage=Usage(input=6, output=7, cached_input=2, reasoning=3), model="gemini-x-001")


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "filter"),
        ("RECITATION", "filter"),
        ("PROHIBITED_CONTENT", "filter"),
        ("MALFORMED_FUNCTION_CALL", "error"),
        ("MISSING_THOUGHT_SIGNATURE", "error"),
        ("OTHER", "error"),
        ("A_NEW_ONE", "error"),
    ],
)
async def test_finish_reasons_become_one_vocabulary(
    client: HttpClient, server: ModelServer, reason: str, finish: Finish
) -> None:
    assert (await whole(server, client, said({"text": "a"}, reason=reason))).finish == finish
    assert (await streamed(server, client, said({"text": "a"}, reason=reason))).finish == finish


@pytest.mark.parametrize(
    ("body", "error", "words"),
    [
        ({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {}}, ModelRefusalError, "SAFETY"),
        ({"candidates": [], "promptFeedback": {"blockReason": "OTHER"}}, ModelRefusalError, "OTHER"),
        ({"candidates": [{"finishReason": "RECITATION"}]}, ModelRefusalError, "RECITATION"),
        ({"candidates": [{"finishReason": "SAFETY", "content": {"role": "model"}}]}, ModelRefusalError, "SAFETY"),
        ({"candidates": [{"finishReason": "STOP", "content": {}}]}, ModelProtocolError, r"empty \(STOP\)"),
        (
            {"candidates": [{"finishReason": "MALFORMED_FUNCTION_CALL", "finishMessage": "print(1)"}]},
            ModelProtocolError,
            r"print\(1\)",
        ),
    ],
)
async def test_an_answer_with_nothing_in_it_says_why(
    client: HttpClient, server: ModelServer, body: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        await whole(server, client, body)
    with pytest.raises(error, match=words):
        await streamed(server, client, body)


async def test_no_candidate_and_no_reason_is_no_answer(client: HttpClient, server: ModelServer) -> None:
    with pytest.raises(ModelProtocolError, match="no candidate"):
        await whole(server, client, {"usageMetadata": {"promptTokenCount": 1}})


async def test_a_limit_reached_in_thought_is_an_empty_answer(client: HttpClient, server: ModelServer) -> None:
    reply = await whole(server, client, {"candidates": [{"finishReason": "MAX_TOKENS", "content": {}}]})

    assert (reply.text, reply.finish) == ("", "length")


async def test_the_end_needs_a_reason(client: HttpClient, server: ModelServer) -> None:
    server.fail(Fault(pieces=tuple(b"data: " + msgspec.json.encode(each) + b"\n\n" for each in (said(CALL),))))
    session = await model_at(server, "gemini").open(client)
    parts = []

    with pytest.raises(IncompleteStreamError):
        async for part in session.stream(question()):
            parts.append(part)  # noqa: PERF401 – it raises

    assert not any(isinstance(part, ToolCallPart) for part in parts)


async def test_a_whole_answer_needs_one_too(client: HttpClient, server: ModelServer) -> None:
    with pytest.raises(IncompleteStreamError):
        await whole(server, client, said({"text": "a"}))


async def test_only_the_first_candidate_is_heard(client: HttpClient, server: ModelServer) -> None:
    first, second = said({"text": "a"}, reason="STOP"), said({"text": "b"})["candidates"][0]

    reply = await whole(server, client, {"candidates": [*first["candidates"], {**second, "index": 1}]})

    assert reply.text == "a"


@pytest.mark.parametrize("wrap", [lambda body: body, lambda body: [body]], ids=["object", "list"])
async def test_a_rate_limit_says_in_its_body_how_long(client: HttpClient, server: ModelServer, wrap: Any) -> None:
    details = [
        {"@type": "type.googleapis.com/google.rpc.Help", "links": []},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "17.5s"},
    ]
    error = {"code": 429, "message": "Slow down", "status": "RESOURCE_EXHAUSTED", "details": details}
    body = msgspec.json.encode(wrap({"error": error}))
    session = await model_at(server, "gemini").open(client)

    for fault in (Fault(status=429, body=body), Fault(body=body), Fault(pieces=(b"data: " + body + b"\n\n",))):
        server.fail(fault)
        with pytest.raises(ModelRateLimitError, match="Slow down") as caught:
            await parts_of(session, question())
        assert caught.value.retry_after == 17.5


async def test_an_error_in_the_middle_is_its_status(client: HttpClient, server: ModelServer) -> None:
    failing = {"error": {"code": 503, "message": "The model is overloaded", "status": "UNAVAILABLE"}}

    with pytest.raises(ModelStatusError, match="overloaded") as caught:
        await streamed(server, client, said({"text": "a"}), failing)

    assert caught.value.status == 503
