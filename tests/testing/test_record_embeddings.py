"""Cassettes with vectors: what was embedded comes from the file again, memories and all, and from nowhere else."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from ceylon import Budget, LlmAgent, Mesh
from ceylon.agents.remembering import Recall
from ceylon.errors import ModelAuthError, ModelStatusError
from ceylon.memory.embedded import EmbeddedMemory
from ceylon.memory.in_memory import InMemory
from ceylon.memory.port import Note
from ceylon.memory.sqlite import SqliteMemory
from ceylon.models.embedders import LocalEmbedder, resolve_embedder
from ceylon.models.embedding import open_embedder
from ceylon.models.scripted import ScriptedModel
from ceylon.models.turns import Reply, ToolCall
from ceylon.testing import CassetteError, HashingEmbedder, record
from support.embedding_server import EmbeddingServer, embedding_server, forget_keys
from support.examples import demo
from support.llm import impatient
from support.recorded import ForbiddenModel

PROVIDERS = ["openai", "ollama", "gemini"]
TEXTS = ["Assam is strong.", "naïve\ntea", "Darjeeling"]


def text_of(tape: Path) -> str:
    return tape.read_text(encoding="utf-8")


def put(tape: Path, text: str) -> None:
    """Tamper with a cassette."""
    tape.write_text(text, encoding="utf-8")


@pytest.fixture
def tape(tmp_path: Path) -> Path:
    return tmp_path / "vectors.cassette"


@pytest.fixture
def server() -> Iterator[EmbeddingServer]:
    with embedding_server() as server:
        yield server


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_keys(monkeypatch)


class Nowhere(HashingEmbedder):
    """Has a name and options; opening it fails the test."""

    def __init__(self, name: str = "scripted::hashing", **options: Any) -> None:
        super().__init__(name=name)
        self.options = options

    async def open(self, client: Any = None) -> Any:
        raise AssertionError("a replay opened the embedding model")


async def embed(embedder: Any, *texts: str) -> list[list[float]]:
    async with open_embedder(embedder) as session:
        return await session.embed(list(texts))


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_vectors_come_again_without_server_or_key(tape: Path, server: EmbeddingServer, provider: str) -> None:
    with record(tape):
        recorded = await embed(server.embedder(provider), *TEXTS)
    asked = len(server.requests)

    with record(tape):
        assert await embed(f"{provider}::test-embed", *TEXTS) == recorded
    assert len(server.requests) == asked
    written = text_of(tape)
    assert "canary" not in written
    assert "      - numbers: float32\n        length: 2\n        check: crc32 " in written
    assert "        - Assam is strong.\n" in written


async def test_without_what_stands_around_embedders_a_replay_would_need_the_network(
    tape: Path, server: EmbeddingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sabotage: nothing is recorded, and the replay is refused where it asks the server."""
    monkeypatch.setattr("ceylon.testing.replay.embedder_stand_ins", [])
    with record(tape):
        await embed(server.embedder("ollama"), *TEXTS)

    with pytest.raises(CassetteError, match="a request to http://127"), record(tape):
        await embed(server.embedder("ollama"), *TEXTS)


async def test_another_text_another_setting_and_another_name_are_requests_that_differ(tape: Path) -> None:
    with record(tape):
        await embed(HashingEmbedder(), "tea", "coffee")

    for other, texts, says in [
        (Nowhere(), ("tea", "cocoa"), r"-    - coffee\n\+    - cocoa"),
        (Nowhere(dimensions=3), ("tea", "coffee"), r"\+  options:\n\+    dimensions: 3"),
        (Nowhere("scripted::other"), ("tea", "coffee"), r"-model: .*hashing\n\+model: .*other"),
    ]:
        with pytest.raises(CassetteError, match=says), record(tape):
            await embed(other, *texts)


async def test_an_error_of_the_server_comes_again(tape: Path, server: EmbeddingServer) -> None:
    server.status, server.prepared = 401, b'{"error": {"message": "bad key sk-canary-4711"}}'
    with record(tape), pytest.raises(ModelAuthError) as recorded:
        await embed(server.embedder("openai"), "tea")

    with record(tape), pytest.raises(ModelAuthError) as replayed:
        await embed("openai::test-embed", "tea")
    assert str(replayed.value) == str(recorded.value)
    assert "canary" not in text_of(tape)


async def test_an_embedding_that_nobody_waited_for_never_comes(tape: Path) -> None:
    class Slow(HashingEmbedder):
        async def embed(self, texts: Any) -> Any:
            await anyio.sleep_forever()

    for embedder in (Slow(), Nowhere()):
        with record(tape), anyio.move_on_after(0.02) as scope:
            await embed(embedder, "tea")
        assert scope.cancelled_caught


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("base64: AAAA", "base64: AAAB", "exchange 1 cannot be replayed: .*is not what its check"),
        ("length: 256", "length: 255", "exchange 1 cannot be replayed: .*256 numbers instead of 255"),
        ("        - coffee\n", "", "exchange 1 cannot be replayed: .*2 vectors of 1 texts"),
    ],
)
async def test_an_edit_of_vectors_is_told_before_anything_runs(tape: Path, old: str, new: str, says: str) -> None:
    with record(tape):
        await embed(HashingEmbedder(), "tea", "coffee")
    text = text_of(tape)
    assert old in text
    put(tape, text.replace(old, new, 1))

    with pytest.raises(CassetteError, match=says), record(tape, mode="replay"):
        raise AssertionError("it has begun")


async def test_a_session_that_was_open_before_the_block_takes_part_in_it(tape: Path) -> None:
    embedder = HashingEmbedder()
    async with open_embedder(embedder) as session:
        with record(tape):
            recorded = await session.embed(["tea"])
        with record(tape):
            assert await session.embed(["tea"]) == recorded
        await session.embed(["after"])
    assert embedder.texts == ["tea", "after"]


async def test_a_session_that_a_replay_opened_goes_on_with_the_model_behind_it(tape: Path) -> None:
    with record(tape):
        await embed(HashingEmbedder(), "tea")
    embedder = HashingEmbedder()
    replaying = record(tape)
    with replaying:
        opened = open_embedder(embedder)
        session = await opened.__aenter__()
        await session.embed(["tea"])
        assert not embedder.texts
    await session.embed(["after"])
    await opened.__aexit__(None, None, None)
    assert embedder.texts == ["after"]


# -- memories ----------------------------------------------------------------------------------------------------------


def script() -> ScriptedModel:
    """Return a model that notes two things down, looks them up, and answers with what it is told."""
    return ScriptedModel(
        [
            Reply(text="", calls=(ToolCall("1", "remember", {"text": "Alice drinks Assam."}),), finish="tool"),
            Reply(text="", calls=(ToolCall("2", "remember", {"text": "Alice drinks Assam."}),), finish="tool"),
            "noted",
            Reply(text="", calls=(ToolCall("3", "recall", {"query": "What does Alice drink?"}),), finish="tool"),
            lambda request: repr(request.turns),
        ]
    )


async def remember(model: Any, embedder: Any, memory: Any) -> list[Any]:
    """Return all that an agent has heard whose memory finds by meaning, and what has been spent."""
    async with memory, Mesh("market", settings=impatient()) as mesh:
        mesh.add(agent := LlmAgent("tutor", model, memory=memory, recall=Recall(embedder=embedder, inject=1)))
        replies = [await agent.complete(each) for each in ("Alice drinks Assam.", "What does Alice drink?")]
        return [replies, mesh.statistics().spending.total]


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("kind", [InMemory, lambda: SqliteMemory(":memory:")], ids=["in memory", "sqlite"])
async def test_an_agent_that_remembers_replays_whole_on_another_day(
    tape: Path, server: EmbeddingServer, monkeypatch: pytest.MonkeyPatch, provider: str, kind: Any
) -> None:
    with record(tape):
        recorded = await remember(script(), server.embedder(provider), kind())
    asked, real = len(server.requests), time.time
    monkeypatch.setattr(time, "time", lambda: real() + 3 * 86_400.0)

    with record(tape):
        replayed = await remember(ForbiddenModel(), f"{provider}::test-embed", kind())

    assert replayed == recorded
    assert len(server.requests) == asked > 0
    assert recorded[1].requests == 5 + asked


async def test_without_the_sources_of_memories_a_replay_differs(tape: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sabotage: ids are new, as they are without a recording, and the model is told of them."""
    monkeypatch.setattr("ceylon.testing.replay.memory_sources", [])
    with record(tape):
        await remember(script(), HashingEmbedder(), InMemory())

    with pytest.raises(CassetteError, match="noted, as"), record(tape):
        await remember(ForbiddenModel(), Nowhere(), InMemory())


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_replay_draws_from_a_budget_what_vectors_have_cost(
    tape: Path, server: EmbeddingServer, provider: str
) -> None:
    async def run(model: Any, embedder: Any) -> Any:
        async with Mesh("market") as mesh:
            recall = Recall(embedder=embedder, actions=False)
            mesh.add(agent := LlmAgent("tutor", model, memory=InMemory(), recall=recall))
            budget = Budget(tokens=5_000, calls=9)
            await agent.send_message_async("What is tea?", budget=budget)
            return mesh.statistics().spending

    with record(tape):
        recorded = await run(ScriptedModel(["yes"]), server.embedder(provider))
    with record(tape):
        replayed = await run(ForbiddenModel(), f"{provider}::test-embed")
    assert replayed.total == recorded.total
    assert recorded.total.requests == 2


async def test_a_busy_server_is_waited_for_once_and_not_again(tape: Path, server: EmbeddingServer) -> None:
    server.status, server.prepared = 503, b'{"error": "busy"}'
    for embedder in (server.embedder("ollama"), "ollama::test-embed"):
        with record(tape), pytest.raises(ModelStatusError):
            await remember(ForbiddenModel() if embedder == "ollama::test-embed" else script(), embedder, InMemory())
    asked = len(server.requests)
    assert asked > 1
    assert text_of(tape).count("verb: embed") == 1


async def test_agents_that_take_notes_at_the_same_time_get_the_same_ids_again(tape: Path) -> None:
    async def note(names: list[str]) -> dict[str, str]:
        memory, ids = EmbeddedMemory(InMemory(), HashingEmbedder().embed), dict[str, str]()

        async def one(name: str) -> None:
            (entry,) = await memory.remember("shop", Note(text=f"a note of {name}"))
            ids[name] = entry.id

        async with anyio.create_task_group() as group:
            for name in names:
                group.start_soon(one, name)
        return ids

    names = [f"agent{number}" for number in range(5)]
    with record(tape):
        recorded = await note(names)
    with record(tape):
        assert await note(names[::-1]) == recorded
    assert len(set(recorded.values())) == 5


def test_the_example_that_reads_files_replays_whole(
    tape: Path, server: EmbeddingServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    for name in ("mailboxes", "failures"):
        (folder / f"{name}.md").write_text(f"# {name}\n\nAll about {name}.\n" * 3, encoding="utf-8")
    main = demo("demo_rag").main
    with record(tape):
        asyncio.run(main(ScriptedModel(["It waits.", "By its supervisor."]), server.embedder("ollama"), folder))
    recorded = capsys.readouterr().out

    with record(tape):
        asyncio.run(main(ForbiddenModel(), "ollama::test-embed", folder))

    assert capsys.readouterr().out == recorded
    assert recorded.count("  source: ") >= 2


@pytest.mark.model
@pytest.mark.timeout(300)
def test_the_embedded_engine_is_not_started_again(tape: Path) -> None:
    with record(tape):
        recorded = anyio.run(embed, LocalEmbedder(), "tea")
    with record(tape):
        assert anyio.run(embed, resolve_embedder("local::smollm2"), "tea") == recorded
    assert "length: 576\n" in text_of(tape)
