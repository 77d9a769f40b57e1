"""What goes to a language model and what comes back, in no provider's dialect."""

from typing import Any, Literal, TypeAlias

import msgspec

__all__ = ["Finish", "Part", "Reply", "ReplyPart", "Request", "Role", "TextPart", "ThinkingPart", "Turn", "Usage"]

Role: TypeAlias = Literal["system", "user", "assistant"]

Finish: TypeAlias = Literal["stop", "length", "tool", "filter", "error", "cancelled"]
"""Why a model stopped, in one vocabulary for all providers."""


class Turn(msgspec.Struct, frozen=True):
    """One entry of a conversation."""

    role: Role
    text: str


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of one request, as the provider counted them; `input` includes the cached ones."""

    input: int = 0
    output: int = 0
    cached_input: int = 0
    cache_write: int = 0
    reasoning: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        """Return the sum of both, field by field."""
        return Usage(**{name: getattr(self, name) + getattr(other, name) for name in self.__struct_fields__})


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation to be continued, and how; `None` leaves the choice to the server.

    `options` holds further settings by the provider's own names; an adapter refuses the ones it does not know.
    `timeout` bounds the whole turn, in seconds.
    """

    turns: tuple[Turn, ...]
    temperature: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    options: dict[str, Any] = {}
    timeout: float | None = None


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """A model's whole answer to one request.

    `model` is the name the server itself reports; `tokens_per_second` is the engine's own figure, where it has one.
    """

    text: str
    thinking: str = ""
    usage: Usage = Usage()
    finish: Finish = "stop"
    model: str = ""
    tokens_per_second: float | None = None


class TextPart(msgspec.Struct, frozen=True, tag="text"):
    """A piece of the answer's text."""

    text: str


class ThinkingPart(msgspec.Struct, frozen=True, tag="thinking"):
    """A piece of what a reasoning model thinks before it answers."""

    text: str


class ReplyPart(msgspec.Struct, frozen=True, tag="reply"):
    """The last part of every stream that ended well: the whole answer, with its usage."""

    reply: Reply


Part: TypeAlias = TextPart | ThinkingPart | ReplyPart
