"""What OpenAI's Responses API is asked and answers."""

import itertools
from typing import Any, Final

import msgspec

from ceylon.models.turns import ToolCall
from ceylon.testing.dialect_pieces import Asked, Counted, Payload, event, pieces_of, plain, streamed
from ceylon.testing.saying import Said

__all__ = ["PATH", "answer", "ask"]

PATH: Final = "/v1/responses"
_RESPONSE: Final[dict[str, Any]] = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1_700_000_000,
    "error": None,
    "incomplete_details": None,
    "instructions": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "temperature": 1.0,
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
}


class _Body(msgspec.Struct):
    model: str
    input: list[dict[str, Any]]
    instructions: str = ""
    stream: bool = False


_bodies: Final = msgspec.json.Decoder(_Body)


def ask(path: str, body: bytes) -> Asked:
    """Return what is asked."""
    del path
    asked = _bodies.decode(body)
    texts = (asked.instructions, *(_text(item) for item in asked.input))
    return Asked(model=asked.model, texts=texts, stream=asked.stream)


def answer(asked: Asked, said: Said) -> Payload:
    """Return *said* as an answer, in the order of events of the real thing."""
    counted = Counted.of(asked, said)
    usage = {
        "input_tokens": counted.input,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": counted.output,
        "output_tokens_details": {"reasoning_tokens": counted.thoughts},
        "total_tokens": counted.input + counted.output,
    }
    items = _items(said)
    response = {**_RESPONSE, "model": asked.model}
    done = {**response, "status": "completed", "output": items, "usage": usage}
    if not asked.stream:
        return plain(done)
    begun: dict[str, Any] = {**response, "status": "in_progress", "output": [], "usage": None}
    happened: list[dict[str, Any]] = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
    ]
    for index, item in enumerate(items):
        happened += [{**each, "output_index": index} for each in _happened(item)]
    happened.append({"type": "response.completed", "response": done})
    numbers = itertools.count()
    return streamed(event({**each, "sequence_number": next(numbers)}, each["type"]) for each in happened)


def _items(said: Said) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    if said.thinking:
        summary = [{"type": "summary_text", "text": said.thinking}]
        items.append({"id": "rs_1", "type": "reasoning", "summary": summary, "encrypted_content": "c2VjcmV0"})
    if said.text or not said.calls:
        content: dict[str, Any] = {"type": "output_text", "text": said.text, "annotations": [], "logprobs": []}
        message = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed"}
        items.append({**message, "content": [content]})
    return items + [_call(call) for call in said.calls]


def _call(call: ToolCall) -> dict[str, Any]:
    arguments = call.invalid or msgspec.json.encode(call.arguments).decode()
    named = {"call_id": call.id, "name": call.name, "arguments": arguments}
    return {"id": f"fc_{call.id}", "type": "function_call", "status": "completed", **named}


def _happened(item: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the events of one item, from its beginning to its end."""
    kind, identity = item["type"], item["id"]
    begun: dict[str, Any] = {**item, "status": "in_progress"}
    if kind == "reasoning":
        at = {"item_id": identity, "summary_index": 0}
        inner = _text_events(at, "response.reasoning_summary_part", "response.reasoning_summary_text", item["summary"])
        begun = {**item, "summary": []}
    elif kind == "message":
        at = {"item_id": identity, "content_index": 0}
        inner = _text_events(at, "response.content_part", "response.output_text", item["content"], {"logprobs": []})
        begun["content"] = []
    else:
        name, text = "response.function_call_arguments", item["arguments"]
        halves = (text[: len(text) // 2], text[len(text) // 2 :])
        inner = [{"type": f"{name}.delta", "item_id": identity, "delta": half} for half in halves]
        inner.append({"type": f"{name}.done", "item_id": identity, "name": item["name"], "arguments": text})
        begun["arguments"] = ""
    added: dict[str, Any] = {"type": "response.output_item.added", "item": begun}
    return [added, *inner, {"type": "response.output_item.done", "item": item}]


def _text_events(
    at: dict[str, Any], part_name: str, text_name: str, pieces: list[dict[str, Any]], more: dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    (piece,) = pieces
    more = {} if more is None else more
    deltas = [{"type": f"{text_name}.delta", **at, "delta": each, **more} for each in pieces_of(piece["text"])]
    return [
        {"type": f"{part_name}.added", **at, "part": {**piece, "text": ""}},
        *deltas,
        {"type": f"{text_name}.done", **at, "text": piece["text"], **more},
        {"type": f"{part_name}.done", **at, "part": piece},
    ]


def _text(item: dict[str, Any]) -> str:
    if item.get("type") == "function_call_output":
        return str(item["output"])
    content = item.get("content", "")
    if isinstance(content, str):
        return content
    return " ".join(piece.get("text", "") for piece in content)
