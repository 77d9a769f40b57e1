"""The shapes of OpenAI's Responses API; indexes are not read, because llama.cpp's server leaves them out."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from ceylon.models.turns import Finish, Usage

__all__ = ["FINISHES", "STATUSES", "Failure", "Happened", "Response", "happenings", "responses"]

FINISHES: Final[Mapping[str, Finish]] = {"max_output_tokens": "length", "content_filter": "filter"}
"""Why an answer is incomplete; any other reason is an error."""

STATUSES: Final[Mapping[str, int]] = {  # of an error that comes when the status is sent already
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    "invalid_prompt": 400,
    "invalid_request_error": 400,
    "context_length_exceeded": 400,
    "invalid_api_key": 401,
    "model_not_found": 404,
}


class _InputDetails(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _OutputDetails(msgspec.Struct):
    reasoning_tokens: int | None = None


class _Count(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None

    def usage(self) -> Usage:
        """Return the tokens as we count them."""
        given, made = self.input_tokens_details, self.output_tokens_details
        return Usage(
            input=self.input_tokens or 0,
            output=self.output_tokens or 0,
            cached_input=(given and given.cached_tokens) or 0,
            cache_write=(given and given.cache_write_tokens) or 0,
            reasoning=(made and made.reasoning_tokens) or 0,
        )


class Failure(msgspec.Struct):
    """What went wrong."""

    message: str | None = None
    code: str | int | None = None
    type: str | None = None


class _Incomplete(msgspec.Struct):
    reason: str | None = None


class Response(msgspec.Struct):
    """A whole answer; items are kept as they are, to be sent back so."""

    model: str | None = None
    output: list[dict[str, Any]] | None = None
    status: str | None = None
    usage: _Count | None = None
    error: Failure | None = None
    incomplete_details: _Incomplete | None = None
    object: str | None = None


class Happened(msgspec.Struct):
    """An event; of most only the type is read."""

    type: str = ""
    delta: Any = None
    item: dict[str, Any] | None = None
    response: Response | None = None
    error: Failure | None = None
    message: str | None = None
    code: str | int | None = None
    object: str | None = None


responses: Final = msgspec.json.Decoder(Response, strict=False)
happenings: Final = msgspec.json.Decoder(Happened, strict=False)
