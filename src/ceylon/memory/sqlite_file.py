"""A SQLite file in a thread of its own: the loop never waits for a disk."""

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Final, TypeVar

import anyio.to_thread

from ceylon.errors import StoreTimeoutError, StoreUnavailableError
from ceylon.memory.own_thread import OwnThread
from ceylon.settings import DEFAULTS, Settings

__all__ = ["SqliteFile"]

_Result = TypeVar("_Result")

_STEPS: Final = 10_000  # of SQLite's machine between two looks at the clock: well under a millisecond
_PAUSE: Final = 0.005  # seconds until a file that another is just making is tried again
_ADVICE: Final = "Name a file that can be written, in a directory that exists, or ':memory:'."
_ADVICES: Final = {
    "locked": "Another program holds it; try again, or raise `memory_busy_seconds`.",
    "full": "Make room on the disk.",
    "malformed": "It is damaged; put a copy from before in its place.",
}


class SqliteFile:
    """One connection, in write-ahead mode; several processes may have the same file open.

    Args:
        path: The file, made for its owner only if it is not there; ``":memory:"`` for none.
        kind: What the file is for, with the version of its tables, like ``"memory 1"``.
        schema: The statements that make the tables.
        settings: How long to wait for other processes, and for a search.
        extend: What else is to be done with a connection that was opened.
    """

    def __init__(
        self,
        path: str | Path,
        kind: str,
        schema: str,
        settings: Settings = DEFAULTS,
        extend: Callable[[sqlite3.Connection], None] | None = None,
    ) -> None:
        self.path = str(path)
        self._seconds = settings.memory_search_seconds
        self._opener = _Opener(self.path, kind, schema, settings.memory_busy_seconds, extend)
        self._thread: OwnThread[sqlite3.Connection] = OwnThread("ceylon sqlite", self._opener, sqlite3.Connection.close)

    async def read(self, function: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """Return what *function* reads; it is stopped when it takes too long.

        Raises:
            StoreTimeoutError: it did.
            StoreUnavailableError: there is no such file, or it is something else.
        """
        return await self._thread.run(lambda connection: self._read(connection, function))

    async def write(self, function: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """Return what *function* returns when all it wrote is written; if it raises, nothing is."""
        return await self._thread.run(lambda connection: self._write(connection, function))

    async def aclose(self) -> None:
        """Close the file; it is opened again when it is used again."""
        await anyio.to_thread.run_sync(self._thread.stop)

    def _read(self, connection: sqlite3.Connection, function: Callable[[sqlite3.Connection], _Result]) -> _Result:
        ends = time.thread_time() + self._seconds  # its own work: on a busy machine an innocent search takes long too
        connection.set_progress_handler(lambda: time.thread_time() > ends, _STEPS)
        try:
            with self._translating():
                self._opener.check_file()
                return _transact(connection, "BEGIN", function)
        except sqlite3.OperationalError as error:
            if time.thread_time() > ends:
                raise StoreTimeoutError(self.path, self._seconds) from error
            raise
        finally:
            connection.set_progress_handler(None, _STEPS)

    def _write(self, connection: sqlite3.Connection, function: Callable[[sqlite3.Connection], _Result]) -> _Result:
        with self._translating():
            self._opener.check_file()
            return _transact(connection, "BEGIN IMMEDIATE", function)

    @contextlib.contextmanager
    def _translating(self) -> Generator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            if "interrupt" in str(error):
                raise
            raise StoreUnavailableError(self.path, str(error), _advice(error)) from error


def _advice(error: sqlite3.Error) -> str:
    """Return what to do about *error*."""
    return next((advice for words, advice in _ADVICES.items() if words in str(error)), _ADVICE)


def _transact(connection: sqlite3.Connection, begin: str, function: Callable[[sqlite3.Connection], _Result]) -> _Result:
    """Return what *function* returns, in one transaction: it sees one state, and writes all or nothing."""
    connection.execute(begin)
    try:
        result = function(connection)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return result


class _Opener:
    """Opens the connection, in the thread that will use it."""

    def __init__(
        self,
        path: str,
        kind: str,
        schema: str,
        busy_seconds: float,
        extend: Callable[[sqlite3.Connection], None] | None,
    ) -> None:
        self._path, self._kind, self._schema = path, kind, schema
        self._busy_seconds, self._extend = busy_seconds, extend
        self._identity: tuple[int, int] | None = None

    def check_file(self) -> None:
        """Raise `StoreUnavailableError` if the file that was opened is not there any more: what is written is lost."""
        if self._identity is not None and _identity_of(self._path) != self._identity:
            reason = "it was removed, or another file put in its place, while it was open"
            raise StoreUnavailableError(self._path, reason, "Close the store, with `aclose()`, before you do that.")

    def __call__(self) -> sqlite3.Connection:
        try:
            if self._path != ":memory:":
                os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))  # what is remembered is nobody else's
                self._identity = _identity_of(self._path)
            connection = sqlite3.connect(self._path, timeout=self._busy_seconds, isolation_level=None)
        except (OSError, ValueError, sqlite3.Error) as error:
            raise StoreUnavailableError(self._path, str(error), _ADVICE) from error
        try:
            self._prepare(connection)
            if self._extend is not None:
                self._extend(connection)
        except sqlite3.Error as error:
            connection.close()
            raise StoreUnavailableError(self._path, str(error), _advice(error)) from error
        except BaseException:
            connection.close()
            raise
        return connection

    def _write_ahead(self, connection: sqlite3.Connection) -> None:
        """Switch to write-ahead mode; where two do that at the same time, SQLite refuses one instead of waiting."""
        ends = time.monotonic() + self._busy_seconds
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > ends:
                    raise
                time.sleep(_PAUSE)  # in the store's own thread
            else:
                return

    def _prepare(self, connection: sqlite3.Connection) -> None:
        self._write_ahead(connection)
        connection.execute("PRAGMA synchronous = NORMAL")  # with a WAL, a crash of the process loses nothing
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA trusted_schema = OFF")  # a file from elsewhere runs nothing of its own
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("CREATE TABLE IF NOT EXISTS ceylon (kind TEXT NOT NULL)")
            kinds = [kind for (kind,) in connection.execute("SELECT kind FROM ceylon")]
            if not kinds:
                for statement in self._schema.split(";\n\n"):
                    connection.execute(statement)
                connection.execute("INSERT INTO ceylon VALUES (?)", (self._kind,))
        if kinds and kinds != [self._kind]:
            reason = f"it holds {', '.join(map(str, kinds))}, not {self._kind}"
            raise StoreUnavailableError(self._path, reason, "Name another file.")


def _identity_of(path: str) -> tuple[int, int] | None:
    """Return what tells the file at *path* from every other; `None` if there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116 – before each transaction: a path as an object takes twice as long
    except OSError:
        return None
    return found.st_dev, found.st_ino
