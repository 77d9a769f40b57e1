"""A memory in this process: as fast as a dictionary, and gone with the process."""

import functools
import heapq
import threading
from collections.abc import Callable, Iterable, Sequence

import anyio.to_thread

from ceylon.errors import ArgumentError
from ceylon.memory.entries import Entry, Note, Query, Recalled, Where
from ceylon.memory.filters import meets
from ceylon.memory.port import Memory
from ceylon.memory.ranking import rank
from ceylon.memory.rules import Rules
from ceylon.memory.sources import time_of_day
from ceylon.memory.words import WordIndex, wanted_words
from ceylon.settings import DEFAULTS, Settings

__all__ = ["InMemory"]

_FEW_NUMBERS = 50_000  # of vectors: a few milliseconds by hand, which the loop can spare
_STALE = 64  # times of entries that are gone, kept before anybody tidies up


class InMemory(Memory):
    """Keeps everything in dictionaries.

    Args:
        settings: The limits.
        now: The time in seconds since 1970.
    """

    def __init__(self, *, settings: Settings = DEFAULTS, now: Callable[[], float] = time_of_day) -> None:
        self._rules = Rules(settings, now)
        self._shelves: dict[str, _Shelf] = {}
        self._lock = threading.Lock()  # loops of several threads may use it; nobody waits for anything with it

    def __repr__(self) -> str:
        return f"<InMemory {len(self._shelves)} namespaces>"

    async def remember(self, namespace: str, *notes: Note) -> tuple[Entry, ...]:
        """See `Memory`."""
        made = self._rules.prepared(self._rules.namespace(namespace), notes)
        with self._lock:
            shelf = self._shelf(namespace)
            added = sum(entry.id not in shelf.kept for entry, _ in made)
            self._rules.room(namespace, len(shelf.kept) + added)
            if made and namespace not in self._shelves:
                self._add_shelf(namespace, shelf)
            for entry, vector in made:
                shelf.put(entry, vector)
        return tuple(entry for entry, _ in made)

    async def recall(self, namespace: str, query: Query | str) -> tuple[Recalled, ...]:
        """See `Memory`."""
        query = self._rules.query(query)
        self._rules.namespace(namespace)
        words = wanted_words(query.text, self._rules.settings.memory_words)
        with self._lock:
            shelf = self._shelf(namespace)
            entries, vectors, found = shelf.meeting(query.where), dict(shelf.vectors), shelf.words.search(words)
        answer = functools.partial(rank, query, entries, vectors, found)
        if query.vector is None or len(vectors) * len(query.vector) < _FEW_NUMBERS:
            return answer()
        return await anyio.to_thread.run_sync(answer)

    async def forget(self, namespace: str, *ids: str) -> int:
        """See `Memory`."""
        self._rules.namespace(namespace)
        self._rules.ids(ids)
        with self._lock:
            shelf = self._shelf(namespace)
            dropped = sum(shelf.drop(each) for each in ids)
            if not shelf.kept:
                self._shelves.pop(namespace, None)
        return dropped

    async def get(self, namespace: str, *ids: str) -> tuple[Entry, ...]:
        """See `Memory`."""
        self._rules.namespace(namespace)
        self._rules.ids(ids)
        with self._lock:
            kept = self._shelf(namespace).kept
            return tuple(kept[each] for each in ids if each in kept)

    async def entries(self, namespace: str, where: Iterable[Where] = (), *, limit: int = 100) -> tuple[Entry, ...]:
        """See `Memory`."""
        return tuple(self._meeting(namespace, where)[: self._rules.listed(limit)])

    async def count(self, namespace: str, where: Iterable[Where] = ()) -> int:
        """See `Memory`."""
        return len(self._meeting(namespace, where))

    def _meeting(self, namespace: str, where: Iterable[Where]) -> list[Entry]:
        conditions = self._rules.where(where)
        self._rules.namespace(namespace)
        with self._lock:
            return self._shelf(namespace).meeting(conditions)

    def _shelf(self, namespace: str) -> "_Shelf":
        """Return what is under *namespace*, without what has expired."""
        shelf = self._shelves.get(namespace)
        if shelf is None:
            return _Shelf()
        shelf.expire(self._rules.now())
        return shelf

    def _add_shelf(self, namespace: str, shelf: "_Shelf") -> None:
        most = self._rules.settings.memory_namespaces
        if len(self._shelves) >= most:
            sentence = f"there are {most:,} namespaces already; forget one, or raise `memory_namespaces`"
            raise ArgumentError(sentence)
        self._shelves[namespace] = shelf


class _Shelf:
    """What is under one namespace."""

    def __init__(self) -> None:
        self.kept: dict[str, Entry] = {}  # oldest first
        self.vectors: dict[str, bytes] = {}
        self.words = WordIndex()
        self._expiring: list[tuple[float, str]] = []  # a heap; those replaced or forgotten meanwhile are still in it

    def put(self, entry: Entry, vector: bytes | None) -> None:
        self.drop(entry.id)
        self.kept[entry.id] = entry
        self.words.add(entry.id, entry.text)
        if vector is not None:
            self.vectors[entry.id] = vector
        if entry.expires is not None:
            heapq.heappush(self._expiring, (entry.expires, entry.id))
            if len(self._expiring) > 2 * len(self.kept) + _STALE:
                live = self.kept.values()
                self._expiring = sorted((each.expires, each.id) for each in live if each.expires is not None)

    def drop(self, name: str) -> bool:
        entry = self.kept.pop(name, None)
        if entry is None:
            return False
        self.words.drop(name, entry.text)
        self.vectors.pop(name, None)
        return True

    def expire(self, now: float) -> None:
        while self._expiring and self._expiring[0][0] <= now:
            _, name = heapq.heappop(self._expiring)
            entry = self.kept.get(name)
            if entry is not None and entry.expires is not None and entry.expires <= now:
                self.drop(name)

    def meeting(self, conditions: Sequence[Where]) -> list[Entry]:
        """Return the entries that meet *conditions*, newest first."""
        return [entry for entry in reversed(self.kept.values()) if meets(entry.metadata, conditions)]
