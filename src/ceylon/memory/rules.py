"""What every memory holds its callers to: sizes, names, conditions, and the time."""

import math
import re
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

import msgspec

from ceylon.errors import ArgumentError, MemoryFullError
from ceylon.memory.entries import OPERATORS, Entry, Note, Query, Where
from ceylon.memory.filters import kind_of
from ceylon.memory.sources import id_of_note, time_of_day
from ceylon.memory.vectors import pack
from ceylon.settings import DEFAULTS, Settings

__all__ = ["Prepared", "Rules"]

_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
_WHOLE: Final = range(-(2**63), 2**63)
_LISTED: Final = 100  # at least, however few there can be
_ORDERED: Final = ("<", "<=", ">", ">=")


class Prepared(NamedTuple):
    """An entry to be kept, and its vector as `pack` makes it."""

    entry: Entry
    vector: bytes | None


class Rules:
    """Checks what comes in and makes entries of notes; *now* is the time in seconds since 1970."""

    def __init__(self, settings: Settings = DEFAULTS, now: Callable[[], float] = time_of_day) -> None:
        self.settings, self.now = settings, now

    def namespace(self, namespace: object) -> str:
        """Return *namespace* if entries may be kept under it.

        Raises:
            ArgumentError: it is no text, empty, or too long.
        """
        text = self._text("a namespace", namespace, self.settings.memory_namespace)
        if not text:
            sentence = "a namespace is a name, not an empty text"
            raise ArgumentError(sentence)
        return text

    def prepared(self, namespace: str, notes: Iterable[Note]) -> tuple[Prepared, ...]:
        """Return what *notes* become when they are remembered now; of two with one id the later counts."""
        made: dict[str, Prepared] = {}
        for note in notes:
            if not _is_a(Note, note):
                sentence = f"what is remembered is a Note(text=…), not {type(note).__name__}"
                raise ArgumentError(sentence)
            entry = self._entry(namespace, note)
            made[entry.id] = Prepared(entry, None if note.vector is None else pack(note.vector))
        return tuple(made.values())

    def query(self, query: Query | str) -> Query:
        """Return *query*, whole and within the limits.

        Raises:
            ArgumentError: it is not.
        """
        query = Query(text=query) if isinstance(query, str) else query
        if not _is_a(Query, query):
            sentence = f"a query is text, or a Query(...), not {type(query).__name__}"
            raise ArgumentError(sentence)
        self._text("a query", query.text, self.settings.memory_query)
        self.vector(query.vector)
        self.limit(query.limit, self.settings.memory_recalled)
        self.where(query.where)
        return query

    def where(self, conditions: Iterable[Where]) -> tuple[Where, ...]:
        """Return *conditions* if each can be met."""
        if isinstance(conditions, Where):
            sentence = "conditions come as a tuple, also a single one: (Where(...),)"
            raise ArgumentError(sentence)
        checked = tuple(conditions)
        if len(checked) > self.settings.memory_metadata:
            sentence = f"{len(checked)} conditions are too many; a query takes {self.settings.memory_metadata}"
            raise ArgumentError(sentence)
        for each in checked:
            self._condition(each)
        return checked

    def ids(self, ids: Iterable[object]) -> None:
        """Raise `ArgumentError` for what is the id of no entry."""
        for each in ids:
            if not isinstance(each, str):
                sentence = f"an id is text, as an entry has it, not {type(each).__name__}"
                raise ArgumentError(sentence)

    def limit(self, limit: object, most: int) -> int:
        """Return *limit* if an answer may have so many entries."""
        if not isinstance(limit, int) or isinstance(limit, bool) or not 1 <= limit <= most:
            sentence = f"limit={limit!r} cannot be; it takes a whole number from 1 to {most}"
            raise ArgumentError(sentence)
        return limit

    def listed(self, limit: object) -> int:
        """Return *limit* if a list may have so many entries: as many as there can be."""
        return self.limit(limit, max(_LISTED, self.settings.memory_entries))

    def room(self, namespace: str, entries: int) -> None:
        """Raise `MemoryFullError` if *entries* are more than the namespace may hold."""
        if entries > self.settings.memory_entries:
            raise MemoryFullError(namespace, self.settings.memory_entries)

    def vector(self, vector: Any) -> None:
        """Raise `ArgumentError` for a vector that points nowhere."""
        if vector is None:
            return
        numbers = vector if _is_a(tuple, vector) else ()
        fits = 1 <= len(numbers) <= self.settings.memory_vector
        if not fits or not all(_is_finite(number) for number in numbers) or not any(numbers):
            sentence = f"a vector is a tuple of 1 to {self.settings.memory_vector} finite numbers, not all of them 0"
            raise ArgumentError(sentence)

    def _entry(self, namespace: str, note: Note) -> Entry:
        now = self.now()
        if not self._text("the text of a note", note.text, self.settings.memory_text).strip():
            sentence = "a note has no text; there is nothing to remember"
            raise ArgumentError(sentence)
        self._metadata(note.metadata)
        self.vector(note.vector)
        if note.ttl is not None and (not _is_finite(note.ttl) or note.ttl <= 0):
            sentence = f"ttl={note.ttl!r} cannot be; it takes seconds, more than 0"
            raise ArgumentError(sentence)
        return Entry(
            id=self._text("an id", note.id, self.settings.memory_value) or id_of_note(namespace, note.text),
            namespace=namespace,
            text=note.text,
            metadata=dict(note.metadata),
            source=self._text("a source", note.source, self.settings.memory_value),
            is_trusted=bool(note.is_trusted),
            created=now,
            expires=None if note.ttl is None else now + note.ttl,
        )

    def _metadata(self, metadata: Any) -> None:
        if not _is_a(dict, metadata) or len(metadata) > self.settings.memory_metadata:
            sentence = f"metadata is a dict of at most {self.settings.memory_metadata} keys"
            raise ArgumentError(sentence)
        for key, value in metadata.items():
            self._key(key)
            self._scalar(key, value)

    def _condition(self, where: object) -> None:
        if not isinstance(where, Where):
            sentence = f"a condition is a Where(key, operator, value), not {type(where).__name__}"
            raise ArgumentError(sentence)
        self._key(where.key)
        if where.operator not in OPERATORS:
            sentence = f"there is no operator {_shown(where.operator)}; there are {', '.join(OPERATORS)}"
            raise ArgumentError(sentence)
        values: Any = where.value if where.operator == "in" else (where.value,)
        if not _is_a(tuple, values) or not 1 <= len(values) <= self.settings.memory_metadata:
            sentence = f"'in' takes a tuple of 1 to {self.settings.memory_metadata} values"
            raise ArgumentError(sentence)
        for value in values:
            self._scalar(where.key, value)
        if where.operator in _ORDERED and isinstance(where.value, bool):
            sentence = f"{where.key!r}: truth values have no order; compare them by == or !="
            raise ArgumentError(sentence)

    def _key(self, key: object) -> None:
        if not isinstance(key, str) or not _KEY.fullmatch(key):
            sentence = (
                f"{_shown(key)} is no key; it takes up to 64 letters, digits and _.- and begins with a letter or _"
            )
            raise ArgumentError(sentence)

    def _scalar(self, key: str, value: Any) -> None:
        if isinstance(value, str):
            self._text(f"the value of {key!r}", value, self.settings.memory_value)
        elif kind_of(value) is None or not _is_finite(value) or (isinstance(value, int) and value not in _WHOLE):
            sentence = f"{key}={_shown(value)} cannot be; a value is text, a finite number of 64 bits, True or False"
            raise ArgumentError(sentence)

    def _text(self, what: str, text: object, most: int) -> str:
        if not isinstance(text, str) or len(text) > most:
            sentence = f"{what} is text of at most {most:,} characters"
            raise ArgumentError(sentence)
        if not text.isascii():
            try:
                msgspec.json.encode(text)
            except UnicodeEncodeError as error:
                sentence = f"{what} holds half a character (a lone surrogate) at {error.start}"
                raise ArgumentError(sentence) from None
        return text


def _is_a(kind: type, value: object) -> bool:
    """Say whether *value* is of *kind*, whatever the annotations promise."""
    return isinstance(value, kind)


def _is_finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _shown(value: object) -> str:
    return repr(value)[:80]
