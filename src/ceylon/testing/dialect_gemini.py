"""What Gemini's generateContent is asked and answers."""

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from ceylon.testing.dialect_pieces import Asked, Counted, Payload, event, pieces_of, plain, streamed
from ceylon.testing.saying import Said

__all__ = ["PATH", "answer", "ask", "failure", "model_list"]

PATH: Final = re.compile(r"/v1beta/models/(?P<model>[^/:]+):(?P<verb>generateContent|streamGenerateContent\?alt=sse)")
_SIGNATURE: Final = "c2lnbmVk"
_STATUSES: Final = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
}


class _Content(msgspec.Struct):
    parts: list[dict[str, Any]]
    role: str = "user"


class _Body(msgspec.Struct):
    contents: list[_Content]
    system: _Content | None = msgspec.field(name="systemInstruction", default=None)


_bodies: Final = msgspec.json.Decoder(_Body)


def ask(path: str, body: bytes) -> Asked:
    """Return what is asked."""
    asked, named = _bodies.decode(body), PATH.fullmatch(path)
    assert named is not None  # noqa: S101 – it was chosen by its path
    contents = [asked.system, *asked.contents] if asked.system is not None else asked.contents
    texts = tuple(" ".join(map(_text, content.parts)) for content in contents)
    return Asked(model=named["model"], texts=texts, stream=named["verb"] != "generateContent")


def answer(asked: Asked, said: Said) -> Payload:
    """Return *said* as an answer; in a stream each chunk is one, and the last has the reason."""
    counted = Counted.of(asked, said)
    usage = {
        "promptTokenCount": counted.input,
        "candidatesTokenCount": counted.output - counted.thoughts,
        "totalTokenCount": counted.input + counted.output,
    }
    if counted.thoughts:
        usage["thoughtsTokenCount"] = counted.thoughts
    parts = [{"text": piece, "thought": True} for piece in _cut(said.thinking, cuts=asked.stream)]
    parts += [{"text": piece} for piece in _cut(said.text, cuts=asked.stream)]
    parts += [_call(index, call.name, call.arguments) for index, call in enumerate(said.calls)]
    head = {"modelVersion": asked.model, "responseId": "response-1"}
    groups = [[part] for part in parts] if asked.stream else [parts]
    chunks: list[dict[str, Any]] = [
        {"candidates": [{"content": {"parts": group, "role": "model"}, "index": 0}], "usageMetadata": usage, **head}
        for group in groups or [[]]
    ]
    chunks[-1]["candidates"][0]["finishReason"] = "STOP"  # also behind calls
    if asked.stream:
        return streamed(event(chunk, end="\r\n") for chunk in chunks)
    return plain(chunks[0])


def failure(status: int, words: str) -> bytes:
    """Return the body of an error."""
    kind = _STATUSES.get(status, "INTERNAL")
    return msgspec.json.encode({"error": {"code": status, "message": words, "status": kind}})


def model_list(names: Sequence[str]) -> bytes:
    """Return the answer to the question which models there are."""
    return msgspec.json.encode({"models": [{"name": f"models/{name}", "displayName": name} for name in names]})


def _cut(text: str, *, cuts: bool) -> list[str]:
    return pieces_of(text) if cuts else [text] * bool(text)


def _call(index: int, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    call = {"functionCall": {"name": name, "args": arguments}}
    return call if index else {**call, "thoughtSignature": _SIGNATURE}


def _text(part: dict[str, Any]) -> str:
    response = part.get("functionResponse", {}).get("response", {})
    return part.get("text") or " ".join(map(str, response.values()))
