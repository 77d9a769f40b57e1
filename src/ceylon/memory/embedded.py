"""A memory that finds by meaning: in front of any other, it makes the vectors."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from ceylon.memory.entries import Entry, Note, Query, Recalled, Where
from ceylon.memory.port import Memory

__all__ = ["Embed", "EmbeddedMemory"]

Embed: TypeAlias = Callable[[Sequence[str]], Awaitable[Sequence[Sequence[float]]]]
"""Turns texts into vectors, like an embedding session's `embed`."""

_SIMILARITY: Final = 0.3  # below it, most models see nothing in common


class EmbeddedMemory(Memory):
    """Gives notes and queries that have no vector the one of their text.

    Args:
        memory: What keeps them; it is closed with this one.
        embed: Turns texts into vectors.
        similarity: The least cosine that counts as near, where a query has no vector of its own; models differ.
    """

    def __init__(self, memory: Memory, embed: Embed, *, similarity: float = _SIMILARITY) -> None:
        self._memory, self._embed, self._similarity = memory, embed, similarity

    def __repr__(self) -> str:
        return f"<EmbeddedMemory in front of {self._memory!r}>"

    async def remember(self, namespace: str, *notes: Note) -> tuple[Entry, ...]:
        """See `Memory`; the texts are embedded together."""
        places = [place for place, note in enumerate(notes) if _wants_vector(note)]
        vectors = await self._embed([notes[place].text for place in places]) if places else ()
        made = list(notes)
        for place, vector in zip(places, vectors, strict=True):
            made[place] = msgspec.structs.replace(notes[place], vector=tuple(vector))
        return await self._memory.remember(namespace, *made)

    async def recall(self, namespace: str, query: Query | str) -> tuple[Recalled, ...]:
        """See `Memory`; words and meaning count together."""
        query = Query(text=query) if isinstance(query, str) else query
        if _wants_vector(query):
            (vector,) = await self._embed([query.text])
            near = max(query.similarity, self._similarity)
            query = msgspec.structs.replace(query, vector=tuple(vector), similarity=near)
        return await self._memory.recall(namespace, query)

    async def forget(self, namespace: str, *ids: str) -> int:
        """See `Memory`."""
        return await self._memory.forget(namespace, *ids)

    async def get(self, namespace: str, *ids: str) -> tuple[Entry, ...]:
        """See `Memory`."""
        return await self._memory.get(namespace, *ids)

    async def entries(self, namespace: str, where: Iterable[Where] = (), *, limit: int = 100) -> tuple[Entry, ...]:
        """See `Memory`."""
        return await self._memory.entries(namespace, where, limit=limit)

    async def count(self, namespace: str, where: Iterable[Where] = ()) -> int:
        """See `Memory`."""
        return await self._memory.count(namespace, where)

    async def aclose(self) -> None:
        """Close what keeps the entries."""
        await self._memory.aclose()


def _wants_vector(asked: object) -> bool:
    """Say whether *asked* has words to embed, and no vector; what is no note and no query the memory itself refuses."""
    if not isinstance(asked, Note | Query) or asked.vector is not None:
        return False
    text: Any = asked.text
    return isinstance(text, str) and bool(text.strip())
