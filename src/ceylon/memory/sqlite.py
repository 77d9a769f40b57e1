"""A memory in a SQLite file: words by its full-text search, meaning by looking at every vector, or both."""

import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import msgspec

from ceylon.errors import StoreError
from ceylon.memory.entries import Entry, Note, Query, Recalled, Where
from ceylon.memory.filters import kind_of
from ceylon.memory.port import Memory
from ceylon.memory.ranking import by_meaning, fused, has_words
from ceylon.memory.rules import Prepared, Rules
from ceylon.memory.sources import time_of_day
from ceylon.memory.sqlite_file import SqliteFile
from ceylon.memory.sqlite_vectors import NEAREST, has_extension, load_extension
from ceylon.memory.sqlite_words import SCHEMA, conditions, match, owner_of
from ceylon.memory.vectors import pack
from ceylon.memory.words import wanted_words
from ceylon.settings import DEFAULTS, Settings

__all__ = ["SqliteMemory"]

_COLUMNS: Final = "id, namespace, text, metadata, source, is_trusted, created, expires"
_LIVE: Final = "namespace = ? AND (expires IS NULL OR expires > ?)"
_INSERT: Final = f"INSERT INTO entries ({_COLUMNS}, owner, vector) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 – names
_INDEX: Final = "INSERT INTO words (rowid, owner, text) SELECT number, owner, text FROM entries WHERE {}"
_UNINDEX: Final = (
    "INSERT INTO words (words, rowid, owner, text) SELECT 'delete', number, owner, text FROM entries WHERE {}"
)
_RANKED: Final = 1_000  # best by words, of which those that stand high by meaning too come first


class SqliteMemory(Memory):
    """Keeps entries in a file that outlives the process and that several processes may share.

    Args:
        path: The file; ``":memory:"`` keeps nothing.
        settings: The limits.
        now: The time in seconds since 1970.
    """

    def __init__(
        self, path: str | Path, *, settings: Settings = DEFAULTS, now: Callable[[], float] = time_of_day
    ) -> None:
        self._rules = Rules(settings, now)
        self._file = SqliteFile(path, "memory 1", SCHEMA, settings, load_extension)

    def __repr__(self) -> str:
        return f"<SqliteMemory {self._file.path!r}>"

    async def remember(self, namespace: str, *notes: Note) -> tuple[Entry, ...]:
        """See `Memory`."""
        made = self._rules.prepared(self._rules.namespace(namespace), notes)
        if made:
            now = self._rules.now()
            await self._file.write(lambda connection: self._remember(connection, namespace, made, now))
        return tuple(entry for entry, _ in made)

    async def recall(self, namespace: str, query: Query | str) -> tuple[Recalled, ...]:
        """See `Memory`."""
        query = self._rules.query(query)
        words = wanted_words(query.text, self._rules.settings.memory_words)
        search = _Search(self._rules.namespace(namespace), self._rules.now(), query, words)
        return await self._file.read(search.answer)

    async def forget(self, namespace: str, *ids: str) -> int:
        """See `Memory`."""
        self._rules.namespace(namespace)
        self._rules.ids(ids)
        now = self._rules.now()

        def drop(connection: sqlite3.Connection) -> int:
            return sum(_drop(connection, f"{_LIVE} AND id = ?", (namespace, now, each)) for each in ids)

        return await self._file.write(drop)

    async def get(self, namespace: str, *ids: str) -> tuple[Entry, ...]:
        """See `Memory`."""
        self._rules.namespace(namespace)
        self._rules.ids(ids)
        now = self._rules.now()

        def look(connection: sqlite3.Connection) -> tuple[Entry, ...]:
            statement = f"SELECT {_COLUMNS} FROM entries WHERE {_LIVE} AND id = ?"  # noqa: S608 – names
            rows = (connection.execute(statement, (namespace, now, each)).fetchone() for each in ids)
            return tuple(_entry(row) for row in rows if row is not None)

        return await self._file.read(look)

    async def entries(self, namespace: str, where: Iterable[Where] = (), *, limit: int = 100) -> tuple[Entry, ...]:
        """See `Memory`."""
        limit = self._rules.listed(limit)
        search = self._listing(namespace, where)
        return await self._file.read(lambda connection: tuple(search.newest(connection, limit)))

    async def count(self, namespace: str, where: Iterable[Where] = ()) -> int:
        """See `Memory`."""
        return await self._file.read(self._listing(namespace, where).count)

    async def aclose(self) -> None:
        """Close the file."""
        await self._file.aclose()

    def _listing(self, namespace: str, where: Iterable[Where]) -> "_Search":
        query = Query(where=self._rules.where(where))
        return _Search(self._rules.namespace(namespace), self._rules.now(), query, [])

    def _remember(self, connection: sqlite3.Connection, namespace: str, made: tuple[Prepared, ...], now: float) -> None:
        _drop(connection, "expires <= ?", (now,))
        for entry, vector in made:
            _drop(connection, "namespace = ? AND id = ?", (namespace, entry.id))
            number = connection.execute(_INSERT, (*_values(entry), owner_of(namespace), vector)).lastrowid
            connection.execute(_INDEX.format("number = ?"), (number,))
            facts = [(number, key, kind_of(value), value) for key, value in entry.metadata.items()]
            connection.executemany("INSERT INTO facts VALUES (?, ?, ?, ?)", facts)
        (kept,) = connection.execute("SELECT count(*) FROM entries WHERE namespace = ?", (namespace,)).fetchone()
        self._rules.room(namespace, kept)


class _Search:
    """One question to the tables."""

    def __init__(self, namespace: str, now: float, query: Query, words: list[str]) -> None:
        self._namespace, self._query, self._words = namespace, query, words
        condition, parameters = conditions(query.where)
        self._where = f"{_LIVE}{condition}"
        self._parameters = [namespace, now, *parameters]

    def answer(self, connection: sqlite3.Connection) -> tuple[Recalled, ...]:
        """Return what fits the query, the nearest first."""
        query = self._query
        if not has_words(query) and query.vector is None:
            return tuple(Recalled(entry, 0.0) for entry in self.newest(connection, query.limit))
        rankings: list[list[int]] = []
        if has_words(query):
            rankings.append(self._by_words(connection))
        if query.vector is not None:
            rankings.append(self._by_meaning(connection, pack(query.vector)))
        best = list(fused(*rankings).items())[: query.limit]
        statement = f"SELECT {_COLUMNS} FROM entries WHERE number = ?"  # noqa: S608 – names
        return tuple(
            Recalled(_entry(connection.execute(statement, (number,)).fetchone()), score) for number, score in best
        )

    def newest(self, connection: sqlite3.Connection, limit: int) -> list[Entry]:
        """Return the entries that meet the conditions, newest first."""
        statement = f"SELECT {_COLUMNS} FROM entries WHERE {self._where} ORDER BY number DESC LIMIT ?"  # noqa: S608 – names and conditions of a closed list
        return [_entry(row) for row in connection.execute(statement, (*self._parameters, limit))]

    def count(self, connection: sqlite3.Connection) -> int:
        """Return how many meet the conditions."""
        statement = f"SELECT count(*) FROM entries WHERE {self._where}"  # noqa: S608 – as above
        (number,) = connection.execute(statement, self._parameters).fetchone()
        return int(number)

    def _by_words(self, connection: sqlite3.Connection) -> list[int]:
        if not self._words:
            return []  # signs only: no text has those
        statement = (
            "SELECT words.rowid FROM words JOIN entries ON entries.number = words.rowid "  # noqa: S608 – as above
            f"WHERE words MATCH ? AND {self._where.replace('namespace', 'entries.namespace', 1)} "
            "ORDER BY bm25(words, 0.0, 1.0), words.rowid DESC LIMIT ?"
        )
        parameters = (match(self._namespace, self._words), *self._parameters, _RANKED)
        return [number for (number,) in connection.execute(statement, parameters)]

    def _by_meaning(self, connection: sqlite3.Connection, vector: bytes) -> list[int]:
        if has_extension(connection):
            parameters = (vector, *self._parameters, len(vector), self._query.similarity, _RANKED)
            return [number for (number,) in connection.execute(NEAREST.format(self._where), parameters)]
        statement = (
            f"SELECT number, vector FROM entries WHERE {self._where} AND vector IS NOT NULL ORDER BY number DESC"  # noqa: S608 – as above
        )
        rows = connection.execute(statement, self._parameters).fetchall()
        return by_meaning(self._query, [number for number, _ in rows], [vector for _, vector in rows])


def _drop(connection: sqlite3.Connection, condition: str, parameters: tuple[Any, ...]) -> int:
    """Drop the entries that meet *condition*, one of those above, with their words; return how many.

    No trigger does it: those of a file from elsewhere are not trusted, and so may not use a virtual table.
    """
    connection.execute(_UNINDEX.format(condition), parameters)
    return connection.execute(f"DELETE FROM entries WHERE {condition}", parameters).rowcount  # noqa: S608 – as above


def _values(entry: Entry) -> tuple[Any, ...]:
    """Return the columns of an entry."""
    values = msgspec.structs.asdict(entry) | {"metadata": msgspec.json.encode(entry.metadata).decode()}
    return tuple(values[name] for name in _COLUMNS.split(", "))


def _entry(row: tuple[Any, ...]) -> Entry:
    """Return an entry of its columns."""
    values = dict(zip(_COLUMNS.split(", "), row, strict=True))
    try:
        values["metadata"] = msgspec.json.decode(values["metadata"])
        values["is_trusted"] = bool(values["is_trusted"])
        return msgspec.convert(values, Entry)
    except (msgspec.MsgspecError, TypeError, UnicodeDecodeError, RecursionError) as error:
        sentence = f"what is kept as {values['id']!r} is no entry: {error}"
        raise StoreError(sentence) from error
