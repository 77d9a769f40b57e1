"""An embedding session behind the governor of its model: admitted, tried again, paid for, like any other request."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from ceylon.models.embedding import Embedded, Taken, check_texts, check_vectors
from ceylon.models.turns import Reply, Request, Turn

if TYPE_CHECKING:
    from ceylon.models.embedding import EmbeddingSession
    from ceylon.models.governor.passages import Passages

__all__ = ["GovernedEmbedding", "as_request"]


@runtime_checkable
class Counting(Protocol):
    """A session that makes one request at a time and says what it took; one that cannot is charged by its texts."""

    @property
    def most(self) -> int:
        """How many texts go into one request."""
        ...

    async def embed_some(self, texts: Sequence[str]) -> Embedded:
        """Make one request."""
        ...


class GovernedEmbedding:
    """Passes every request on to *session*, when it may go and as often as it takes; others close it."""

    def __init__(self, session: "EmbeddingSession", passages: "Passages") -> None:
        self._session, self._passages = session, passages

    def __repr__(self) -> str:
        return f"<GovernedEmbedding {self._passages.governor!r}>"

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Return a vector for each of *texts*.

        Raises:
            ModelError: by the last try.
            BudgetError: it might cost more than the run can still spend.
        """
        return await self.embed_counted(texts, [])

    async def embed_counted(self, texts: Sequence[str], taken: list[Taken]) -> list[list[float]]:
        """See `CountedEmbedding`."""
        check_texts(texts, self._passages.interior.settings)
        size = self._session.most if isinstance(self._session, Counting) else max(1, len(texts))
        vectors: list[Sequence[float]] = []
        for first in range(0, len(texts), size):
            vectors += await self._embed(texts[first : first + size], taken)
        return check_vectors(self._passages.governor.model, vectors, len(texts))

    async def aclose(self) -> None:
        """Nothing to give back: the session inside is the mesh's."""

    async def _embed(self, texts: Sequence[str], taken: list[Taken]) -> Sequence[Sequence[float]]:
        """Make one request."""
        with self._passages() as passage:
            await passage.open(as_request(texts))
            made = await passage.make(lambda: self._make_one(texts))
            cost = passage.answered(Reply(text="", usage=made.usage))
            taken.append(Taken(len(texts), made.usage, cost))
            return made.vectors

    async def _make_one(self, texts: Sequence[str]) -> Embedded:
        if isinstance(self._session, Counting):
            return await self._session.embed_some(texts)
        return Embedded(await self._session.embed(texts))


def as_request(texts: Sequence[str]) -> Request:
    """Return a request that is as long as *texts*, and has no answer to pay for."""
    return Request(turns=tuple(Turn("user", text) for text in texts), max_tokens=0)
