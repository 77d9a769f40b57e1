"""The port every memory is behind. A memory of one's own is a subclass that passes `ceylon.testing.contracts`."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from ceylon.memory.entries import Entry, Note, Query, Recalled, Scalar, Where

__all__ = ["Entry", "Memory", "Note", "Notebook", "Query", "Recalled", "Where"]


class Memory(ABC):
    """Entries under namespaces: what is under one is invisible under every other.

    It may be used from several agents, meshes and loops at once. What has expired is gone, for every verb.
    """

    @abstractmethod
    async def remember(self, namespace: str, *notes: Note) -> tuple[Entry, ...]:
        """Keep all *notes*, or none of them; one with a known id takes that one's place.

        Raises:
            ArgumentError: a note is out of its limits.
            MemoryFullError: the namespace would hold too much.
        """

    @abstractmethod
    async def recall(self, namespace: str, query: Query | str) -> tuple[Recalled, ...]:
        """Return what fits *query*, the nearest first.

        Raises:
            ArgumentError: a condition, or a limit, that cannot be.
            StoreTimeoutError: it took too long.
        """

    @abstractmethod
    async def forget(self, namespace: str, *ids: str) -> int:
        """Drop the entries of these ids; return how many there were."""

    @abstractmethod
    async def entries(self, namespace: str, where: Iterable[Where] = (), *, limit: int = 100) -> tuple[Entry, ...]:
        """Return the entries that meet all conditions, newest first."""

    @abstractmethod
    async def count(self, namespace: str, where: Iterable[Where] = ()) -> int:
        """Return how many entries meet all conditions."""

    async def get(self, namespace: str, *ids: str) -> tuple[Entry, ...]:
        """Return the entries of these ids, in that order, without those that are not there.

        This one looks through all entries; a memory that can go straight to them does.
        """
        found: dict[str, Entry] = {}
        if ids:
            most = max(1, await self.count(namespace))
            found = {each.id: each for each in await self.entries(namespace, limit=most)}
        return tuple(found[each] for each in ids if each in found)

    async def aclose(self) -> None:  # noqa: B027 – a memory in this process has nothing to give back
        """Give back what the memory holds: files, threads, connections."""

    def notebook(self, namespace: str) -> "Notebook":
        """Return the memory under one namespace, and nothing of the others."""
        return Notebook(self, namespace)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


class Notebook:
    """The verbs of a memory for one owner, who cannot reach what belongs to others."""

    def __init__(self, memory: Memory, namespace: str) -> None:
        self._memory = memory
        self.namespace = namespace

    def __repr__(self) -> str:
        return f"<Notebook of {self.namespace!r}>"

    async def remember(
        self,
        text: str,
        *,
        metadata: dict[str, Scalar] | None = None,
        source: str = "",
        is_trusted: bool = False,
        ttl: float | None = None,
        id: str = "",  # noqa: A002 – what it is called everywhere
    ) -> Entry:
        """Keep *text*; see `Note`."""
        note = Note(text=text, metadata=metadata or {}, source=source, is_trusted=is_trusted, ttl=ttl, id=id)
        (entry,) = await self._memory.remember(self.namespace, note)
        return entry

    async def remember_all(self, notes: Iterable[Note]) -> tuple[Entry, ...]:
        """Keep all *notes*, or none of them."""
        return await self._memory.remember(self.namespace, *notes)

    async def recall(self, query: Query | str) -> tuple[Recalled, ...]:
        """Return what fits *query*, the nearest first."""
        return await self._memory.recall(self.namespace, query)

    async def forget(self, *ids: str) -> int:
        """Drop the entries of these ids; return how many there were."""
        return await self._memory.forget(self.namespace, *ids)

    async def get(self, *ids: str) -> tuple[Entry, ...]:
        """Return the entries of these ids, in that order, without those that are not there."""
        return await self._memory.get(self.namespace, *ids)

    async def entries(self, where: Iterable[Where] = (), *, limit: int = 100) -> tuple[Entry, ...]:
        """Return the entries that meet all conditions, newest first."""
        return await self._memory.entries(self.namespace, where, limit=limit)

    async def count(self, where: Iterable[Where] = ()) -> int:
        """Return how many entries meet all conditions."""
        return await self._memory.count(self.namespace, where)
