"""A model server's answers in both dialects: what OpenAI's chat completions and Ollama's own API send."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from ceylon.models.turns import ToolCall
from ceylon.testing.saying import Said

__all__ = ["CHAT_PATHS", "LIST_PATHS", "Payload", "Question", "answer", "failure", "model_list"]

CHAT_PATHS: Final = {"/v1/chat/completions": "openai", "/api/chat": "ollama"}
LIST_PATHS: Final = {"/v1/models": "openai", "/api/tags": "ollama"}

_CREATED: Final = 1_700_000_000
_CREATED_AT: Final = "2026-01-01T00:00:00Z"
_CALL_PIECE: Final = 5  # characters of a call's arguments
_DURATION: Final = 1_000_000  # nanoseconds a token: 1,000 tokens a second


class _Piece(msgspec.Struct):
    """One part of a content of several kinds."""

    text: str = ""


class _Message(msgspec.Struct):
    role: str = ""
    content: str | list[_Piece] | None = None

    @property
    def text(self) -> str:
        """What it says in words."""
        if isinstance(self.content, list):
            return "".join(piece.text for piece in self.content)
        return self.content or ""


class Question(msgspec.Struct):
    """What both dialects ask alike."""

    model: str = ""
    messages: list[_Message] = []
    stream: bool | None = None
    tools: list[Any] | None = None
    think: bool | str | None = None

    @property
    def prompt(self) -> str:
        """The last message's text."""
        return self.messages[-1].text if self.messages else ""


class Payload(msgspec.Struct, frozen=True):
    """The body of an answer, in the pieces a stream sends; `is_stream` says whether it is one."""

    content_type: str
    pieces: tuple[bytes, ...]
    is_stream: bool


def answer(dialect: str, question: Question, said: str | Said) -> Payload:
    """Return *said* as the answer to *question*."""
    said = Said.of(said)
    prompt = sum(len(_words(message.text)) for message in question.messages)
    output = len(_words(said.thinking)) + len(_words(said.text)) + len(said.calls)
    return (_openai if dialect == "openai" else _ollama)(question, said, (prompt, output))


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


def _openai(question: Question, said: Said, counts: tuple[int, int]) -> Payload:
    prompt, output = counts
    usage = {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output}
    head = {"id": "chatcmpl-1", "created": _CREATED, "model": question.model}
    finish = "tool_calls" if said.calls else "stop"
    if not question.stream:
        message: dict[str, Any] = {"role": "assistant", "content": said.text or None if said.calls else said.text}
        if said.thinking:
            message["reasoning_content"] = said.thinking
        if said.calls:
            message["tool_calls"] = [_call(call) for call in said.calls]
        choice = {"index": 0, "message": message, "finish_reason": finish}
        body = _encode({**head, "object": "chat.completion", "choices": [choice], "usage": usage})
        return Payload("application/json", (body,), is_stream=False)
    head["object"] = "chat.completion.chunk"
    deltas: list[tuple[dict[str, Any], str | None]] = [({"role": "assistant", "content": None}, None)]
    deltas += [({"reasoning_content": word}, None) for word in _words(said.thinking)]
    deltas += [({"content": word}, None) for word in _words(said.text)]
    deltas += [({"tool_calls": [piece]}, None) for piece in _call_pieces(said.calls)]
    deltas.append(({}, finish))
    chunks: list[dict[str, Any]] = [
        {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": end}]} for delta, end in deltas
    ]
    chunks.append({**head, "choices": [], "usage": usage})
    pieces = [b"data: " + _encode(chunk) + b"\n\n" for chunk in chunks]
    return Payload("text/event-stream", (*pieces, b"data: [DONE]\n\n"), is_stream=True)


def _call(call: ToolCall, arguments: str | None = None) -> dict[str, Any]:
    text = _arguments(call) if arguments is None else arguments
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": text}}


def _call_pieces(calls: Sequence[ToolCall]) -> Iterator[dict[str, Any]]:
    """Yield *calls* as OpenAI streams them: id and name, then the arguments bit by bit."""
    for index, call in enumerate(calls):
        yield {"index": index, **_call(call, "")}
        text = _arguments(call)
        for start in range(0, len(text), _CALL_PIECE):
            yield {"index": index, "function": {"arguments": text[start : start + _CALL_PIECE]}}


def _arguments(call: ToolCall) -> str:
    return call.invalid or _encode(call.arguments).decode()


def _ollama(question: Question, said: Said, counts: tuple[int, int]) -> Payload:
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
    calls = [
        {"id": call.id, "function": {"index": index, "name": call.name, "arguments": call.arguments}}
        for index, call in enumerate(said.calls)
    ]
    if question.stream is False:
        message: dict[str, Any] = {"role": "assistant", "content": said.text}
        message |= {"thinking": said.thinking} if said.thinking else {}
        message |= {"tool_calls": calls} if calls else {}
        body = _encode({**head, "message": message, **last})
        return Payload("application/json; charset=utf-8", (body,), is_stream=False)
    pieces: list[dict[str, Any]] = [{"content": "", "thinking": word} for word in _words(said.thinking)]
    pieces += [{"content": word} for word in _words(said.text)]
    pieces += [{"content": "", "tool_calls": [call]} for call in calls]
    lines: list[dict[str, Any]] = [
        {**head, "message": {"role": "assistant", **piece}, "done": False} for piece in pieces
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
