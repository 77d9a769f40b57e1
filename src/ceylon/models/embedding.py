"""The port of models that turn texts into vectors: an `Embedder` says which, an `EmbeddingSession` asks it."""

import contextlib
import math
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import msgspec

from ceylon.errors import ArgumentError, ModelProtocolError
from ceylon.models.turns import Usage
from ceylon.settings import DEFAULTS, Settings

if TYPE_CHECKING:
    from ceylon.models.http import HttpClient
    from ceylon.models.secret import Secret

__all__ = [
    "CountedEmbedding",
    "Embedded",
    "Embedder",
    "EmbeddingSession",
    "Taken",
    "check_texts",
    "check_vectors",
    "open_embedder",
]


class EmbeddingSession(Protocol):
    """An embedding model in use on one event loop; many requests may be under way at once."""

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Return a vector for each of *texts*, in their order, all of one length.

        Raises:
            ArgumentError: too many texts, or one without words.
            ModelError: whatever went wrong, as one of its kinds.
        """
        ...

    async def aclose(self) -> None:
        """Give back what the session holds; the shared `HttpClient` is not its own."""
        ...


class Embedded(msgspec.Struct, frozen=True):
    """Vectors, and what the server says they took; an empty `usage` where it does not count."""

    vectors: Sequence[Sequence[float]]
    usage: Usage = Usage()


class Taken(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one request for vectors took: of how many texts, and what it cost, where that is known."""

    texts: int
    usage: Usage = Usage()
    cost: float | None = None


@runtime_checkable
class CountedEmbedding(Protocol):
    """A session that tells what its requests took."""

    async def embed_counted(self, texts: Sequence[str], taken: list[Taken]) -> list[list[float]]:
        """Return a vector for each of *texts*; put what each request took into *taken*, also if a later one fails."""
        ...


@runtime_checkable
class Embedder(Protocol):
    """Which embedding model, as a value: no connection, no loop, safe to share and to keep."""

    @property
    def name(self) -> str:
        """The canonical spelling, ``provider::model``."""
        ...

    def check(self) -> None:
        """Raise `ModelConfigError` for what is known to be wrong before the first request."""
        ...

    async def open(self, client: "HttpClient") -> EmbeddingSession:
        """Return a session on the running loop, over the mesh's one HTTP client.

        Raises:
            ModelUnavailableError: nothing to talk to (an engine that is not installed).
        """
        ...


@contextlib.asynccontextmanager
async def open_embedder(
    embedder: str | Embedder,
    *,
    api_key: "str | Secret | None" = None,
    base_url: str | None = None,
    options: Mapping[str, Any] | None = None,
    settings: Settings = DEFAULTS,
) -> AsyncGenerator[EmbeddingSession]:
    """Open a session with *embedder* outside a mesh, over an HTTP client of its own.

    Raises:
        ModelConfigError: the string names nothing, or a key is missing.
        ModelUnavailableError: nothing to talk to.
    """
    from ceylon.models.embedders import resolve_embedder  # noqa: PLC0415 – brings the adapters in
    from ceylon.models.embedding_switch import EmbeddingSwitch  # noqa: PLC0415 – as above
    from ceylon.models.http import HttpClient  # noqa: PLC0415 – as above

    resolved = resolve_embedder(embedder, api_key=api_key, base_url=base_url, options=options)
    async with HttpClient(settings) as client:
        session = EmbeddingSwitch(resolved, client)
        try:
            await session.begin()
            yield session
        finally:
            await session.aclose()


def check_texts(texts: Sequence[str], settings: Settings) -> None:
    """Raise `ArgumentError` for what no provider embeds."""
    if len(texts) > settings.embedding_texts:
        sentence = f"{len(texts):,} texts are too many for one call; embed {settings.embedding_texts:,} at a time"
        raise ArgumentError(sentence)
    for number, text in enumerate(texts):
        if not text.strip():
            sentence = f"text {number} has no words; there is nothing to embed"
            raise ArgumentError(sentence)


def check_vectors(name: str, vectors: Sequence[Sequence[float]], wanted: int) -> list[list[float]]:
    """Return *vectors* if they are as many as *wanted*, of one length, and of numbers.

    Raises:
        ModelProtocolError: they are not.
    """
    lengths = {len(vector) for vector in vectors}
    if len(vectors) != wanted or len(lengths) > 1 or 0 in lengths:
        found = f"{len(vectors)} vectors of {', '.join(map(str, sorted(lengths))) or 'no'} numbers"
        sentence = f"{name}: it answered {wanted} texts with {found}"
        raise ModelProtocolError(sentence)
    if not all(math.isfinite(number) for vector in vectors for number in vector):
        sentence = f"{name}: it answered with numbers that are none"
        raise ModelProtocolError(sentence)
    return [list(vector) for vector in vectors]
