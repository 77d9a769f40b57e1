"""The shapes of OpenAI's chat completions, as its many imitators really send them, and how to read them.

Tolerated, each because some server does it: ``null`` where an object belongs, usage on every chunk or on one without
choices, calls without an id or an index, a reasoning text under either name, content as a list of parts, an error
inside a 200, an empty finish reason.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from ceylon.models.draft import Draft
from ceylon.models.turns import Finish, TextPart, ThinkingPart, Usage

__all__ = ["Completion", "Failure", "ModelList", "take"]

_FINISHES: Final[Mapping[str, Finish]] = {
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "tool_calls": "tool",
    "function_call": "tool",
    "content_filter": "filter",
    "error": "error",
    "abort": "error",
    "insufficient_system_resource": "error",
}


class _Piece(msgspec.Struct):
    """One part of a content that is a list."""

    type: str | None = None
    text: str | None = None


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: Any = None  # JSON text by the book, the object itself by some


class _Call(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Delta(msgspec.Struct):
    tool_calls: list[_Call] | None = None
    content: str | list[_Piece] | None = None
    refusal: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None


class _Choice(msgspec.Struct):
    index: int | None = 0
    delta: _Delta | None = None
    message: _Delta | None = None
    finish_reason: str | None = None


class _PromptDetails(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _OutputDetails(msgspec.Struct):
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _OutputDetails | None = None


class _Timings(msgspec.Struct):
    predicted_per_second: float | None = None


class Failure(msgspec.Struct):
    """An error as an object; `code` is a status on some servers and a word on others."""

    message: str | None = None
    code: int | str | None = None
    type: str | None = None


class Completion(msgspec.Struct):
    """A whole answer, or one chunk of it."""

    model: str | None = None
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    timings: _Timings | None = None
    error: Failure | str | None = None


class _Listed(msgspec.Struct):
    id: str


class ModelList(msgspec.Struct):
    """What ``GET /models`` answers."""

    data: list[_Listed] | None = None


def take(draft: Draft, completion: Completion) -> list[TextPart | ThinkingPart]:
    """Add *completion* to *draft* and return its parts."""
    draft.model = completion.model or draft.model
    if completion.usage is not None:
        draft.usage = _usage(completion.usage)
    if completion.timings is not None and completion.timings.predicted_per_second:
        draft.tokens_per_second = completion.timings.predicted_per_second
    parts: list[Any] = []
    for choice in completion.choices or ():
        if choice.index:
            continue  # only one answer was asked for
        delta = choice.delta or choice.message or _Delta()
        for position, call in enumerate(delta.tool_calls or ()):
            function = call.function or _Function()
            index = position if call.index is None and choice.delta is None else call.index
            draft.pieces.add(index, call.id or "", function.name or "", function.arguments)
        parts += draft.add(
            _text(delta.content) or delta.refusal or "", delta.reasoning or delta.reasoning_content or ""
        )
        if choice.finish_reason:
            draft.finish = _FINISHES.get(choice.finish_reason, "stop")
    return parts


def _text(content: str | list[_Piece] | None) -> str:
    if isinstance(content, list):
        return "".join(piece.text or "" for piece in content)
    return content or ""


def _usage(usage: _Usage) -> Usage:
    prompt, output = usage.prompt_tokens_details, usage.completion_tokens_details
    return Usage(
        input=usage.prompt_tokens or 0,
        output=usage.completion_tokens or 0,
        cached_input=(prompt and prompt.cached_tokens) or 0,
        cache_write=(prompt and prompt.cache_write_tokens) or 0,
        reasoning=(output and output.reasoning_tokens) or 0,
    )
