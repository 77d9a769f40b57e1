"""The extension sqlite-vec, where it is installed and the interpreter's SQLite can load one; many cannot."""

import contextlib
import sqlite3
import sys
from importlib.util import find_spec
from typing import Final

__all__ = ["NEAREST", "has_extension", "load_extension"]

NEAREST: Final = (
    "SELECT number FROM (SELECT number, 1 - vec_distance_cosine(vector, ?) AS cosine FROM entries WHERE {} "
    "AND length(vector) = ?) WHERE cosine >= ? ORDER BY cosine DESC, number DESC LIMIT ?"
)
"""The nearest entries that meet conditions; what `vectors.pack` makes is what the extension reads."""


def load_extension(connection: sqlite3.Connection) -> None:
    """Load the extension, if that can be done; without it vectors are compared in this process."""
    if not hasattr(connection, "enable_load_extension") or find_spec("sqlite_vec") is None:
        return
    __import__("sqlite_vec")
    with contextlib.suppress(sqlite3.Error):  # built for another machine
        connection.enable_load_extension(True)  # noqa: FBT003 – sqlite3's own
        try:
            sys.modules["sqlite_vec"].load(connection)
        finally:
            connection.enable_load_extension(False)  # noqa: FBT003 – as above


def has_extension(connection: sqlite3.Connection) -> bool:
    """Say whether the extension is loaded."""
    found = connection.execute("SELECT 1 FROM pragma_function_list WHERE name = 'vec_distance_cosine'").fetchone()
    return found is not None
