"""An embedding session behind the governor of its model: admitted, tried again, paid for, like any other request."""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import anyio

from ceylon.errors import ModelError
from ceylon.models.embedding import Embedded, check_texts, check_vectors
from ceylon.models.governor.asker import Asker
from ceylon.models.governor.passage import Passage
from ceylon.models.turns import Reply, Request, Turn

if TYPE_CHECKING:
    from ceylon.core.interior import Interior
    from ceylon.models.embedding import EmbeddingSession
    from ceylon.models.governor.governor import Governor
    from ceylon.models.prices import Price

__all__ = ["GovernedEmbedding"]


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

    def __init__(
        self,
        session: "EmbeddingSession",
        governor: "Governor",
        interior: "Interior",
        find_asker: Callable[[], Asker],
        price: "Price | None" = None,
    ) -> None:
        self._session, self._governor, self._interior = session, governor, interior
        self._find_asker, self._price = find_asker, price

    def __repr__(self) -> str:
        return f"<GovernedEmbedding {self._governor!r}>"

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Return a vector for each of *texts*.

        Raises:
            ModelError: by the last try.
            BudgetError: it might cost more than the run can still spend.
        """
        check_texts(texts, self._interior.settings)
        size = self._session.most if isinstance(self._session, Counting) else max(1, len(texts))
        vectors: list[Sequence[float]] = []
        for first in range(0, len(texts), size):
            vectors += await self._embed(texts[first : first + size])
        return check_vectors(self._governor.model, vectors, len(texts))

    async def aclose(self) -> None:
        """Nothing to give back: the session inside is the mesh's."""

    async def _embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """Make one request."""
        with Passage(self._governor, self._interior, self._find_asker(), self._price) as passage:
            await passage.open(_as_request(texts))
            while True:
                await passage.enter()
                try:
                    made = await self._in_time(texts, passage)
                except ModelError as error:
                    if not await passage.may_try_again(error):
                        raise
                else:
                    passage.answered(Reply(text="", usage=made.usage))
                    return made.vectors

    async def _in_time(self, texts: Sequence[str], passage: Passage) -> Embedded:
        """Return the vectors, unless the run's time is over before."""
        seconds = passage.seconds_left
        with anyio.move_on_after(None if seconds == math.inf else seconds):
            if isinstance(self._session, Counting):
                return await self._session.embed_some(texts)
            return Embedded(await self._session.embed(texts))
        raise passage.time_is_over()


def _as_request(texts: Sequence[str]) -> Request:
    """Return a request that is as long as *texts*, and has no answer to pay for."""
    return Request(turns=tuple(Turn("user", text) for text in texts), max_tokens=0)
