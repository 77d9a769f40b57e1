"""Ask for vectors: over HTTP a batch at a time, or the embedded engine over its loopback port."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ceylon.models.embedding import Embedded, check_texts, check_vectors
from ceylon.models.embedding_dialects import OPENAI, Dialect
from ceylon.models.endpoint import Endpoint
from ceylon.models.engine import Engine, leave

if TYPE_CHECKING:
    from ceylon.models.http import HttpClient

__all__ = ["HttpEmbeddingSession", "LocalEmbeddingSession"]


class HttpEmbeddingSession:
    """Asks one server, a batch at a time."""

    def __init__(
        self, dialect: Dialect, endpoint: Endpoint, model: str, options: Mapping[str, Any], client: "HttpClient"
    ) -> None:
        self._dialect, self._endpoint, self._model = dialect, endpoint, model
        self._options, self._client = options, client
        self._path = dialect.path.replace("{model}", quote(model, safe=""))

    @property
    def most(self) -> int:
        """How many texts go into one request."""
        return min(self._client.settings.embedding_batch, self._dialect.most)

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """See `EmbeddingSession`."""
        check_texts(texts, self._client.settings)
        vectors: list[Sequence[float]] = []
        for first in range(0, len(texts), self.most):
            vectors += (await self.embed_some(texts[first : first + self.most])).vectors
        return check_vectors(self._endpoint.model, vectors, len(texts))

    async def aclose(self) -> None:
        """Nothing to give back: the connections are the client's."""

    async def embed_some(self, texts: Sequence[str]) -> Embedded:
        """Make one request: return vectors for *texts*, of which there are no more than `most`, and what they took."""
        timeout = self._client.settings.embedding_timeout
        check_texts(texts, self._client.settings)
        body = self._dialect.request(self._endpoint, self._model, texts, self._options)
        answer = await self._client.post_json(self._endpoint, self._path, body, timeout=timeout)
        made = self._dialect.vectors(answer, self._endpoint)
        return Embedded(check_vectors(self._endpoint.model, made.vectors, len(texts)), made.usage)


class LocalEmbeddingSession(HttpEmbeddingSession):
    """Asks the engine over its loopback port, and leaves it in the end."""

    def __init__(self, engine: Engine, name: str, client: "HttpClient") -> None:
        endpoint = Endpoint(model=name, base_url=engine.url, advice="The embedded engine has ended; open it anew.")
        super().__init__(OPENAI, endpoint, engine.weights.alias, {}, client)
        self._engine, self._is_closed = engine, False

    async def aclose(self) -> None:
        """Leave the engine; the last one stops it."""
        if self._is_closed:
            return
        self._is_closed = True
        await leave(self._engine)
