"""Ask for vectors: over HTTP a batch at a time, or the embedded engine over its loopback port."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import anyio
import anyio.to_thread

from ceylon.models.embedding import check_texts, check_vectors
from ceylon.models.embedding_dialects import OPENAI, Dialect
from ceylon.models.endpoint import Endpoint
from ceylon.models.engine import Engine, release

if TYPE_CHECKING:
    from ceylon.models.http import HttpClient

__all__ = ["HttpEmbeddingSession", "LocalEmbeddingSession"]

_STOP_SECONDS: Final = 10.0


class HttpEmbeddingSession:
    """Asks one server, a batch at a time."""

    def __init__(
        self, dialect: Dialect, endpoint: Endpoint, model: str, options: Mapping[str, Any], client: "HttpClient"
    ) -> None:
        self._dialect, self._endpoint, self._model = dialect, endpoint, model
        self._options, self._client = options, client
        self._path = dialect.path.replace("{model}", quote(model, safe=""))

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """See `EmbeddingSession`."""
        settings = self._client.settings
        check_texts(texts, settings)
        size = min(settings.embedding_batch, self._dialect.most)
        vectors: list[Sequence[float]] = []
        for first in range(0, len(texts), size):
            vectors += await self._ask(texts[first : first + size], settings.embedding_timeout)
        return check_vectors(self._endpoint.model, vectors, len(texts))

    async def aclose(self) -> None:
        """Nothing to give back: the connections are the client's."""

    async def _ask(self, texts: Sequence[str], timeout: float) -> Sequence[Sequence[float]]:
        body = self._dialect.request(self._endpoint, self._model, texts, self._options)
        answer = await self._client.post_json(self._endpoint, self._path, body, timeout=timeout)
        return check_vectors(self._endpoint.model, self._dialect.vectors(answer, self._endpoint), len(texts))


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
        with anyio.CancelScope(shield=True, deadline=anyio.current_time() + _STOP_SECONDS):
            await anyio.to_thread.run_sync(release, self._engine, abandon_on_cancel=True)
