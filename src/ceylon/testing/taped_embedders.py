"""What stands around embedding models: one writes down which texts became which vectors, the other gives them again."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from ceylon.models.embedding import CountedEmbedding, Taken
from ceylon.testing.exchanges import plain
from ceylon.testing.vectors import packed, unpacked

if TYPE_CHECKING:
    from ceylon.models.embedding import Embedder, EmbeddingSession
    from ceylon.testing.player import Player
    from ceylon.testing.writer import Writer

__all__ = ["RecordedEmbedder", "ReplayedEmbedder"]


class RecordedEmbedder:
    """Writes down what *embedder* is asked and answers."""

    def __init__(self, embedder: "Embedder", writer: "Writer") -> None:
        self._embedder, self._writer = embedder, writer
        writer.masking.learn(embedder)

    @property
    def is_opened(self) -> bool:
        """See `OutermostEmbedder`."""
        return True

    def outside(self, session: "EmbeddingSession | None") -> "EmbeddingSession":
        """See `OutermostEmbedder`."""
        assert session is not None  # noqa: S101 – it is opened
        return _RecordedEmbedding(session, self._embedder, self._writer)


class _RecordedEmbedding:
    def __init__(self, session: "EmbeddingSession", embedder: "Embedder", writer: "Writer") -> None:
        self._session, self._embedder, self._writer = session, embedder, writer

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Return the vectors, and write them down, or the error."""
        taken: list[Taken] = []
        with self._writer.exchanging(self._embedder.name, "embed", _request(self._embedder, texts)) as exchange:
            try:
                vectors = await self._embed(texts, taken)
            finally:
                exchange.taken = [plain(each) for each in taken]
            exchange.vectors = [packed(vector) for vector in vectors]
        return vectors

    async def aclose(self) -> None:
        """Close the session inside."""
        await self._session.aclose()

    async def _embed(self, texts: Sequence[str], taken: list[Taken]) -> list[list[float]]:
        if isinstance(self._session, CountedEmbedding):
            return await self._session.embed_counted(texts, taken)
        return await self._session.embed(texts)


class ReplayedEmbedder:
    """Answers from a cassette; the embedding model is never opened."""

    def __init__(self, embedder: "Embedder", player: "Player") -> None:
        self._embedder, self._player = embedder, player
        player.masking.learn(embedder)

    @property
    def is_opened(self) -> bool:
        """See `OutermostEmbedder`."""
        return False

    def outside(self, session: "EmbeddingSession | None") -> "EmbeddingSession":
        """See `OutermostEmbedder`."""
        del session
        return _ReplayedEmbedding(self._embedder, self._player)


class _ReplayedEmbedding:
    def __init__(self, embedder: "Embedder", player: "Player") -> None:
        self._embedder, self._player = embedder, player

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """See `embed_counted`."""
        return await self.embed_counted(texts, [])

    async def embed_counted(self, texts: Sequence[str], taken: list[Taken]) -> list[list[float]]:
        """Return the recorded vectors, or raise the recorded error; both with what it took."""
        exchange = await self._player.take(self._embedder.name, "embed", _request(self._embedder, texts))
        taken += [msgspec.convert(each, Taken) for each in exchange.taken]
        await self._player.wait(exchange.seconds)
        await self._player.end(exchange)
        return [unpacked(vector) for vector in exchange.vectors]

    async def aclose(self) -> None:
        """Nothing to give back."""


def _request(embedder: "Embedder", texts: Sequence[str]) -> dict[str, Any]:
    """Return what is asked; what the embedding model is set to is part of it."""
    options: Any = getattr(embedder, "options", None)
    return {"texts": list(texts), **({"options": options} if options else {})}
