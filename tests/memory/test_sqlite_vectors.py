"""Vectors in SQLite: with the extension where it can be loaded, and by ourselves everywhere else."""

import random
import sqlite3
from importlib.util import find_spec

import pytest

from ceylon.memory.entries import Note, Query
from ceylon.memory.in_memory import InMemory
from ceylon.memory.port import Memory
from ceylon.memory.sqlite import SqliteMemory
from ceylon.memory.sqlite_vectors import has_extension, load_extension

can_load = hasattr(sqlite3.Connection, "enable_load_extension") and find_spec("sqlite_vec") is not None


def opened() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    load_extension(connection)
    return connection


def test_the_extension_is_there_where_it_can_be() -> None:
    connection = opened()
    assert has_extension(connection) == can_load
    connection.close()


def test_nothing_else_can_be_loaded_afterwards() -> None:
    connection = opened()
    with pytest.raises(sqlite3.Error, match=r"not authorized|no such function"):
        connection.execute("SELECT load_extension('anything')")
    connection.close()


async def answers(memory: Memory) -> list[list[str]]:
    """Return what *memory* says to questions by meaning."""
    chance = random.Random(5)  # noqa: S311 – a test's
    vectors = [tuple(chance.gauss(0, 1) for _ in range(8)) for _ in range(60)]
    await memory.remember("agent", *(Note(text=f"n{n}", vector=vector) for n, vector in enumerate(vectors)))
    found = [await memory.recall("agent", Query(vector=vector, similarity=0.1)) for vector in vectors[:20]]
    return [[each.entry.text for each in answer] for answer in found]


async def test_a_file_ranks_as_the_memory_in_this_process() -> None:
    async with SqliteMemory(":memory:") as memory:
        assert await answers(memory) == await answers(InMemory())


@pytest.mark.skipif(not can_load, reason="this interpreter's SQLite loads no extensions, or sqlite-vec is missing")
async def test_the_extension_ranks_as_numpy_does() -> None:
    memory = SqliteMemory(":memory:")
    assert await memory._file.read(has_extension)  # noqa: SLF001 – what is tried
    assert await answers(memory) == await answers(InMemory())
    await memory.aclose()
