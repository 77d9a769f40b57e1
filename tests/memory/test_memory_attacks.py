"""What an attacker can write into a memory, or ask of it: words stay words, owners stay apart, nothing takes long."""

import os
import random
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import anyio
import msgspec
import pytest

from ceylon.agents.remembering import Recall
from ceylon.errors import ArgumentError, MemoryFullError, StoreError, StoreTimeoutError, StoreUnavailableError
from ceylon.memory.embedded import EmbeddedMemory
from ceylon.memory.entries import OPERATORS, Note, Query, Where
from ceylon.memory.in_memory import InMemory
from ceylon.memory.port import Memory
from ceylon.memory.sqlite import SqliteMemory
from ceylon.settings import DEFAULTS
from ceylon.testing import HashingEmbedder
from support.memories import Clock

PIECES: Final = (
    *("'", '"', "`", ";", "--", "/*", "*/", ")", "(", "\x00", "\\", "%", "_", "?", ":a", "@a", "$a", "||", "="),
    *(" OR 1=1", " UNION SELECT * FROM entries", "; DROP TABLE entries", " AND sleep(5)", "randomblob(1e9)", "$.x"),
    *("NEAR", "AND", "NOT", "owner :", "text:", "^", "*", "{", "}", "[", "]", "']", "\n", "é", "茶", "key", "x"),
)


@pytest.fixture(params=["in this process", "in a file"])
def memory(request: pytest.FixtureRequest) -> Memory:
    return InMemory() if request.param == "in this process" else SqliteMemory(":memory:")


def payloads(count: int, seed: int) -> list[str]:
    """Return texts that are made to end a string, begin a statement, or mean something to a search."""
    chance = random.Random(seed)  # noqa: S311 – a test's
    return ["".join(chance.choices(PIECES, k=chance.randint(1, 5))) for _ in range(count)]


async def test_no_key_operator_value_or_text_says_more_than_it_is(memory: Memory) -> None:
    await memory.remember("victim", Note(text="the secret", metadata={"key": "secret", "x": 1}, id="s"))
    await memory.remember("agent", Note(text="mine", metadata={"key": "mine", "x": 2}, id="m"))

    refused = 0
    for payload in payloads(500, seed=4):
        attempts: tuple[Any, ...] = (
            Query(text=payload),
            Query(where=(Where(payload, "==", "secret"),)),
            Query(where=(Where("key", payload, "secret"),)),  # type: ignore[arg-type]
            Query(where=(Where("key", "==", payload),)),
            Query(where=(Where("key", "in", (payload, payload)),)),
            Query(limit=payload),  # type: ignore[arg-type]
        )
        for query in attempts:
            try:
                found = await memory.recall("agent", query)
            except ArgumentError:
                refused += 1
            else:
                assert {each.entry.id for each in found} <= {"m"}
        assert await memory.forget("agent", payload) == 0
        assert await memory.entries(f"{payload}victim") == ()
    assert refused > 1000
    assert await memory.count("victim") == await memory.count("agent") == 1


async def statements_of(kind: type[SqliteMemory], monkeypatch: pytest.MonkeyPatch) -> tuple[set[str], set[str]]:
    """Return the statements SQLite is told for plain words, and those that hostile ones add."""
    said: set[str] = set()
    connect = sqlite3.connect

    def listening(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(*arguments, factory=Listening, **options)
        assert isinstance(connection, Listening)
        connection.said = said
        return connection

    monkeypatch.setattr(sqlite3, "connect", listening)
    async with kind(":memory:") as memory:

        async def ask_everything(words: str, key: str) -> None:
            note = Note(text=f"t {words}", metadata={key: words}, id=words, ttl=9, source=words, vector=(1.0, 2.0))
            await memory.remember(words, note)
            for operator in OPERATORS:
                value = (words, words) if operator == "in" else words
                where = (Where(key, operator, value),)  # type: ignore[arg-type]
                await memory.recall(words, Query(text=f"a {words}", vector=(1.0, 0.0), where=where))
                await memory.entries(words, where)
                await memory.count(words, where)
            await memory.forget(words, words)

        await ask_everything("plain", "key")
        known = set(said)
        for number, words in enumerate(payloads(60, seed=7)):
            await ask_everything(words, f"k{number}")
    return known, said - known


async def test_sqlite_is_told_a_closed_list_of_statements(monkeypatch: pytest.MonkeyPatch) -> None:
    known, added = await statements_of(SqliteMemory, monkeypatch)

    assert len(known) > 20
    assert added == set()


class Leaky(SqliteMemory):
    """Writes the key of a condition into the statement, as others have done."""

    async def count(self, namespace: str, where: Iterable[Where] = ()) -> int:
        (condition,) = where
        statement = f"SELECT count(*) FROM facts WHERE key = '{condition.key}'"  # noqa: S608 – the hole
        return await self._file.read(lambda file: int(file.execute(statement).fetchone()[0]))


async def test_a_key_that_becomes_part_of_a_statement_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    _, added = await statements_of(Leaky, monkeypatch)

    assert "SELECT count(*) FROM facts WHERE key = 'k0'" in added


class Listening(sqlite3.Connection):
    """Keeps the text of each statement, without its parameters."""

    said: set[str]

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        self.said.add(sql)
        return super().execute(sql, *parameters)

    def executemany(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        self.said.add(sql)
        return super().executemany(sql, *parameters)


async def ask_at_random(memory: Memory, queries: int) -> None:
    """Ask as one of two agents, who know the same words, and find nothing of the other's."""
    chance = random.Random(3)  # noqa: S311 – a test's
    words = ("tea", "cup", "pot", "leaf", "hill", "sun", "rain", "boat")
    for agent in ("a", "b"):
        notes = [
            Note(text=" ".join(chance.choices(words, k=4)), metadata={"n": n}, vector=(chance.random(), 1.0), id=str(n))
            for n in range(50)
        ]
        await memory.remember(agent, *notes)

    for _ in range(queries):
        agent = chance.choice("ab")
        where = (Where("n", chance.choice(("<", ">=", "!=")), chance.randint(0, 50)),)
        query = Query(
            text=" ".join(chance.choices((*words, ""), k=2)),
            vector=chance.choice((None, (chance.random(), chance.random() + 0.1))),
            where=chance.choice(((), where)),
            limit=chance.randint(1, 100),
        )
        assert {each.entry.namespace for each in await memory.recall(agent, query)} <= {agent}


async def test_random_queries_find_nothing_of_anothers(memory: Memory) -> None:
    await ask_at_random(memory, 300)


@pytest.mark.slow
def test_ten_thousand_random_queries_find_nothing_of_anothers() -> None:
    anyio.run(
        ask_at_random, SqliteMemory(":memory:"), 10_000, backend="trio"
    )  # asyncio's debugging takes as long again


async def test_a_flood_is_refused_and_flushes_nothing_out(memory: Memory) -> None:
    few = msgspec.structs.replace(DEFAULTS, memory_entries=10)
    kind = type(memory)
    bounded = InMemory(settings=few) if kind is InMemory else SqliteMemory(":memory:", settings=few)
    await bounded.remember("agent", Note(text="the truth", id="truth"))

    with pytest.raises(MemoryFullError, match="the memory of 'agent' would hold more than 10 entries; forget some"):
        for number in range(20):
            await bounded.remember("agent", Note(text=f"lie {number}"))

    assert await bounded.count("agent") == 10
    assert [each.entry.id for each in await bounded.recall("agent", "truth")] == ["truth"]


async def test_what_has_expired_makes_room() -> None:
    clock = Clock()
    few = msgspec.structs.replace(DEFAULTS, memory_entries=2)
    for memory in (InMemory(settings=few, now=clock), SqliteMemory(":memory:", settings=few, now=clock)):
        await memory.remember("agent", Note(text="one", ttl=5), Note(text="two"))
        clock.advance(5)
        await memory.remember("agent", Note(text="three"))
        assert [each.text for each in await memory.entries("agent")] == ["three", "two"]


@pytest.mark.parametrize(
    ("note", "says"),
    [
        (Note(text="x" * (DEFAULTS.memory_text + 1)), "the text of a note is text of at most"),
        (Note(text="a", metadata={f"k{n}": n for n in range(DEFAULTS.memory_metadata + 1)}), "metadata is a dict"),
        (Note(text="a", metadata={"k": "x" * (DEFAULTS.memory_value + 1)}), "the value of 'k' is text of at most"),
        (Note(text="a", metadata={"k": None}), "k=None cannot be"),  # type: ignore[dict-item]
        (Note(text="a", metadata={"no key": 1}), "'no key' is no key"),
        (Note(text="a", source="x" * (DEFAULTS.memory_value + 1)), "a source is text of at most"),
        (Note(text="a", ttl=-1), "ttl=-1 cannot be"),
        (Note(text="a", ttl=float("inf")), "ttl=inf cannot be"),
        (Note(text="half \ud800"), "holds half a character"),
        (Note(text="a", vector=()), "a vector is a tuple of 1 to"),
        (Note(text="a", vector=(0.0, 0.0)), "not all of them 0"),
        (Note(text="a", vector=(1.0, float("nan"))), "finite numbers"),
        (Note(text="a", vector=(1.0,) * (DEFAULTS.memory_vector + 1)), "a vector is a tuple of 1 to"),
    ],
)
async def test_a_note_out_of_its_limits_is_refused(memory: Memory, note: Note, says: str) -> None:
    with pytest.raises(ArgumentError, match=says):
        await memory.remember("agent", note)

    assert await memory.count("agent") == 0


@pytest.mark.parametrize("namespace", ["", "x" * (DEFAULTS.memory_namespace + 1), None, 7, "\udfff"])
async def test_a_namespace_is_a_name(memory: Memory, namespace: Any) -> None:
    with pytest.raises(ArgumentError, match="a namespace"):
        await memory.remember(namespace, Note(text="a"))
    with pytest.raises(ArgumentError, match="a namespace"):
        await memory.recall(namespace, "a")


async def test_a_long_query_is_refused_and_of_many_words_some_count(memory: Memory) -> None:
    await memory.remember("agent", Note(text="word0 and word99"))

    with pytest.raises(ArgumentError, match="a query is text of at most"):
        await memory.recall("agent", "x" * (DEFAULTS.memory_query + 1))
    assert len(await memory.recall("agent", " ".join(f"word{n}" for n in range(100)))) == 1
    assert await memory.recall("agent", " ".join(f"w{n}" for n in range(DEFAULTS.memory_words)) + " word99") == ()


async def test_a_search_that_takes_long_is_stopped() -> None:
    hurried = msgspec.structs.replace(DEFAULTS, memory_search_seconds=0.0)
    async with SqliteMemory(":memory:", settings=hurried) as memory:
        notes = [Note(text="tea " * 50, metadata={f"k{n}": n for n in range(20)}) for _ in range(400)]
        await memory.remember("agent", *notes)
        where = tuple(Where(f"k{n}", ">=", 0) for n in range(20))

        with pytest.raises(StoreTimeoutError, match=":memory: searched for 0 s and was stopped"):
            await memory.recall("agent", Query(text="tea", where=where, limit=100))

        assert await memory.forget("agent", "no such id") == 0  # and the file can be used as before


async def test_a_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "memory.db"
    async with SqliteMemory(path) as memory:
        await memory.remember("agent", Note(text="tea"))

        modes = {name: os.stat(tmp_path / name).st_mode & 0o777 for name in os.listdir(tmp_path)}  # noqa: PTH116, PTH208
        assert modes == dict.fromkeys(("memory.db", "memory.db-wal", "memory.db-shm"), 0o600)


async def test_a_file_that_is_something_else_is_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("no database, however long " * 100)
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("CREATE TABLE ceylon (kind TEXT)")
        connection.execute("INSERT INTO ceylon VALUES ('conversations 1')")
    connection.close()

    for name, says in {
        "text.db": "file is not a database",
        "other.db": "it holds conversations 1, not memory 1. Name another file",
        "nowhere/memory.db": "No such file or directory",
    }.items():
        async with SqliteMemory(tmp_path / name) as memory:
            with pytest.raises(StoreUnavailableError, match=says):
                await memory.count("agent")


# -- files that somebody else has changed ------------------------------------------------------------------------------


@pytest.mark.parametrize("change", ["metadata = '{'", "metadata = '[1]'", "metadata = x'ff'", "created = 'soon'"])
async def test_an_entry_that_somebody_has_spoilt_is_a_store_error(tmp_path: Path, change: str) -> None:
    path = tmp_path / "memory.db"
    async with SqliteMemory(path) as memory:
        await memory.remember("shop", Note(text="tea", id="t"))
        with sqlite3.connect(path) as connection:
            try:
                connection.execute(f"UPDATE entries SET {change}")  # noqa: S608 – from the list above
            except sqlite3.IntegrityError:
                return  # the file itself refuses it
        connection.close()

        with pytest.raises(StoreError, match="'t' is no entry"):
            await memory.entries("shop")


def put_away(path: Path, *, replaced: bool) -> None:
    """Rename a file of SQLite's, and what belongs to it; have an empty one in its place if it is *replaced*."""
    for each in path.parent.iterdir():
        each.rename(each.with_name(f"old-{each.name}"))
    if replaced:
        path.touch()


@pytest.mark.parametrize("replaced", [False, True])
async def test_nothing_is_kept_in_a_file_that_is_not_there_any_more(tmp_path: Path, replaced: bool) -> None:  # noqa: FBT001 – a parameter
    path = tmp_path / "memory.db"
    async with SqliteMemory(path) as memory:
        await memory.remember("shop", Note(text="tea"))
        put_away(path, replaced=replaced)

        with pytest.raises(StoreUnavailableError, match="removed, or another file"):
            await memory.remember("shop", Note(text="lost"))
        await memory.aclose()
        assert await memory.count("shop") == 0


async def test_who_finds_a_file_locked_is_told_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "memory.db"
    hasty = msgspec.structs.replace(DEFAULTS, memory_busy_seconds=0.05)
    async with SqliteMemory(path, settings=hasty) as memory:
        await memory.count("shop")
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailableError, match="memory_busy_seconds"):
            await memory.remember("shop", Note(text="tea"))
        other.close()

        await memory.remember("shop", Note(text="tea"))


@pytest.mark.parametrize("embedded", [False, True])
async def test_what_a_newcomer_gives_by_mistake_is_told_with_the_right_form(memory: Memory, embedded: bool) -> None:  # noqa: FBT001 – a parameter
    embedder = HashingEmbedder()
    used: Any = EmbeddedMemory(memory, embedder.embed) if embedded else memory
    (entry,) = await used.remember("shop", Note(text="tea"))

    with pytest.raises(ArgumentError, match=r"Note\(text=…\), not str"):
        await used.remember("shop", "tea")
    with pytest.raises(ArgumentError, match=r"a query is text, or a Query"):
        await used.recall("shop", None)
    with pytest.raises(ArgumentError, match="as a tuple"):
        await used.entries("shop", where=Where("a", "==", 1))
    with pytest.raises(ArgumentError, match="as a tuple"):
        await used.count("shop", Where("a", "==", 1))
    for wrong in (5, entry, [entry.id], None):
        with pytest.raises(ArgumentError, match="an id is text"):
            await used.forget("shop", wrong)

    assert await used.forget("shop", entry.id) == 1


@pytest.mark.parametrize(
    "wrong",
    [{"inject": "3"}, {"inject": True}, {"similarity": 5.0}, {"ttl": -1.0}, {"where": "x"}, {"characters": 1.5}],
)
def test_a_recall_that_cannot_be_is_refused_when_it_is_made(wrong: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError):
        Recall(**wrong)
