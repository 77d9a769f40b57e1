"""What the dialects of the test server share: a question, a count, and how an answer's bytes are cut."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from ceylon.testing.dialects import Payload
from ceylon.testing.saying import Said

__all__ = ["Asked", "Counted", "Payload", "event", "pieces_of", "plain", "streamed"]


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A question, whatever it was asked in; the last of its texts is the prompt."""

    model: str
    texts: tuple[str, ...]
    stream: bool

    @property
    def prompt(self) -> str:
        """The last message's text."""
        return self.texts[-1] if self.texts else ""


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens: words, and one for each call."""

    input: int
    output: int
    thoughts: int

    @classmethod
    def of(cls, asked: Asked, said: Said) -> "Counted":
        """Return the tokens of a question and its answer."""
        thoughts = len(pieces_of(said.thinking))
        output = len(pieces_of(said.text)) + len(said.calls)
        return cls(input=sum(len(pieces_of(text)) for text in asked.texts), output=output + thoughts, thoughts=thoughts)


def pieces_of(text: str) -> list[str]:
    """Return *text* in pieces of about a token; joined again they are the text."""
    return re.findall(r"\s*\S+|\s+$", text)


def event(content: Mapping[str, Any], name: str = "", end: str = "\n") -> bytes:
    """Return a server-sent event."""
    head = f"event: {name}{end}".encode() if name else b""
    return head + b"data: " + msgspec.json.encode(content) + (end * 2).encode()


def plain(body: Mapping[str, Any]) -> Payload:
    """Return an answer that is not streamed."""
    return Payload("application/json", (msgspec.json.encode(body),), is_stream=False)


def streamed(pieces: Iterable[bytes]) -> Payload:
    """Return an answer as a stream."""
    return Payload("text/event-stream; charset=utf-8", tuple(pieces), is_stream=True)
