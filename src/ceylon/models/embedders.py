"""The embedding models by name: Ollama, OpenAI and every server that speaks like it, Gemini, the embedded engine."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final

import msgspec

from ceylon.errors import ModelConfigError
from ceylon.models.bodies import check_options
from ceylon.models.embedding import Embedder, EmbeddingSession
from ceylon.models.embedding_dialects import GEMINI, OLLAMA, OPENAI, Dialect
from ceylon.models.embedding_sessions import HttpEmbeddingSession, LocalEmbeddingSession
from ceylon.models.endpoint import Endpoint
from ceylon.models.engine import EngineOptions, join
from ceylon.models.gemini import GeminiModel
from ceylon.models.local import LocalModel, threads_of, weights_of
from ceylon.models.ollama import OllamaModel, ollama_endpoint
from ceylon.models.openai import OpenAIModel
from ceylon.models.providers import SERVICES
from ceylon.models.resolve import parse
from ceylon.models.secret import Secret

if TYPE_CHECKING:
    from ceylon.models.http import HttpClient

__all__ = ["GeminiEmbedder", "LocalEmbedder", "OllamaEmbedder", "OpenAIEmbedder", "resolve_embedder"]

_OPENAI_NAMES: Final = ("text-embedding-3-", "text-embedding-ada-")
_GEMINI_NAMES: Final = ("gemini-embedding-", "text-embedding-00", "embedding-00")
_SLOTS: Final = 2  # texts at a time; more would only share the same core


class OllamaEmbedder(msgspec.Struct, frozen=True, kw_only=True):
    """An embedding model that an Ollama server runs, like ``nomic-embed-text``."""

    model: str
    base_url: str | None = None
    api_key: Secret | None = None
    options: dict[str, Any] = {}

    @property
    def name(self) -> str:
        """The canonical spelling, ``ollama::model``."""
        return f"ollama::{self.model}"

    def check(self) -> None:
        """Raise `ModelConfigError` for a wrong address or an unknown option."""
        self.endpoint()
        check_options(self.name, self.options, OLLAMA.options)

    async def open(self, client: "HttpClient") -> EmbeddingSession:
        """Return a session; nothing is sent before the first request."""
        self.check()
        return HttpEmbeddingSession(OLLAMA, self.endpoint(), self.model, self.options, client)

    def endpoint(self) -> Endpoint:
        """Return where the server is, and the key it takes."""
        return ollama_endpoint(OllamaModel(model=self.model, base_url=self.base_url, api_key=self.api_key))


class _SpokenEmbedder(msgspec.Struct, frozen=True, kw_only=True):
    """One whose server and key are those of a model that is *spoken* to, in the dialect of its class."""

    dialect: ClassVar[Dialect]
    spoken: Any
    options: dict[str, Any] = {}

    @property
    def name(self) -> str:
        """The canonical spelling, ``provider::model``."""
        return str(self.spoken.name)

    def check(self) -> None:
        """Raise `ModelConfigError` for a wrong address, a missing key or an unknown option."""
        self.spoken.check()
        check_options(self.name, self.options, self.dialect.options)

    async def open(self, client: "HttpClient") -> EmbeddingSession:
        """Return a session; nothing is sent before the first request."""
        self.check()
        return HttpEmbeddingSession(self.dialect, self.endpoint(), self.spoken.model, self.options, client)

    def endpoint(self) -> Endpoint:
        """Return where the server is, and the key it takes."""
        found: Endpoint = self.spoken.endpoint()
        return found


class OpenAIEmbedder(_SpokenEmbedder, frozen=True, kw_only=True):
    """An embedding model behind OpenAI's `/embeddings`; *spoken* says which server, and has its key."""

    dialect: ClassVar[Dialect] = OPENAI
    spoken: OpenAIModel


class GeminiEmbedder(_SpokenEmbedder, frozen=True, kw_only=True):
    """An embedding model of Google's, like ``gemini-embedding-001``; *spoken* says where, and has its key."""

    dialect: ClassVar[Dialect] = GEMINI
    spoken: GeminiModel


class LocalEmbedder(msgspec.Struct, frozen=True, kw_only=True):
    """The embedded engine: the mean of what a model makes of a text's words. It proves the road, not wisdom."""

    model: str = "smollm2"
    context: int = 2048  # the longest text, in tokens

    @property
    def name(self) -> str:
        """The canonical spelling, ``local::model``."""
        return f"local::{self.model}"

    def check(self) -> None:
        """Raise `ModelConfigError` for what is neither the known name nor a file."""
        LocalModel(model=self.model).check()

    async def open(self, client: "HttpClient") -> EmbeddingSession:
        """Start an engine that embeds, or join the one that runs.

        Raises:
            ModelUnavailableError: the engine or the weights are not installed.
        """
        self.check()
        options = EngineOptions(threads=threads_of(), slots=_SLOTS, context=self.context, embedding=True)
        engine = await join(weights_of(self.model), options)
        return LocalEmbeddingSession(engine, self.name, client)


def resolve_embedder(
    embedder: str | Embedder,
    *,
    api_key: str | Secret | None = None,
    base_url: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Embedder:
    """Return the embedding model that *embedder* names, in the spelling of models; an `Embedder` is returned as it is.

    Raises:
        ModelConfigError: the string names nothing, or a provider that embeds nothing.
    """
    if not isinstance(embedder, str):
        return _as_given(embedder)
    provider, name = _parse(embedder)
    settings: dict[str, Any] = {"base_url": base_url, "api_key": Secret.of(api_key)}
    given = dict(options or {})
    if provider == "local":
        if base_url or api_key or given:
            sentence = f"{embedder!r} runs in this process: api_key, base_url and options cannot be given here"
            raise ModelConfigError(sentence)
        return LocalEmbedder(model=name)
    if provider == "ollama":
        return OllamaEmbedder(model=name, options=given, **settings)
    if provider == "gemini":
        return GeminiEmbedder(spoken=GeminiModel(model=name.removeprefix("models/"), **settings), options=given)
    if provider not in SERVICES:
        sentence = f"{embedder!r}: {provider} embeds nothing; name a model of ollama, openai, gemini or local"
        raise ModelConfigError(sentence)
    return OpenAIEmbedder(spoken=OpenAIModel(model=name, service=SERVICES[provider], **settings), options=given)


def _as_given(embedder: object) -> Embedder:
    if not isinstance(embedder, Embedder):
        sentence = f"an embedder is a string or an Embedder, not {type(embedder).__name__}"
        raise ModelConfigError(sentence)
    return embedder


def _parse(embedder: str) -> tuple[str, str]:
    """Return provider and name; some names are known to be embedding models, whoever is the default."""
    text = embedder.strip()
    if text.startswith(_OPENAI_NAMES):
        return "openai", text
    if text.startswith(_GEMINI_NAMES):
        return "gemini", text
    return parse(embedder)
