"""A memory of ours behind the verbs of `ceylonai-next`, which wait for nothing: what a backend keeps, it keeps here."""

import hashlib
from collections.abc import Callable, Coroutine, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import anyio.from_thread
import msgspec

from ceylon.compat.entries import PyMemoryEntry, PyMemoryQuery
from ceylon.compat.settling import as_runtime_error
from ceylon.errors import CeylonError
from ceylon.memory.entries import Entry, Note, Query, Scalar, Where
from ceylon.memory.port import Notebook
from ceylon.settings import DEFAULTS

__all__ = ["LIMITS", "Shelf", "aside", "at_once", "told"]

LIMITS: Final = msgspec.structs.replace(
    DEFAULTS,
    memory_entries=DEFAULTS.compat_entries,
    memory_text=DEFAULTS.compat_text,
    memory_value=DEFAULTS.compat_text,
    memory_metadata=DEFAULTS.compat_metadata + 1,
    memory_recalled=DEFAULTS.compat_entries,
)
"""Of memories that hold what the origin's hold."""

_RECORD: Final = "record"  # the key of the metadata under which lies what ours has no place for
_BLANK: Final = "\N{ZERO WIDTH SPACE}"  # stands for a text without letters, which ours would not keep
_sorted: Final = msgspec.json.Encoder(order="sorted").encode


class _Record(msgspec.Struct, frozen=True):
    """What an entry is besides its text."""

    created: datetime
    expires: datetime | None
    metadata: dict[str, Any]
    blank: str | None = None


_decode: Final = msgspec.json.Decoder(_Record).decode

Run = Callable[[Callable[[], Coroutine[Any, Any, Any]]], Any]
"""Runs an async function to its end, and waits."""


class Shelf:
    """Entries of the origin in a notebook of ours.

    Args:
        notebook: Where they lie.
        run: How its verbs are waited for.
    """

    def __init__(self, notebook: Notebook, run: Run) -> None:
        self._notebook, self._run = notebook, run

    def put(self, entry: PyMemoryEntry, expires: datetime | None) -> None:
        """Keep *entry*, in place of one of its id; one whose time is over is not kept."""
        note = _note(entry, expires)
        if note is None:
            self.drop(entry.id)
        else:
            self._run(lambda: self._notebook.remember_all([note]))

    def get(self, id: str) -> PyMemoryEntry | None:  # noqa: A002 – what it is called everywhere
        """Return the entry of this id, if there is one."""
        found = self._run(lambda: self._notebook.get(id))
        return _entry(found[0]) if found else None

    def find(self, query: PyMemoryQuery) -> list[PyMemoryEntry]:
        """Return what fits *query*: for its words the nearest first, else the newest first."""
        where = tuple(Where(_key(key), "==", _value(value)) for key, value in query.filters.items())
        limit = LIMITS.memory_entries if query.limit is None else min(query.limit, LIMITS.memory_entries)
        if limit == 0:
            return []
        if not query.text.strip():
            return [_entry(each) for each in self._run(lambda: self._notebook.entries(where, limit=limit))]
        return [_entry(each) for each in self._fitting(query.text[: LIMITS.memory_query], where, limit)]

    def drop(self, *ids: str) -> int:
        """Drop the entries of these ids; return how many there were."""
        return int(self._run(lambda: self._notebook.forget(*ids)))

    def clear(self) -> None:
        """Drop all."""
        found = self._run(lambda: self._notebook.entries(limit=LIMITS.memory_entries))
        self.drop(*(each.id for each in found))

    def count(self) -> int:
        """Return how many there are."""
        return int(self._run(self._notebook.count))

    def _fitting(self, text: str, where: tuple[Where, ...], limit: int) -> list[Entry]:
        """Return what holds words of *text*, then what holds it within words: all that the origin would find."""
        query = Query(text=text, where=where, limit=limit)
        found: dict[str, Entry] = {
            each.entry.id: each.entry for each in self._run(lambda: self._notebook.recall(query))
        }
        if len(found) < limit:
            everything = self._run(lambda: self._notebook.entries(where, limit=LIMITS.memory_entries))
            found |= {
                each.id: each for each in everything if text.lower() in each.text.lower() and each.id not in found
            }
        return list(found.values())[:limit]


def _note(entry: PyMemoryEntry, expires: datetime | None) -> Note | None:
    """Return *entry* as a note; `None` if its time is over."""
    ttl = None if expires is None else (expires - datetime.now(UTC)).total_seconds()
    if ttl is not None and ttl <= 0:
        return None
    blank = entry.content if not entry.content.strip() else None
    record = _Record(datetime.fromisoformat(entry.created_at), expires, entry.metadata, blank)
    return Note(
        text=entry.content if blank is None else _BLANK,
        metadata={_RECORD: msgspec.json.encode(record).decode(), **dict(_facts(entry.metadata))},
        ttl=ttl,
        id=entry.id,
    )


def _entry(kept: Entry) -> PyMemoryEntry:
    record = _decode(str(kept.metadata[_RECORD]))
    content = kept.text if record.blank is None else record.blank
    return PyMemoryEntry.__ceylon_kept__((kept.id, content, record.created, record.expires, record.metadata))


def _facts(metadata: Mapping[str, Any]) -> Iterator[tuple[str, Scalar]]:
    for key, value in metadata.items():
        yield _key(key), _value(value)


def _key(key: str) -> str:
    """Return a key of ours for any text."""
    return f"k{hashlib.blake2b(key.encode(), digest_size=16).hexdigest()}"


def _value(value: Any) -> str:
    """Return a value of ours for any that JSON holds, the same for equal ones."""
    return _sorted(value).decode()


def told(function: Callable[[], Any]) -> Any:
    """Return what *function* does; its errors are also what `ceylonai-next` raised."""
    try:
        return function()
    except CeylonError as error:
        raise as_runtime_error(error) from error.__cause__


def at_once(function: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Run an async function that waits for nothing."""
    verb = function()
    try:
        verb.send(None)
    except StopIteration as end:
        return end.value
    verb.close()
    sentence = "a memory in this process waits for nothing"
    raise AssertionError(sentence)


def aside(function: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Run an async function on a loop of its own, in a thread of its own: one may run here already."""
    with anyio.from_thread.start_blocking_portal() as portal:
        return portal.call(function)
