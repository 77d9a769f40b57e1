"""SQLite's words for what a memory is asked: a closed list of statements, into which users' words go as parameters."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from ceylon.memory.entries import Where
from ceylon.memory.filters import kind_of

__all__ = ["SCHEMA", "conditions", "match", "owner_of"]

SCHEMA: Final = """
CREATE TABLE entries (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    namespace TEXT NOT NULL,
    id TEXT NOT NULL,
    owner TEXT NOT NULL,
    text TEXT NOT NULL,
    metadata TEXT NOT NULL,
    source TEXT NOT NULL,
    is_trusted INTEGER NOT NULL,
    created REAL NOT NULL,
    expires REAL,
    vector BLOB,
    UNIQUE (namespace, id)
);

CREATE INDEX entries_expires ON entries (expires) WHERE expires IS NOT NULL;

CREATE TABLE facts (
    entry INTEGER NOT NULL REFERENCES entries (number) ON DELETE CASCADE,
    key TEXT NOT NULL,
    kind INTEGER NOT NULL,
    value NOT NULL,
    PRIMARY KEY (entry, key)
) WITHOUT ROWID;

CREATE VIRTUAL TABLE words USING fts5 (
    owner, text, content = 'entries', content_rowid = 'number', tokenize = 'unicode61 remove_diacritics 0'
);
"""

_EQUAL: Final = "(facts.kind = ? AND facts.value = ?)"
_HAS: Final = "EXISTS (SELECT 1 FROM facts WHERE facts.entry = entries.number AND facts.key = ? AND {})"
_ORDERED: Final[Mapping[str, str]] = {
    "<": _HAS.format("facts.kind = ? AND facts.value < ?"),
    "<=": _HAS.format("facts.kind = ? AND facts.value <= ?"),
    ">": _HAS.format("facts.kind = ? AND facts.value > ?"),
    ">=": _HAS.format("facts.kind = ? AND facts.value >= ?"),
    "==": _HAS.format(_EQUAL),
    "!=": _HAS.format(f"NOT {_EQUAL}"),
}


def conditions(where: Iterable[Where]) -> tuple[str, list[Any]]:
    """Return what stands behind ``WHERE …`` for *where*, beginning with ``AND``, and its parameters."""
    words: list[str] = []
    parameters: list[Any] = []
    for each in where:
        values = each.value if each.operator == "in" else (each.value,)
        statement = _HAS.format(f"({' OR '.join([_EQUAL] * len(values))})") if each.operator == "in" else None
        words.append(f" AND {statement or _ORDERED[each.operator]}")
        parameters.append(each.key)
        for value in values:
            parameters += (kind_of(value), value)
    return "".join(words), parameters


def owner_of(namespace: str) -> str:
    """Return *namespace* as one word of the index, which no other namespace has."""
    return f"x{namespace.encode().hex()}"


def match(namespace: str, words: Iterable[str]) -> str:
    """Return a search for any of *words* in the entries of *namespace*; each is quoted, so it is a word and no more."""
    any_word = " OR ".join(f'"{word.replace(chr(34), chr(34) * 2)}"' for word in words)
    return f'owner : "{owner_of(namespace)}" AND text : ({any_word})'
