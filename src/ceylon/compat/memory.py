"""Memories as `ceylonai-next` spells them: backends with plain verbs, and what an agent's model is given of one."""

import copy
import threading
from abc import ABC, abstractmethod
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self

from ceylon.compat.checking import is_a, whole
from ceylon.compat.entries import MemoryEntry, MemoryQuery, PyMemoryEntry, PyMemoryQuery
from ceylon.compat.meter import meter
from ceylon.compat.shelves import LIMITS, Shelf, aside, at_once, told
from ceylon.errors import DefinitionError
from ceylon.memory.in_memory import InMemory
from ceylon.memory.redis import RedisMemory

__all__ = [
    "InMemoryBackend",
    "Memory",
    "MemoryEntry",
    "MemoryQuery",
    "PyInMemoryBackend",
    "PyMemoryEntry",
    "PyMemoryQuery",
    "PyRedisBackend",
    "RedisBackend",
]

_NAMESPACE: Final = "ceylon.compat"
_PREFIX: Final = "ceylon"


class Memory(ABC):
    """A memory of one's own, for `LlmAgent.with_memory`; its methods run in a thread, where they may block.

    What its model looks for is in ``query.text``, which `ceylonai-next` kept to itself.
    """

    @abstractmethod
    def store(self, entry: MemoryEntry) -> str:
        """Keep *entry* and return its id."""

    @abstractmethod
    def get(self, id: str) -> MemoryEntry | None:  # noqa: A002 – as published
        """Return the entry of this id, if there is one."""

    @abstractmethod
    def search(self, query: MemoryQuery) -> list[MemoryEntry]:
        """Return the entries that fit *query*."""

    @abstractmethod
    def delete(self, id: str) -> bool:  # noqa: A002 – as published
        """Drop the entry of this id; say whether there was one."""

    @abstractmethod
    def clear(self) -> None:
        """Drop all entries."""

    @abstractmethod
    def count(self) -> int:
        """Return how many entries there are."""


class _Backend:
    """The verbs, on a shelf. They may be called from any thread, with a loop or without."""

    _ceylon_shelf: Shelf
    _ceylon_ttl: int | None = None

    def store(self, entry: PyMemoryEntry) -> str:
        """Keep a copy of *entry*, in place of one of its id; return the id."""
        if not is_a(PyMemoryEntry, entry):
            sentence = f"{entry!r} is no MemoryEntry; make one of a text: MemoryEntry(text)"
            raise DefinitionError(sentence)
        told(lambda: self._ceylon_shelf.put(entry, self._ceylon_end_of(entry)))
        meter.remembered(writes=1)
        return entry.id

    def get(self, id: str) -> PyMemoryEntry | None:  # noqa: A002 – as published
        """Return the entry of this id, if there is one."""
        found: PyMemoryEntry | None = told(lambda: self._ceylon_shelf.get(id))
        meter.remembered(hits=found is not None, misses=found is None)
        return found

    def search(self, query: PyMemoryQuery) -> list[PyMemoryEntry]:
        """Return the entries that fit *query*, the newest first."""
        if not is_a(PyMemoryQuery, query):
            sentence = f"{query!r} is no MemoryQuery; build one: MemoryQuery().with_filter(key, value)"
            raise DefinitionError(sentence)
        found: list[PyMemoryEntry] = told(lambda: self._ceylon_shelf.find(query))
        return found

    def delete(self, id: str) -> bool:  # noqa: A002 – as published
        """Drop the entry of this id; say whether there was one."""
        return bool(told(lambda: self._ceylon_shelf.drop(id)))

    def clear(self) -> None:
        """Drop all entries."""
        told(self._ceylon_shelf.clear)

    def count(self) -> int:
        """Return how many entries there are."""
        return int(told(self._ceylon_shelf.count))

    def _ceylon_end_of(self, entry: PyMemoryEntry) -> datetime | None:
        if entry.expires_at is not None:
            return datetime.fromisoformat(entry.expires_at)
        return None if self._ceylon_ttl is None else datetime.now(UTC) + timedelta(seconds=self._ceylon_ttl)


class PyInMemoryBackend(_Backend):
    """Keeps entries in this process, a million at most."""

    _ceylon_most: int | None = None

    def __init__(self) -> None:
        self._ceylon_shelf = Shelf(InMemory(settings=LIMITS).notebook(_NAMESPACE), at_once)
        self._ceylon_stored: dict[str, None] = {}  # ids, oldest first, where only so many are kept
        self._ceylon_lock = threading.Lock()

    def __repr__(self) -> str:
        return "InMemoryBackend()"

    @staticmethod
    def with_max_entries(max: int) -> "PyInMemoryBackend":  # noqa: A002 – as published
        """Return a memory of the *max* entries that were stored last."""
        made = PyInMemoryBackend()
        made._ceylon_most = whole("max", max)
        return made

    @staticmethod
    def with_ttl_seconds(seconds: int) -> "PyInMemoryBackend":
        """Return a memory that forgets an entry *seconds* after it was stored, unless the entry says other."""
        made = PyInMemoryBackend()
        made._ceylon_ttl = whole("seconds", seconds)
        return made

    def store(self, entry: PyMemoryEntry) -> str:
        """Keep a copy of *entry*, in place of one of its id, or of the oldest; return the id."""
        if self._ceylon_most is None:
            return super().store(entry)
        with self._ceylon_lock:
            stored, ids = super().store(entry), self._ceylon_stored
            ids.pop(stored, None)
            ids[stored] = None
            while len(ids) > self._ceylon_most:
                oldest = next(iter(ids))
                del ids[oldest]
                self._ceylon_shelf.drop(oldest)
        return stored

    def delete(self, id: str) -> bool:  # noqa: A002 – as published
        """Drop the entry of this id; say whether there was one."""
        with self._ceylon_lock:
            self._ceylon_stored.pop(id, None)
            return super().delete(id)

    def clear(self) -> None:
        """Drop all entries."""
        with self._ceylon_lock:
            self._ceylon_stored.clear()
            super().clear()


class PyRedisBackend(_Backend):
    """Keeps entries on a Redis server, in this package's form: what `ceylonai-next` wrote there is not read.

    Args:
        redis_url: The server, like ``redis://127.0.0.1:6379``.

    Raises:
        RuntimeError: nobody answers there, or the client is missing: ``pip install -e ".[redis]"`` in the clone.
    """

    def __init__(self, redis_url: str) -> None:
        self._ceylon_url, self._ceylon_prefix = redis_url, _PREFIX
        self._ceylon_open()

    def __repr__(self) -> str:
        return f"RedisBackend(prefix={self._ceylon_prefix!r})"

    def with_prefix(self, prefix: str) -> Self:
        """Return the same with keys that begin with *prefix*."""
        return self._ceylon_changed(_ceylon_prefix=prefix)

    def with_ttl_seconds(self, seconds: int) -> Self:
        """Return the same that forgets an entry *seconds* after it was stored, unless the entry says other."""
        return self._ceylon_changed(_ceylon_ttl=whole("seconds", seconds))

    def _ceylon_changed(self, **changes: Any) -> Self:
        made = copy.copy(self)
        vars(made).update(changes)
        made._ceylon_open()  # noqa: SLF001 – the same class
        return made

    def _ceylon_open(self) -> None:
        memory = RedisMemory(self._ceylon_url, prefix=self._ceylon_prefix, settings=LIMITS)
        self._ceylon_shelf = Shelf(memory.notebook(_NAMESPACE), aside)
        self.count()  # whether somebody is there


InMemoryBackend = PyInMemoryBackend
RedisBackend = PyRedisBackend
