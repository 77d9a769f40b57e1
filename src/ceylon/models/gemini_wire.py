"""The shapes of Gemini's generateContent: what answers are made of."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from ceylon.models.turns import Finish, Usage

__all__ = ["ERRORS", "FINISHES", "Candidate", "Response", "responses"]

ERRORS: Final[Finish] = "error"
"""What every reason is that is not among `FINISHES`: a malformed call, a missing signature, what is still to come."""

FINISHES: Final[Mapping[str, Finish]] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "length",
    "SAFETY": "filter",
    "RECITATION": "filter",
    "LANGUAGE": "filter",
    "BLOCKLIST": "filter",
    "PROHIBITED_CONTENT": "filter",
    "SPII": "filter",
    "IMAGE_SAFETY": "filter",
    "IMAGE_PROHIBITED_CONTENT": "filter",
    "IMAGE_RECITATION": "filter",
    "ESCALATION": "filter",
    "PUP_LIMITED_DISABLED": "filter",
    "MODEL_ARMOR": "filter",
}


class _Content(msgspec.Struct):
    parts: list[dict[str, Any]] | None = None


class Candidate(msgspec.Struct, rename="camel"):
    """One of the answers, or a piece of it."""

    content: _Content | None = None
    finish_reason: str | None = None
    finish_message: str | None = None
    index: int | None = 0


class _Feedback(msgspec.Struct, rename="camel"):
    block_reason: str | None = None


class _Count(msgspec.Struct, rename="camel"):
    """Tokens as they are counted there: the answer's are without the thoughts'."""

    prompt_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None
    cached_content_token_count: int | None = None

    def usage(self) -> Usage:
        """Return the tokens as we count them."""
        thoughts = self.thoughts_token_count or 0
        return Usage(
            input=(self.prompt_token_count or 0) + (self.tool_use_prompt_token_count or 0),
            output=(self.candidates_token_count or 0) + thoughts,
            cached_input=self.cached_content_token_count or 0,
            reasoning=thoughts,
        )


class _Failure(msgspec.Struct):
    code: int | None = None


class Response(msgspec.Struct, rename="camel"):
    """A whole answer, or one chunk of it."""

    candidates: list[Candidate] | None = None
    feedback: _Feedback | None = msgspec.field(name="promptFeedback", default=None)
    usage: _Count | None = msgspec.field(name="usageMetadata", default=None)
    model_version: str | None = None
    error: _Failure | None = None


responses: Final["msgspec.json.Decoder[Response | list[Response]]"] = msgspec.json.Decoder(
    Response | list[Response], strict=False
)
