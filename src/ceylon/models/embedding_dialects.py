"""How each provider is asked for vectors, as data: a path, a body, where the vectors are in the answer."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from ceylon.models.bodies import encode, read
from ceylon.models.embedding import Embedded
from ceylon.models.endpoint import Endpoint
from ceylon.models.turns import Usage

__all__ = ["GEMINI", "OLLAMA", "OPENAI", "Dialect"]


class Dialect(msgspec.Struct, frozen=True):
    """One provider's way; `options` are the settings it is known to take, `most` texts go into one request."""

    path: str
    body: Callable[[str, Sequence[str], Mapping[str, Any]], Mapping[str, Any]]
    vectors: Callable[[bytes, Endpoint], Embedded]
    options: frozenset[str]
    most: int

    def request(self, endpoint: Endpoint, model: str, texts: Sequence[str], options: Mapping[str, Any]) -> bytes:
        """Return the body that asks for the vectors of *texts*."""
        return encode(endpoint.model, self.body(model, texts, options))


class _Vector(msgspec.Struct):
    index: int
    embedding: list[float]


class _OpenAIUsage(msgspec.Struct):
    prompt_tokens: int = 0


class _OpenAIAnswer(msgspec.Struct):
    data: list[_Vector]
    usage: _OpenAIUsage | None = None


class _OllamaAnswer(msgspec.Struct):
    embeddings: list[list[float]]
    prompt_eval_count: int | None = None


class _Values(msgspec.Struct):
    values: list[float]


class _GeminiAnswer(msgspec.Struct):
    embeddings: list[_Values]


_openai: Final = msgspec.json.Decoder(_OpenAIAnswer, strict=False)
_ollama: Final = msgspec.json.Decoder(_OllamaAnswer, strict=False)
_gemini: Final = msgspec.json.Decoder(_GeminiAnswer, strict=False)


def _ollama_body(model: str, texts: Sequence[str], options: Mapping[str, Any]) -> Mapping[str, Any]:
    fields = {name: value for name, value in options.items() if name in _OLLAMA_FIELDS}
    inner = {name: value for name, value in options.items() if name not in _OLLAMA_FIELDS}
    return {"model": model, "input": texts, **fields, **({"options": inner} if inner else {})}


def _openai_body(model: str, texts: Sequence[str], options: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"model": model, "input": texts, "encoding_format": "float", **options}


def _gemini_body(model: str, texts: Sequence[str], options: Mapping[str, Any]) -> Mapping[str, Any]:
    named = {"model": f"models/{model}"}
    return {"requests": [{**named, "content": {"parts": [{"text": text}]}, **options} for text in texts]}


def _openai_vectors(answer: bytes, endpoint: Endpoint) -> Embedded:
    found = read(_openai, answer, endpoint)
    vectors = sorted(found.data, key=lambda each: each.index)
    return Embedded([each.embedding for each in vectors], _usage(found.usage.prompt_tokens if found.usage else None))


def _ollama_vectors(answer: bytes, endpoint: Endpoint) -> Embedded:
    found = read(_ollama, answer, endpoint)
    return Embedded(found.embeddings, _usage(found.prompt_eval_count))


def _gemini_vectors(answer: bytes, endpoint: Endpoint) -> Embedded:
    return Embedded([each.values for each in read(_gemini, answer, endpoint).embeddings])


def _usage(tokens: int | None) -> Usage:
    return Usage(input=max(0, tokens or 0))


_OLLAMA_FIELDS: Final = frozenset({"truncate", "keep_alive", "dimensions"})  # beside the options, not in them

OLLAMA: Final = Dialect(
    path="/api/embed",
    body=_ollama_body,
    vectors=_ollama_vectors,
    options=_OLLAMA_FIELDS | {"num_ctx", "num_batch", "num_gpu", "num_thread"},
    most=512,
)
OPENAI: Final = Dialect(
    path="/embeddings",
    body=_openai_body,
    vectors=_openai_vectors,
    options=frozenset({"dimensions", "user"}),
    most=2048,
)
GEMINI: Final = Dialect(
    path="/v1beta/models/{model}:batchEmbedContents",
    body=_gemini_body,
    vectors=_gemini_vectors,
    options=frozenset({"taskType", "outputDimensionality", "title"}),
    most=100,
)
