"""The dialects as data: what a fault needs to know of each, so that every row is written once for all of them."""

from typing import Any, Final, NamedTuple

from ceylon.testing.every_dialect import answer, ask
from ceylon.testing.saying import Said

__all__ = ["ALL", "WAYS", "Dialect", "answer_pieces", "dialect"]


class Dialect(NamedTuple):
    """How one service writes a stream.

    Attributes:
        name: The provider in a model's name.
        path: Where an answer is asked for, whole and streamed.
        stream_type: The content type of a stream.
        prefix: What stands in front of a piece's JSON.
        end: Where the terminal event begins, of an answer without and of one with calls: what breaks off before is
            incomplete.
        drip: What may come for ever without ever being an answer.
    """

    name: str
    path: tuple[str, str]
    stream_type: str
    prefix: bytes
    end: tuple[bytes, bytes]
    drip: bytes = b": ping\n\n"

    def piece(self, json: bytes) -> bytes:
        """Return a piece of a stream with *json* in it."""
        return self.prefix + json + b"\n\n"


_SSE: Final = "text/event-stream"
_GEMINI: Final = "/v1beta/models/test-model:"

ALL: Final = {
    each.name: each
    for each in (
        Dialect(
            "openai",
            ("/v1/chat/completions", "/v1/chat/completions"),
            _SSE,
            b"data: ",
            (b'"stop"', b'"finish_reason":"tool_calls"'),
        ),
        Dialect("ollama", ("/api/chat", "/api/chat"), "application/x-ndjson", b"", (b'"stop"', b'"stop"'), b"\r\n"),
        Dialect(
            "anthropic",
            ("/v1/messages", "/v1/messages"),
            _SSE,
            b"data: ",
            (b"event: message_stop", b"event: message_stop"),
        ),
        Dialect(
            "gemini",
            (f"{_GEMINI}generateContent", f"{_GEMINI}streamGenerateContent?alt=sse"),
            _SSE,
            b"data: ",
            (b'"finishReason"', b'"finishReason"'),
        ),
        Dialect(
            "openai-responses",
            ("/v1/responses", "/v1/responses"),
            _SSE,
            b"data: ",
            (b"event: response.completed", b"event: response.completed"),
        ),
    )
}
WAYS: Final = tuple(f"{name}-{way}" for name in ALL for way in ("whole", "streamed"))

_MESSAGES: Final = '[{"role":"user","content":"hi"}]'
_CONTENTS: Final = b'{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}'


def dialect(name: str) -> Dialect:
    """Return the dialect called *name*."""
    return ALL[name]


def answer_pieces(name: str, said: str | Said, *, is_streamed: bool) -> tuple[bytes, ...]:
    """Return the bytes of a good answer in the dialect *name*, in the pieces a server sends."""
    list_name = "input" if name == "openai-responses" else "messages"
    asked: Any = (
        f'{{"model":"test-model","stream":{str(is_streamed).lower()},"max_tokens":9,"{list_name}":{_MESSAGES}}}'
    )
    body = _CONTENTS if name == "gemini" else asked.encode()
    return answer(name, ask(name, ALL[name].path[is_streamed], body), Said.of(said)).pieces
