"""Memories of `ceylonai-next`: what they keep and find, by hand and by the model of an agent."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from ceylon.compat import (
    InMemoryBackend,
    LlmAgent,
    Memory,
    MemoryEntry,
    MemoryQuery,
    RedisBackend,
)
from ceylon.compat.offering import memory_actions
from ceylon.compat.shelves import LIMITS, Shelf, at_once, told
from ceylon.memory.in_memory import InMemory
from ceylon.models.turns import Request, ToolCall
from ceylon.testing import ScriptedModel
from support.memories import redis_server


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with redis_server() as url:
        yield url


@pytest.fixture(params=["in memory", pytest.param("redis", marks=[pytest.mark.big, pytest.mark.process])])
def backend(request: pytest.FixtureRequest) -> Any:
    """Each kind of backend, empty."""
    if request.param == "in memory":
        return InMemoryBackend()
    made = RedisBackend(request.getfixturevalue("redis_url")).with_prefix(request.node.name)
    made.clear()
    return made


def texts(entries: list[MemoryEntry]) -> list[str]:
    return [each.content for each in entries]


# -- entries -----------------------------------------------------------------------------------------------------------


def test_an_entry_is_built_in_steps_that_change_it() -> None:
    entry = MemoryEntry("hello")

    assert entry.with_metadata("topic", "x").with_metadata("list", [1, {"a": None}]) is entry
    assert entry.with_ttl_seconds(60) is entry
    assert entry.metadata == {"topic": "x", "list": [1, {"a": None}]}
    assert entry.expires_at is not None
    assert entry.expires_at > entry.created_at
    assert not entry.is_expired()
    assert MemoryEntry("brief").with_ttl_seconds(0).is_expired()
    assert (MemoryEntry("a").id == MemoryEntry("a").id) is False


def test_what_an_entry_cannot_hold_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        MemoryEntry("a").with_metadata("key", object())
    with pytest.raises(TypeError, match="content=3 cannot be; it takes text"):
        MemoryEntry(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"limit=1\.5 cannot be"):
        MemoryQuery().with_limit(1.5)  # type: ignore[arg-type]


def test_the_metadata_that_is_handed_out_is_a_copy() -> None:
    entry = MemoryEntry("a").with_metadata("list", [1])

    entry.metadata["list"].append(2)

    assert entry.metadata == {"list": [1]}


# -- backends ----------------------------------------------------------------------------------------------------------


def test_what_is_stored_comes_back_whole(backend: Any) -> None:
    entry = MemoryEntry("Hello, world! é").with_metadata("user id", 7).with_metadata("tags", ["a", {"b": 1.5}])
    blank = MemoryEntry("  ")

    assert backend.store(entry) == entry.id
    backend.store(blank)

    found = backend.get(entry.id)
    assert (found.id, found.content, found.created_at) == (entry.id, entry.content, entry.created_at)
    assert found.metadata == {"user id": 7, "tags": ["a", {"b": 1.5}]}
    assert backend.get(blank.id).content == "  "
    assert backend.get("nobody") is None
    assert backend.count() == 2


def test_a_search_gives_the_newest_first_and_keeps_to_filters_and_limit(backend: Any) -> None:
    for number, topic in enumerate(["tea", "rice", "tea", 3]):
        backend.store(MemoryEntry(f"note {number}").with_metadata("the topic", topic))

    assert texts(backend.search(MemoryQuery())) == ["note 3", "note 2", "note 1", "note 0"]
    assert texts(backend.search(MemoryQuery().with_filter("the topic", "tea"))) == ["note 2", "note 0"]
    assert texts(backend.search(MemoryQuery().with_filter("the topic", "tea").with_limit(1))) == ["note 2"]
    assert texts(backend.search(MemoryQuery().with_filter("the topic", 3))) == ["note 3"]
    assert backend.search(MemoryQuery().with_filter("the topic", "3")) == []
    assert backend.search(MemoryQuery().with_limit(0)) == []


def test_a_stored_entry_is_replaced_dropped_and_cleared(backend: Any) -> None:
    entry = MemoryEntry("first")
    backend.store(entry)
    backend.store(entry.with_metadata("late", "yes"))
    backend.store(MemoryEntry("second"))

    assert backend.count() == 2
    assert backend.get(entry.id).metadata == {"late": "yes"}
    assert (backend.delete(entry.id), backend.delete(entry.id)) == (True, False)
    backend.clear()
    assert backend.count() == 0


def test_what_a_memory_keeps_is_a_copy() -> None:
    backend, entry = InMemoryBackend(), MemoryEntry("a")
    backend.store(entry)

    entry.with_metadata("late", 1)

    found = backend.get(entry.id)
    assert found is not None
    assert found.metadata == {}


def test_so_many_entries_are_kept_the_oldest_go_first() -> None:
    backend = InMemoryBackend.with_max_entries(2)
    entries = [MemoryEntry(text) for text in "abc"]
    for entry in entries:
        backend.store(entry)

    assert texts(backend.search(MemoryQuery())) == ["c", "b"]
    backend.delete(entries[2].id)
    backend.store(MemoryEntry("d"))
    assert texts(backend.search(MemoryQuery())) == ["d", "b"]
    backend.clear()
    assert [backend.store(each) for each in entries[:2]] == [each.id for each in entries[:2]]
    assert backend.count() == 2


def test_many_threads_may_store_at_once() -> None:
    backend = InMemoryBackend.with_max_entries(10)

    def store() -> None:
        for number in range(50):
            backend.store(MemoryEntry(str(number)))

    threads = [threading.Thread(target=store) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert backend.count() == 10


def test_an_entry_is_forgotten_when_its_time_is_over_and_not_kept_when_it_was() -> None:
    hour = InMemoryBackend.with_ttl_seconds(3600)
    entry = MemoryEntry("soon")
    hour.store(entry)
    kept = hour.get(entry.id)

    assert kept is not None
    assert kept.expires_at is not None
    assert entry.expires_at is None
    hour.store(entry.with_ttl_seconds(0))
    assert hour.get(entry.id) is None
    assert hour.count() == 0


@pytest.mark.big
@pytest.mark.process
def test_redis_prefixes_and_times_are_new_backends(redis_url: str) -> None:
    base = RedisBackend(redis_url).with_prefix("base")
    other = base.with_prefix("other")
    brief = other.with_ttl_seconds(3600)
    entry_id = brief.store(MemoryEntry("brief"))

    found = other.get(entry_id)
    assert (base.count(), other.count(), brief.count()) == (0, 1, 1)
    assert found is not None
    assert found.expires_at is not None
    assert RedisBackend(redis_url).with_prefix("other").count() == 1


def test_a_redis_server_that_is_not_there_is_a_runtime_error_at_once() -> None:
    with pytest.raises(RuntimeError, match="cannot be used"):
        RedisBackend("redis://127.0.0.1:1")


def test_a_backend_works_where_a_loop_runs(backend: Any) -> None:
    async def inside() -> int:
        backend.store(MemoryEntry("from a loop"))
        return int(backend.count())

    assert asyncio.run(inside()) == 1


def test_what_is_no_entry_or_no_query_is_refused() -> None:
    with pytest.raises(TypeError, match="is no MemoryEntry"):
        InMemoryBackend().store("text")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="is no MemoryQuery"):
        InMemoryBackend().search("text")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="takes 0 or more"):
        InMemoryBackend.with_max_entries(-1)


def test_a_full_memory_is_a_runtime_error() -> None:
    few = msgspec.structs.replace(LIMITS, memory_entries=1)
    shelf = Shelf(InMemory(settings=few).notebook("few"), at_once)
    shelf.put(MemoryEntry("a"), None)

    with pytest.raises(RuntimeError, match="more than 1 entries"):
        told(lambda: shelf.put(MemoryEntry("b"), None))


# -- by a model --------------------------------------------------------------------------------------------------------


class Book(Memory):
    """A memory of one's own, which notes what it is asked and where."""

    def __init__(self) -> None:
        self.pages: dict[str, MemoryEntry] = {}
        self.asked: list[tuple[str, int | None, dict[str, Any]]] = []
        self.threads: set[str] = set()

    def store(self, entry: MemoryEntry) -> str:
        self.threads.add(threading.current_thread().name)
        self.pages[entry.id] = entry
        return entry.id

    def get(self, id: str) -> MemoryEntry | None:  # noqa: A002 – as published
        return self.pages.get(id)

    def search(self, query: MemoryQuery) -> list[MemoryEntry]:
        self.asked.append((query.text, query.limit, query.filters))
        return list(self.pages.values())

    def delete(self, id: str) -> bool:  # noqa: A002 – as published
        return self.pages.pop(id, None) is not None

    def clear(self) -> None:
        self.pages.clear()

    def count(self) -> int:
        return len(self.pages)


def answer(request: Request) -> Any:
    """Save the first question, search for the words of any other."""
    last = request.turns[-1]
    if last.results:
        return last.results[0].text
    name, _, words = last.text.partition(" ")
    wanted = {"content": words} if name == "save_memory" else {"query": words, "limit": 2}
    return [ToolCall("1", name, wanted)]


def asked(memory: Any, *questions: str) -> list[str]:
    agent = LlmAgent("librarian", ScriptedModel([answer] * 20), memory).build()
    return [str(agent.send_message(question)) for question in questions]


def test_a_model_saves_to_a_memory_and_searches_it() -> None:
    memory = InMemoryBackend()
    for text in ("grass is green", "the sky is blue", "Sky high", "blue whales"):
        memory.store(MemoryEntry(text))

    saved, both, part, nothing = asked(
        memory, "save_memory the sea is deep", "search_memory sky", "search_memory gree", "search_memory zebra"
    )

    assert memory.count() == 5
    assert msgspec.json.decode(saved)["status"] == "success"
    assert sorted(msgspec.json.decode(both)["results"]) == ["Sky high", "the sky is blue"]
    assert msgspec.json.decode(part)["results"] == ["grass is green"]
    assert msgspec.json.decode(nothing)["results"] == []


def test_a_memory_of_ones_own_is_told_what_is_looked_for_and_blocks_no_loop() -> None:
    book = Book()

    asked(book, "save_memory tea", "search_memory any words")

    assert texts(list(book.pages.values())) == ["tea"]
    assert book.asked == [("any words", 2, {})]
    assert not [name for name in book.threads if name.endswith("loop")]


def test_the_schemas_say_what_belongs_in_them() -> None:
    save, search = memory_actions(InMemoryBackend())

    assert '"name":"save_memory"' in save.metadata()
    assert '"required":["content"]' in save.metadata()
    assert '"name":"search_memory"' in search.metadata()
    assert '"required":["query"]' in search.metadata()


def test_what_is_no_memory_is_refused_when_it_is_given() -> None:
    with pytest.raises(TypeError, match="is no memory; it takes an InMemoryBackend"):
        LlmAgent("forgetful", "ollama::x").with_memory(object())


def test_a_memory_of_ones_own_has_to_have_every_verb() -> None:
    class Half(Memory):
        def store(self, entry: MemoryEntry) -> str:
            return entry.id

    with pytest.raises(TypeError, match="abstract"):
        Half()  # type: ignore[abstract]
