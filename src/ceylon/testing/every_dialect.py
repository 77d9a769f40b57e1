"""All dialects of the test server: which path speaks which, what is asked there, and what is answered."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

import msgspec

from ceylon.testing import dialect_anthropic, dialect_gemini, dialect_responses, dialects
from ceylon.testing.dialect_pieces import Asked, Payload
from ceylon.testing.dialects import CHAT_PATHS, LIST_PATHS, Question
from ceylon.testing.saying import Said

__all__ = ["answer", "ask", "dialect_at", "failure", "key_of", "list_at", "model_list"]

_Either: TypeAlias = Question | Asked


class _Service(msgspec.Struct, frozen=True):
    """How one service reads and answers."""

    ask: Callable[[str, bytes], Asked]
    answer: Callable[[Asked, Said], Payload]
    failure: Callable[[int, str], bytes]
    model_list: Callable[[Sequence[str]], bytes]


_SERVICES: Final = {
    "anthropic": _Service(
        dialect_anthropic.ask, dialect_anthropic.answer, dialect_anthropic.failure, dialect_anthropic.model_list
    ),
    "gemini": _Service(dialect_gemini.ask, dialect_gemini.answer, dialect_gemini.failure, dialect_gemini.model_list),
    "openai-responses": _Service(
        dialect_responses.ask,
        dialect_responses.answer,
        functools.partial(dialects.failure, "openai"),
        functools.partial(dialects.model_list, "openai"),
    ),
}
_BEARER: Final = "Bearer "
_questions: Final = msgspec.json.Decoder(Question)


def dialect_at(path: str) -> str | None:
    """Return the dialect in which questions are answered at *path*, if any are."""
    if path == dialect_anthropic.PATH:
        return "anthropic"
    if path == dialect_responses.PATH:
        return "openai-responses"
    return "gemini" if dialect_gemini.PATH.fullmatch(path) else CHAT_PATHS.get(path)


def list_at(path: str, headers: Mapping[str, str]) -> str | None:
    """Return the dialect in which models are listed at *path*, if they are; two services share one."""
    if path == "/v1beta/models":
        return "gemini"
    return "anthropic" if path == "/v1/models" and "anthropic-version" in headers else LIST_PATHS.get(path)


def key_of(headers: Mapping[str, str]) -> str | None:
    """Return the key of a request, in whichever header it is."""
    return (
        headers.get("x-api-key")
        or headers.get("x-goog-api-key")
        or headers.get("authorization", "").removeprefix(_BEARER)
        or None
    )


def ask(dialect: str, path: str, body: bytes) -> _Either:
    """Return what is asked."""
    return _SERVICES[dialect].ask(path, body) if dialect in _SERVICES else _questions.decode(body)


def answer(dialect: str, question: _Either, said: Said) -> Payload:
    """Return *said* as the answer to *question*."""
    if isinstance(question, Asked):
        return _SERVICES[dialect].answer(question, said)
    return dialects.answer(dialect, question, said)


def failure(dialect: str, status: int, words: str) -> bytes:
    """Return the body of an error."""
    service = _SERVICES.get(dialect)
    return service.failure(status, words) if service else dialects.failure(dialect, status, words)


def model_list(dialect: str, names: Sequence[str]) -> bytes:
    """Return the answer to the question which models there are."""
    service = _SERVICES.get(dialect)
    return service.model_list(names) if service else dialects.model_list(dialect, names)
