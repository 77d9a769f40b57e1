"""Memories as `ceylonai-next` spells them: backends with plain verbs, and what an agent's model is given of one."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self

import anyio.from_thread
import msgspec

from ceylon.compat.actions import FunctionalAction, _PyAction
from ceylon.compat.entries import MemoryEntry, MemoryQuery, PyMemoryEntry, PyMemoryQuery, is_a, whole
from ceylon.compat.meter import meter
from ceylon.compat.settling import as_runtime_error
from ceylon.compat.shelves import LIMITS, Shelf
from ceylon.errors import CeylonError, DefinitionError
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
    "memory_actions",
]

_NAMESPACE: Final = "ceylon.compat"
_PREFIX: Final = "ceylon"
_FOUND: Final = 5  # entries that a model is given unless it says how many
_CONTENT: Final = {"content": {"type": "string", "description": "The information to save."}}
_QUERY: Final = {
    "query": {"type": "string", "description": "The query to search for."},
    "limit": {"type": "integer", "description": f"Max number of results (default {_FOUND})."},
}


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

    _shelf: Shelf
    _ttl: int | None = None

    def store(self, entry: PyMemoryEntry) -> str:
        """Keep a copy of *entry*, in place of one of its id; return the id."""
        if not is_a(PyMemoryEntry, entry):
            sentence = f"{entry!r} is no MemoryEntry; make one of a text: MemoryEntry(text)"
            raise DefinitionError(sentence)
        _told(lambda: self._shelf.put(entry, self._end_of(entry)))
        meter.remembered(writes=1)
        return entry.id

    def get(self, id: str) -> PyMemoryEntry | None:  # noqa: A002 – as published
        """Return the entry of this id, if there is one."""
        found: PyMemoryEntry | None = _told(lambda: self._shelf.get(id))
        meter.remembered(hits=found is not None, misses=found is None)
        return found

    def search(self, query: PyMemoryQuery) -> list[PyMemoryEntry]:
        """Return the entries that fit *query*, the newest first."""
        if not is_a(PyMemoryQuery, query):
            sentence = f"{query!r} is no MemoryQuery; build one: MemoryQuery().with_filter(key, value)"
            raise DefinitionError(sentence)
        found: list[PyMemoryEntry] = _told(lambda: self._shelf.find(query))
        return found

    def delete(self, id: str) -> bool:  # noqa: A002 – as published
        """Drop the entry of this id; say whether there was one."""
        return bool(_told(lambda: self._shelf.drop(id)))

    def clear(self) -> None:
        """Drop all entries."""
        _told(self._shelf.clear)

    def count(self) -> int:
        """Return how many entries there are."""
        return int(_told(self._shelf.count))

    def _end_of(self, entry: PyMemoryEntry) -> datetime | None:
        if entry.expires_at is not None:
            return datetime.fromisoformat(entry.expires_at)
        return None if self._ttl is None else datetime.now(UTC) + timedelta(seconds=self._ttl)


class PyInMemoryBackend(_Backend):
    """Keeps entries in this process, a million at most."""

    _most: int | None = None

    def __init__(self) -> None:
        self._shelf = Shelf(InMemory(settings=LIMITS).notebook(_NAMESPACE), _at_once)
        self._stored: dict[str, None] = {}  # ids, oldest first, where only so many are kept

    def __repr__(self) -> str:
        return "InMemoryBackend()"

    @staticmethod
    def with_max_entries(max: int) -> "PyInMemoryBackend":  # noqa: A002 – as published
        """Return a memory of the *max* entries that were stored last."""
        made = PyInMemoryBackend()
        made._most = whole("max", max)
        return made

    @staticmethod
    def with_ttl_seconds(seconds: int) -> "PyInMemoryBackend":
        """Return a memory that forgets an entry *seconds* after it was stored, unless the entry says other."""
        made = PyInMemoryBackend()
        made._ttl = whole("seconds", seconds)
        return made

    def store(self, entry: PyMemoryEntry) -> str:
        """Keep a copy of *entry*, in place of one of its id, or of the oldest; return the id."""
        stored = super().store(entry)
        if self._most is not None:
            self._stored.pop(stored, None)
            self._stored[stored] = None
            while len(self._stored) > self._most:
                oldest = next(iter(self._stored))
                del self._stored[oldest]
                self._shelf.drop(oldest)
        return stored


class PyRedisBackend(_Backend):
    """Keeps entries on a Redis server, in this package's form: what `ceylonai-next` wrote there is not read.

    Args:
        redis_url: The server, like ``redis://127.0.0.1:6379``.

    Raises:
        RuntimeError: nobody answers there, or the client is missing: ``pip install "ceylon-mesh[redis]"``.
    """

    def __init__(self, redis_url: str) -> None:
        self._url, self._prefix = redis_url, _PREFIX
        self._open()

    def __repr__(self) -> str:
        return f"RedisBackend(prefix={self._prefix!r})"

    def with_prefix(self, prefix: str) -> Self:
        """Return the same with keys that begin with *prefix*."""
        return self._changed(_prefix=prefix)

    def with_ttl_seconds(self, seconds: int) -> Self:
        """Return the same that forgets an entry *seconds* after it was stored, unless the entry says other."""
        return self._changed(_ttl=whole("seconds", seconds))

    def _changed(self, **changes: Any) -> Self:
        made = copy.copy(self)
        vars(made).update(changes)
        made._open()  # noqa: SLF001 – the same class
        return made

    def _open(self) -> None:
        memory = RedisMemory(self._url, prefix=self._prefix, settings=LIMITS)
        self._shelf = Shelf(memory.notebook(_NAMESPACE), _aside)
        self.count()  # whether somebody is there


InMemoryBackend = PyInMemoryBackend
RedisBackend = PyRedisBackend


def memory_actions(memory: Any) -> list[_PyAction]:
    """Return what the model of an agent with *memory* may call: ``save_memory`` and ``search_memory``."""
    if not callable(getattr(memory, "store", None)) or not callable(getattr(memory, "search", None)):
        sentence = f"{memory!r} is no memory; it takes an InMemoryBackend, a RedisBackend or a subclass of Memory"
        raise DefinitionError(sentence)

    def save(content: str) -> dict[str, str]:
        return {"status": "success", "id": str(memory.store(PyMemoryEntry(content)))}

    def search(query: str, limit: int = _FOUND) -> dict[str, list[str]]:
        found = memory.search(PyMemoryQuery.__ceylon_words__(query, limit))
        return {"results": [each.content for each in found]}

    return [
        FunctionalAction(
            save, "save_memory", "Save information to memory for later retrieval.", _inputs(_CONTENT, "content")
        ),
        FunctionalAction(search, "search_memory", "Search memory for relevant information.", _inputs(_QUERY, "query")),
    ]


def _inputs(properties: dict[str, Any], required: str) -> str:
    return msgspec.json.encode({"type": "object", "properties": properties, "required": [required]}).decode()


def _told(function: Callable[[], Any]) -> Any:
    """Return what *function* does; its errors are also what `ceylonai-next` raised."""
    try:
        return function()
    except CeylonError as error:
        raise as_runtime_error(error) from error.__cause__


def _at_once(function: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Run an async function that waits for nothing."""
    verb = function()
    try:
        verb.send(None)
    except StopIteration as end:
        return end.value
    verb.close()
    sentence = "a memory in this process waits for nothing"
    raise AssertionError(sentence)


def _aside(function: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Run an async function on a loop of its own, in a thread of its own: one may run here already."""
    with anyio.from_thread.start_blocking_portal() as portal:
        return portal.call(function)
