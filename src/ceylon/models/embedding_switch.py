"""An embedding session outside of meshes that lets others stand in for it: decided at each call, like a model's."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import anyio

from ceylon.models.stand_ins import embedding_around

if TYPE_CHECKING:
    from ceylon.models.embedding import Embedder, EmbeddingSession
    from ceylon.models.http import HttpClient

__all__ = ["EmbeddingSwitch"]


class EmbeddingSwitch:
    """Asks *embedder*, or whatever stands in for it just now; it is opened when it is needed first."""

    def __init__(self, embedder: "Embedder", client: "HttpClient") -> None:
        self._embedder, self._client = embedder, client
        self._session: EmbeddingSession | None = None
        self._opening = anyio.Lock()

    async def begin(self) -> None:
        """Open the embedding model here and now, so that what is wrong with it is heard here, unless it is not used."""
        around = embedding_around(self._embedder)
        if around is None or around.is_opened:
            await self._opened()

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """See `EmbeddingSession`."""
        around = embedding_around(self._embedder)
        if around is None:
            return await (await self._opened()).embed(texts)
        return await around.outside(await self._opened() if around.is_opened else None).embed(texts)

    async def aclose(self) -> None:
        """Close what was opened; the client is somebody else's."""
        if self._session is not None:
            await self._session.aclose()

    async def _opened(self) -> "EmbeddingSession":
        async with self._opening:
            if self._session is None:
                self._session = await self._embedder.open(self._client)
            return self._session
