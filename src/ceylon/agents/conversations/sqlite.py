"""Conversations in a SQLite file: they survive the process."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ceylon.agents.conversations.port import ConversationStore, check_stored_key, decode_turn, encode_turn
from ceylon.agents.conversations.window import last_turns
from ceylon.memory.sqlite_file import SqliteFile
from ceylon.models.turns import Turn
from ceylon.settings import DEFAULTS, Settings

__all__ = ["SqliteConversations"]

_SCHEMA: Final = """
CREATE TABLE conversations (
    number INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    used INTEGER NOT NULL UNIQUE
);

CREATE TABLE turns (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation INTEGER NOT NULL REFERENCES conversations (number) ON DELETE CASCADE,
    turn TEXT NOT NULL
);

CREATE INDEX turns_of_a_conversation ON turns (conversation, number);
"""

_TURNS: Final = "SELECT turns.number, turn FROM turns WHERE conversation = ? ORDER BY turns.number"
_NEXT: Final = "(SELECT coalesce(max(used), 0) + 1 FROM conversations)"
_USE: Final = (
    f"INSERT INTO conversations (key, used) VALUES (?, {_NEXT}) "  # noqa: S608 – a constant
    f"ON CONFLICT (key) DO UPDATE SET used = {_NEXT} RETURNING number"
)
_LEAST_USED: Final = (
    "DELETE FROM conversations WHERE number IN (SELECT number FROM conversations ORDER BY used DESC LIMIT -1 OFFSET ?)"
)


class SqliteConversations(ConversationStore):
    """Keeps conversations in a file; several agents and processes may share it.

    Args:
        path: The file; ``":memory:"`` keeps nothing.
        settings: The limits.
    """

    def __init__(self, path: str | Path, *, settings: Settings = DEFAULTS) -> None:
        self._settings = settings
        self._file = SqliteFile(path, "conversations 1", _SCHEMA, settings)

    def __repr__(self) -> str:
        return f"<SqliteConversations {self._file.path!r}>"

    async def load(self, key: str) -> tuple[Turn, ...]:
        """See `ConversationStore`."""
        check_stored_key(key)

        def load(connection: sqlite3.Connection) -> list[str]:
            found = connection.execute("SELECT number FROM conversations WHERE key = ?", (key,)).fetchone()
            if found is None:
                return []
            connection.execute(_USE, (key,)).fetchall()
            return [turn for _, turn in connection.execute(_TURNS, found)]

        return tuple(map(decode_turn, await self._file.write(load)))

    async def append(self, key: str, turns: Sequence[Turn]) -> None:
        """See `ConversationStore`."""
        check_stored_key(key)
        added = [encode_turn(turn).decode() for turn in turns]
        if added:
            await self._file.write(lambda connection: self._append(connection, key, added))

    async def replace(self, key: str, turns: Sequence[Turn]) -> None:
        """See `ConversationStore`."""
        check_stored_key(key)
        added = [encode_turn(turn).decode() for turn in turns]

        def replace(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM conversations WHERE key = ?", (key,))
            if added:
                self._append(connection, key, added)

        await self._file.write(replace)

    async def drop(self, key: str) -> None:
        """See `ConversationStore`."""
        check_stored_key(key)
        await self._file.write(lambda file: file.execute("DELETE FROM conversations WHERE key = ?", (key,)).rowcount)

    async def keys(self) -> tuple[str, ...]:
        """See `ConversationStore`."""
        statement = "SELECT key FROM conversations ORDER BY used DESC"
        return tuple(key for (key,) in await self._file.read(lambda file: file.execute(statement).fetchall()))

    async def aclose(self) -> None:
        """Close the file."""
        await self._file.aclose()

    def _append(self, connection: sqlite3.Connection, key: str, added: list[str]) -> None:
        ((number,),) = connection.execute(_USE, (key,)).fetchall()
        rows = [(number, turn) for turn in added]
        connection.executemany("INSERT INTO turns (conversation, turn) VALUES (?, ?)", rows)
        kept = connection.execute(_TURNS, (number,)).fetchall()
        if len(kept) > self._settings.conversation_turns:
            turns = [decode_turn(turn) for _, turn in kept]
            staying = {id(turn) for turn in last_turns(turns, self._settings.conversation_turns)}
            gone = [(place,) for (place, _), turn in zip(kept, turns, strict=True) if id(turn) not in staying]
            connection.executemany("DELETE FROM turns WHERE number = ?", gone)
        connection.execute(_LEAST_USED, (self._settings.conversations,))
