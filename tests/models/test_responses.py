"""OpenAI's Responses API: what is sent, and what is tolerated."""

from typing import Any

import msgspec
import pytest

from ceylon.errors import (
    IncompleteStreamError,
    ModelConfigError,
    ModelProtocolError,
    ModelRateLimitError,
    ModelStatusError,
)
from ceylon.models.http import HttpClient
from ceylon.models.responses import ResponsesModel
from ceylon.models.turns import (
    Attachment,
    Finish,
    Native,
    Reply,
    ReplyPart,
    Request,
    TextPart,
    ThinkingPart,
    ToolCall,
    ToolResult,
    Turn,
    Usage,
)
from ceylon.testing.model_server import Fault, ModelServer
from support.models import parts_of, question
from support.services import CONVERSATIONS, PICTURE, REPORT, body_of, model_at

pytestmark = pytest.mark.anyio

MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "hi"}]}
SECRET = {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "c2VjcmV0"}
CALL = {"id": "fc_1", "type": "function_call", "call_id": "call_1", "name": "weather", "arguments": '{"city":"Faro"}'}


def response(*output: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"object": "response", "status": "completed", "model": "m", "error": None, "output": output, **more}


def completed(*output: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "response.completed", "response": response(*output, **more)}


async def parts(server: ModelServer, client: HttpClient, *events: dict[str, Any]) -> list[Any]:
    server.fail(Fault(pieces=tuple(b"data: " + msgspec.json.encode(each) + b"\n\n" for each in events)))
    return [*await parts_of(await model_at(server, "openai-responses").open(client), question())]


async def streamed(server: ModelServer, client: HttpClient, *events: dict[str, Any]) -> Reply:
    *_, last = await parts(server, client, *events)
    assert isinstance(last, ReplyPart)
    return last.reply


async def whole(server: ModelServer, client: HttpClient, body: Any) -> Reply:
    server.fail(Fault(body=msgspec.json.encode(body)))
    return await (await model_at(server, "openai-responses").open(client)).complete(question())


async def test_a_conversation_is_items_and_nothing_is_kept_there(client: HttpClient, server: ModelServer) -> None:
    model = model_at(server, "openai-responses", options={"reasoning": {"effort": "low"}})

    body = await body_of(server, client, model, CONVERSATIONS["results and more"])

    assert body.pop("tools")[0]["name"] == "weather"
    assert body == {
        "model": "test-model",
        "instructions": "Be brief.",
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "reasoning": {"effort": "low"},
        "input": [
            {"type": "message", "role": "user", "content": "How is it in Lisbon?"},
            {"type": "message", "role": "assistant", "content": "Let me look."},
            {"type": "function_call", "call_id": "call_a", "name": "weather", "arguments": '{"city":"Lisbon"}'},
            {"type": "function_call", "call_id": "call_b", "name": "clock", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "call_a", "output": '{"sky": "blue"}'},
            {"type": "function_call_output", "call_id": "call_b", "output": "broken"},
            {"type": "message", "role": "user", "content": "And?"},
        ],
    }


@pytest.mark.parametrize(
    ("name", "choice"),
    [
        ("tools", None),
        ("some tool", "required"),
        ("a tool by name", {"type": "function", "name": "weather"}),
        ("no tool", "none"),
    ],
)
async def test_tools_are_flat_and_have_their_choice(
    client: HttpClient, server: ModelServer, name: str, choice: object
) -> None:
    body = await body_of(server, client, model_at(server, "openai-responses"), CONVERSATIONS[name])

    assert {**body["tools"][0], "parameters": {}} == {
        "type": "function",
        "name": "weather",
        "description": "Tell the weather.",
        "parameters": {},
        "strict": True,  # the days may be left out, and have a default to name instead
    }
    assert body["tools"][0]["parameters"]["required"] == ["city", "days"]
    assert body.get("tool_choice") == choice


async def test_a_schema_keeps_the_verbosity(client: HttpClient, server: ModelServer) -> None:
    model = model_at(server, "openai-responses", options={"text": {"verbosity": "low"}})

    text = (await body_of(server, client, model, CONVERSATIONS["output"]))["text"]

    assert text["verbosity"] == "low"
    assert {**text["format"], "schema": {}} == {
        "type": "json_schema",
        "name": "Report",
        "description": "The weather.",
        "strict": False,  # hours are objects whose one field may be left out
        "schema": {},
    }
    assert text["format"]["schema"] == REPORT.schema


async def test_settings_have_their_names(client: HttpClient, server: ModelServer) -> None:
    body = await body_of(server, client, model_at(server, "openai-responses"), CONVERSATIONS["settings"])

    assert (body["temperature"], body["max_output_tokens"]) == (0.5, 64)
    assert "seed" not in body


async def test_stop_texts_are_refused(client: HttpClient, server: ModelServer) -> None:
    session = await model_at(server, "openai-responses").open(client)

    with pytest.raises(ModelConfigError, match="takes no `stop`"):
        await session.complete(question(stop=("x",)))


async def test_pictures_and_papers_are_content(client: HttpClient, server: ModelServer) -> None:
    turn = Turn("user", "What?", attachments=(PICTURE, Attachment("application/pdf", b"%PDF", "a.pdf")))

    body = await body_of(server, client, model_at(server, "openai-responses"), Request(turns=(turn,)))

    assert body["input"][0]["content"] == [
        {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo=", "detail": "auto"},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERg=="},
        {"type": "input_text", "text": "What?"},
    ]


async def test_organisation_and_project_come_from_the_environment(
    client: HttpClient, server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-1")
    monkeypatch.setenv("OPENAI_BASE_URL", server.openai_url)

    await (await ResponsesModel(model="test-model").open(client)).complete(question())

    headers = server.requests[0].headers
    assert (headers["openai-organization"], headers["openai-project"]) == ("org-1", "proj-1")


async def test_encrypted_thoughts_stay_with_their_calls(client: HttpClient, server: ModelServer) -> None:
    plain = {"id": "rs_2", "type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]}
    reply = await whole(server, client, response(SECRET, plain, MESSAGE, CALL))
    results = Turn("tool", results=(ToolResult("call_1", "weather", "fine"),))

    body = await body_of(
        server,
        client,
        model_at(server, "openai-responses"),
        Request(turns=(Turn("user", "?"), reply.turn(), results)),
    )

    assert reply.thinking == "hm"
    assert reply.native == Native("openai-responses", [SECRET, MESSAGE, CALL])
    assert body["input"][1:4] == [SECRET, MESSAGE, CALL]


async def test_thoughts_that_nobody_can_read_again_are_not_sent_back(client: HttpClient, server: ModelServer) -> None:
    plain = {"id": "rs_2", "type": "reasoning", "content": [{"type": "reasoning_text", "text": "hm"}]}

    reply = await whole(server, client, response(plain, MESSAGE))

    assert (reply.thinking, reply.native) == ("hm", None)


# -- answers


async def test_indexes_may_be_missing_as_llama_cpp_leaves_them_out(client: HttpClient, server: ModelServer) -> None:
    found = await parts(
        server,
        client,
        {"type": "response.created", "response": {"id": "resp_1", "object": "response", "status": "in_progress"}},
        {"type": "response.in_progress", "response": {"id": "resp_1", "object": "response", "status": "in_progress"}},
        {"type": "response.output_item.added", "item": {"type": "reasoning"}},
        {"type": "response.reasoning_text.delta", "delta": "hm", "item_id": "rs_1"},
        {"type": "response.output_text.delta", "delta": "h", "item_id": "msg_1"},
        {"type": "response.output_text.delta", "delta": "i", "item_id": "msg_1"},
        {"type": "response.something.new", "delta": {"a": 1}},
        completed(MESSAGE, usage={"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}),
    )

    assert found[:-1] == [ThinkingPart("hm"), TextPart("h"), TextPart("i")]
    assert found[-1].reply.text == "hi"
    assert found[-1].reply.usage == Usage(input=3, output=2)


async def test_the_last_event_has_the_truth_and_its_rest_is_said(client: HttpClient, server: ModelServer) -> None:
    found = await parts(server, client, {"type": "response.output_text.delta", "delta": "h"}, completed(MESSAGE, CALL))

    assert [part.text for part in found if isinstance(part, TextPart)] == ["h", "i"]
    assert found[-1].reply.calls == (ToolCall("call_1", "weather", {"city": "Faro"}),)
    assert found[-1].reply.finish == "tool"


async def test_what_is_done_counts_if_the_last_event_does_not_repeat_it(
    client: HttpClient, server: ModelServer
) -> None:
    done = [{"type": "response.output_item.done", "item": item} for item in (MESSAGE, CALL)]

    reply = await streamed(server, client, *done, completed())

    assert (reply.text, len(reply.calls)) == ("hi", 1)


async def test_summaries_are_set_apart(client: HttpClient, server: ModelServer) -> None:
    summary = [{"type": "summary_text", "text": "one"}, {"type": "summary_text", "text": "two"}]
    events = []
    for each in summary:
        events.append({"type": "response.reasoning_summary_part.added", "part": {**each, "text": ""}})
        events.append({"type": "response.reasoning_summary_text.delta", "delta": each["text"]})

    found = await parts(server, client, *events, completed({**SECRET, "summary": summary}, MESSAGE))

    assert "".join(part.text for part in found if isinstance(part, ThinkingPart)) == "one\n\ntwo"
    assert found[-1].reply.thinking == "one\n\ntwo"


async def test_cached_tokens_and_thoughts_are_counted(client: HttpClient, server: ModelServer) -> None:
    usage = {
        "input_tokens": 9,
        "input_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 1},
        "output_tokens": 4,
        "output_tokens_details": {"reasoning_tokens": 3},
    }

    reply = await whole(server, client, response(MESSAGE, usage=usage))

    assert reply.usage == Usage(input=9, output=4, cached_input=5, cache_write=1, reasoning=3)


@pytest.mark.parametrize(
    ("status", "reason", "finish"),
    [
        ("completed", None, "stop"),
        ("incomplete", "max_output_tokens", "length"),
        ("incomplete", "content_filter", "filter"),
        ("incomplete", "a new one", "error"),
        ("cancelled", None, "cancelled"),
    ],
)
async def test_statuses_become_one_vocabulary(
    client: HttpClient, server: ModelServer, status: str, reason: str | None, finish: Finish
) -> None:
    details = reason and {"reason": reason}
    body = response(MESSAGE, CALL, status=status, incomplete_details=details)
    event = {"type": f"response.{status}", "response": body}

    for reply in (await whole(server, client, body), await streamed(server, client, event)):
        assert reply.finish == ("tool" if finish == "stop" else finish)
        assert bool(reply.calls) == (finish == "stop")  # a call of an answer that was cut off is none


async def test_a_refusal_is_text_and_a_filter(client: HttpClient, server: ModelServer) -> None:
    refusal = {**MESSAGE, "content": [{"type": "refusal", "refusal": "I cannot"}]}

    reply = await streamed(server, client, {"type": "response.refusal.delta", "delta": "I can"}, completed(refusal))

    assert (reply.text, reply.finish) == ("I cannot", "filter")


async def test_a_stream_without_its_last_event_is_incomplete(client: HttpClient, server: ModelServer) -> None:
    with pytest.raises(IncompleteStreamError):
        await streamed(server, client, {"type": "response.output_item.done", "item": CALL})


async def test_an_id_twice_is_refused(client: HttpClient, server: ModelServer) -> None:
    with pytest.raises(ModelProtocolError, match="'call_1'"):
        await streamed(server, client, completed(CALL, CALL))


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("rate_limit_exceeded", 429, ModelRateLimitError),
        ("server_error", 500, ModelStatusError),
        ("invalid_prompt", 400, ModelStatusError),
        (None, 500, ModelStatusError),
    ],
)
async def test_an_error_in_the_middle_has_the_status_it_would_have_had(
    client: HttpClient, server: ModelServer, code: str | None, status: int, error: type[ModelStatusError]
) -> None:
    failure = {"code": code, "message": "it broke"}
    failed = response(status="failed", error=failure)
    for events in (
        [{"type": "error", **failure, "param": None}],
        [{"type": "error", "error": failure}],
        [{"type": "response.failed", "response": failed}],
    ):
        with pytest.raises(error, match="it broke") as caught:
            await streamed(server, client, {"type": "response.output_text.delta", "delta": "h"}, *events)
        assert caught.value.status == status
    with pytest.raises(error, match="it broke"):
        await whole(server, client, failed)
