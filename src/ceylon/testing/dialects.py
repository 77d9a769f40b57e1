"""A model server's answers in both dialects: what OpenAI's chat completions and Ollama's own API send."""

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

__all__ = ["CHAT_PATHS", "LIST_PATHS", "Payload", "Question", "answer", "failure", "model_list"]

CHAT_PATHS: Final = {"/v1/chat/completions": "openai", "/api/chat": "ollama"}
LIST_PATHS: Final = {"/v1/models": "openai", "/api/tags": "ollama"}

_CREATED: Final = 1_700_000_000
_CREATED_AT: Final = "2026-01-01T00:00:00Z"
_DURATION: Final = 1_000_000  # nanoseconds a token: 1,000 tokens a second


class _Message(msgspec.Struct):
    role: str = ""
    content: str | None = None


class Question(msgspec.Struct):
    """What both dialects ask alike."""

    model: str = ""
    messages: list[_Message] = []
    stream: bool | None = None

    @property
    def prompt(self) -> str:
        """The last message's text."""
        return (self.messages[-1].content or "") if self.messages else ""


class Payload(msgspec.Struct, frozen=True):
    """The body of an answer, in the pieces a stream sends; `is_stream` says whether it is one."""

    content_type: str
    pieces: tuple[bytes, ...]
    is_stream: bool


def answer(dialect: str, question: Question, text: str) -> Payload:
    """Return *text* as the answer to *question*."""
    counts = (sum(len(_words(message.content or "")) for message in question.messages), len(_words(text)))
    if dialect == "openai":
        return _openai(question, text, counts)
    return _ollama(question, text, counts)


def failure(dialect: str, status: int, words: str) -> bytes:
    """Return the body of an error."""
    if dialect == "openai":
        return _encode({"error": {"message": words, "type": "error", "param": None, "code": _code(status)}})
    return _encode({"error": words})


def model_list(dialect: str, names: Sequence[str]) -> bytes:
    """Return the answer to the question which models there are."""
    if dialect == "openai":
        models = [{"id": name, "object": "model", "created": _CREATED, "owned_by": "ceylon"} for name in names]
        return _encode({"object": "list", "data": models})
    details = {"format": "gguf", "family": "llama", "parameter_size": "1M", "quantization_level": "Q4_1"}
    return _encode(
        {
            "models": [
                {"name": name, "model": name, "modified_at": _CREATED_AT, "size": 1, "digest": "0", "details": details}
                for name in names
            ]
        }
    )


def _openai(question: Question, text: str, counts: tuple[int, int]) -> Payload:
    prompt, output = counts
    usage = {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output}
    head = {"id": "chatcmpl-1", "created": _CREATED, "model": question.model}
    if not question.stream:
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        body = _encode({**head, "object": "chat.completion", "choices": [choice], "usage": usage})
        return Payload("application/json", (body,), is_stream=False)
    head["object"] = "chat.completion.chunk"
    deltas: list[tuple[dict[str, Any], str | None]] = [({"role": "assistant", "content": None}, None)]
    deltas += [({"content": word}, None) for word in _words(text)]
    deltas.append(({}, "stop"))
    chunks: list[dict[str, Any]] = [
        {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": end}]} for delta, end in deltas
    ]
    chunks.append({**head, "choices": [], "usage": usage})
    pieces = [b"data: " + _encode(chunk) + b"\n\n" for chunk in chunks]
    return Payload("text/event-stream", (*pieces, b"data: [DONE]\n\n"), is_stream=True)


def _ollama(question: Question, text: str, counts: tuple[int, int]) -> Payload:
    prompt, output = counts
    head = {"model": question.model, "created_at": _CREATED_AT}
    last = {
        "done": True,
        "done_reason": "stop",
        "total_duration": _DURATION * (prompt + output),
        "load_duration": 1,
        "prompt_eval_count": prompt,
        "prompt_eval_duration": _DURATION * prompt,
        "eval_count": output,
        "eval_duration": _DURATION * output,
    }
    if question.stream is False:
        body = _encode({**head, "message": {"role": "assistant", "content": text}, **last})
        return Payload("application/json; charset=utf-8", (body,), is_stream=False)
    lines: list[dict[str, Any]] = [
        {**head, "message": {"role": "assistant", "content": word}, "done": False} for word in _words(text)
    ]
    lines.append({**head, "message": {"role": "assistant", "content": ""}, **last})
    return Payload("application/x-ndjson", tuple(_encode(line) + b"\n" for line in lines), is_stream=True)


def _code(status: int) -> str | None:
    return {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}.get(status)


def _words(text: str) -> list[str]:
    """Return *text* in pieces of about a token; joined again they are the text."""
    return re.findall(r"\s*\S+|\s+$", text)


def _encode(body: dict[str, Any]) -> bytes:
    return msgspec.json.encode(body)
