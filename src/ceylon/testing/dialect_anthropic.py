"""What Anthropic's Messages API is asked and answers."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from ceylon.testing.dialect_pieces import Asked, Counted, Payload, event, pieces_of, plain, streamed
from ceylon.testing.saying import Said

__all__ = ["PATH", "answer", "ask", "failure", "model_list"]

PATH: Final = "/v1/messages"
_SIGNATURE: Final = "c2lnbmVk"
_KINDS: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


class _Body(msgspec.Struct):
    model: str
    max_tokens: int
    messages: list[dict[str, Any]]
    stream: bool = False
    system: Any = None


_bodies: Final = msgspec.json.Decoder(_Body)


def ask(path: str, body: bytes) -> Asked:
    """Return what is asked."""
    del path
    asked = _bodies.decode(body)
    texts = [_text(message["content"]) for message in asked.messages]
    return Asked(model=asked.model, texts=(_text(asked.system or ""), *texts), stream=asked.stream)


def answer(asked: Asked, said: Said) -> Payload:
    """Return *said* as an answer, in the order of events of the real thing."""
    counted = Counted.of(asked, said)
    usage = {
        "input_tokens": counted.input,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": counted.output,
    }
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": asked.model}
    reason = "tool_use" if said.calls else "end_turn"
    if not asked.stream:
        content = [_block(kind, value) for kind, value in _blocks(said)]
        return plain({**head, "content": content, "stop_reason": reason, "stop_sequence": None, "usage": usage})
    start: dict[str, Any] = {
        **head,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {**usage, "output_tokens": 1},
    }
    events = [_event("message_start", message=start)]
    for index, (kind, value) in enumerate(_blocks(said)):
        events.append(_event("content_block_start", index=index, content_block=_opened(kind, value)))
        if not index:
            events.append(_event("ping"))
        events += [_event("content_block_delta", index=index, delta=delta) for delta in _deltas(kind, value)]
        events.append(_event("content_block_stop", index=index))
    end = {"stop_reason": reason, "stop_sequence": None}
    events.append(_event("message_delta", delta=end, usage={"output_tokens": counted.output}))
    return streamed([*events, _event("message_stop")])


def failure(status: int, words: str) -> bytes:
    """Return the body of an error."""
    kind = _KINDS.get(status, "api_error")
    return msgspec.json.encode({"type": "error", "error": {"type": kind, "message": words}, "request_id": "req_1"})


def model_list(names: Sequence[str]) -> bytes:
    """Return the answer to the question which models there are."""
    models = [
        {"type": "model", "id": name, "display_name": name, "created_at": "2026-01-01T00:00:00Z"} for name in names
    ]
    return msgspec.json.encode({"data": models, "has_more": False, "first_id": None, "last_id": None})


def _blocks(said: Said) -> list[tuple[str, Any]]:
    thinking = [("thinking", said.thinking)] if said.thinking else []
    text = [("text", said.text)] if said.text or not said.calls else []
    return [*thinking, *text, *(("tool_use", call) for call in said.calls)]


def _block(kind: str, value: Any) -> dict[str, Any]:
    if kind == "thinking":
        return {"type": kind, "thinking": value, "signature": _SIGNATURE}
    if kind == "text":
        return {"type": kind, "text": value}
    return {"type": kind, "id": value.id, "name": value.name, "input": value.arguments}


def _opened(kind: str, value: Any) -> dict[str, Any]:
    empty: dict[str, dict[str, Any]] = {
        "thinking": {"thinking": "", "signature": ""},
        "text": {"text": ""},
        "tool_use": {"input": {}},
    }
    return {**_block(kind, value), **empty[kind]}


def _deltas(kind: str, value: Any) -> list[dict[str, Any]]:
    if kind == "tool_use":
        text = value.invalid or msgspec.json.encode(value.arguments).decode()
        half = len(text) // 2
        return [{"type": "input_json_delta", "partial_json": piece} for piece in ("", text[:half], text[half:])]
    deltas = [{"type": f"{kind}_delta", kind: piece} for piece in pieces_of(value)]
    return [*deltas, {"type": "signature_delta", "signature": _SIGNATURE}] if kind == "thinking" else deltas


def _event(kind: str, **fields: Any) -> bytes:
    return event({"type": kind, **fields}, kind)


def _text(content: Any) -> str:
    """Return the text of a content, results included."""
    if isinstance(content, str):
        return content
    return " ".join(block.get("text") or _text(block.get("content") or "") for block in content)
