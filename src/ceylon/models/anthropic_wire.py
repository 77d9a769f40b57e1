"""The shapes of Anthropic's Messages API: what answers are made of."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from ceylon.models.turns import Finish, Usage

__all__ = [
    "FINISHES",
    "GROWS",
    "KNOWN_BLOCKS",
    "STATUSES",
    "Count",
    "Failure",
    "Happened",
    "Message",
    "blocks",
    "deltas",
    "events",
    "messages",
    "sendable",
    "words",
]

FINISHES: Final[Mapping[str, Finish]] = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool",
    "refusal": "filter",
}
STATUSES: Final[Mapping[str, int]] = {  # of an error that comes when the status is sent already
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
}
KNOWN_BLOCKS: Final = frozenset({"text", "thinking", "redacted_thinking", "tool_use"})
GROWS: Final[Mapping[str, str]] = {  # a delta's kind, and the field that has its piece: also the block's, but for input
    "text_delta": "text",
    "thinking_delta": "thinking",
    "signature_delta": "signature",
    "input_json_delta": "partial_json",
}
_SENDABLE: Final[Mapping[str, tuple[str, ...]]] = {
    "text": ("type", "text"),
    "thinking": ("type", "thinking", "signature"),
    "redacted_thinking": ("type", "data"),
    "tool_use": ("type", "id", "name", "input"),
}


class _OutputDetails(msgspec.Struct):
    thinking_tokens: int | None = None


class Count(msgspec.Struct):
    """Tokens as they are counted there: `input_tokens` are without the cached ones."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    output_tokens_details: _OutputDetails | None = None

    def update(self, later: "Count") -> "Count":
        """Return this with what *later* says: figures grow from event to event, and not each event has all."""
        names = self.__struct_fields__
        pairs = ((getattr(self, name), getattr(later, name)) for name in names)
        return Count(*(own if new is None else new for own, new in pairs))

    def usage(self) -> Usage:
        """Return the tokens as we count them."""
        cached, written = self.cache_read_input_tokens or 0, self.cache_creation_input_tokens or 0
        return Usage(
            input=(self.input_tokens or 0) + cached + written,
            output=self.output_tokens or 0,
            cached_input=cached,
            cache_write=written,
            reasoning=(self.output_tokens_details and self.output_tokens_details.thinking_tokens) or 0,
        )


class Failure(msgspec.Struct):
    """What went wrong, in one word."""

    type: str | None = None


class Message(msgspec.Struct):
    """A whole answer, or its beginning."""

    type: str = ""
    model: str | None = None
    content: list[dict[str, Any]] | None = None
    stop_reason: str | None = None
    usage: Count | None = None
    error: Failure | None = None


class Happened(msgspec.Struct):
    """What all events have; what is inside is read when the type is known."""

    type: str = ""
    index: int = 0
    message: msgspec.Raw = msgspec.Raw(b"{}")
    content_block: msgspec.Raw = msgspec.Raw(b"{}")
    delta: msgspec.Raw = msgspec.Raw(b"{}")
    usage: Count | None = None
    error: Failure | None = None


class _Delta(msgspec.Struct):
    type: str = ""
    stop_reason: str | None = None


messages: Final = msgspec.json.Decoder(Message, strict=False)
events: Final = msgspec.json.Decoder(Happened, strict=False)
deltas: Final = msgspec.json.Decoder(_Delta)
blocks: Final = msgspec.json.Decoder(dict[str, Any])


def words(block: Mapping[str, Any], field: str) -> str:
    """Return the text in *field*, empty if there is none."""
    value = block.get(field)
    return value if isinstance(value, str) else ""


def sendable(content: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return *content* as a request may have it: answers have fields that requests must not, and blank texts."""
    found = [{name: block[name] for name in _SENDABLE[block["type"]] if name in block} for block in content]
    return [block for block in found if block["type"] != "text" or words(block, "text").strip()]
