"""Embedding models: each provider is asked in its own way and answers alike; the embedded engine, really."""

import math
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import anyio
import anyio.to_thread
import msgspec
import ollama
import pytest

from ceylon.errors import (
    ArgumentError,
    ModelAuthError,
    ModelConfigError,
    ModelError,
    ModelProtocolError,
    ModelUnavailableError,
)
from ceylon.memory.embedded import EmbeddedMemory
from ceylon.memory.in_memory import InMemory
from ceylon.models.embedders import LocalEmbedder, resolve_embedder
from ceylon.models.embedding import open_embedder
from ceylon.models.http import HttpClient
from ceylon.settings import DEFAULTS
from ceylon.testing import HashingEmbedder
from ceylon.testing.contracts import embedder_contract, memory_contract
from support.embedding_server import EmbeddingServer, embedding_server, forget_keys


@pytest.fixture
def server() -> Iterator[EmbeddingServer]:
    with embedding_server() as server:
        yield server


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_keys(monkeypatch)


@pytest.fixture
async def client(anyio_backend: str) -> AsyncIterator[HttpClient]:
    few = msgspec.structs.replace(DEFAULTS, embedding_batch=2, embedding_texts=9)
    async with HttpClient(few) as client:
        yield client


@pytest.mark.parametrize("provider", ["openai", "ollama", "gemini"])
async def test_texts_become_vectors_in_their_order_a_batch_at_a_time(
    server: EmbeddingServer, client: HttpClient, provider: str
) -> None:
    session = await server.embedder(provider).open(client)

    vectors = await session.embed(["a", "bb", "ccc", "dddd", "eeeee"])

    assert vectors == [[1.0, 2.0], [2.0, 3.0], [3.0, 4.0], [4.0, 5.0], [5.0, 6.0]]
    assert len(server.requests) == 3
    assert await session.embed([]) == []
    await session.aclose()


@pytest.mark.parametrize("provider", ["openai", "ollama", "gemini"])
async def test_the_adapters_keep_the_contract(server: EmbeddingServer, client: HttpClient, provider: str) -> None:
    await embedder_contract(server.embedder(provider), client)


async def test_the_hashing_embedder_keeps_the_contract() -> None:
    await embedder_contract(HashingEmbedder())


class Shuffled(HashingEmbedder):
    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        return (await super().embed(texts))[::-1][1:] + (await super().embed(texts))[::-1][:1]


class Short(HashingEmbedder):
    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        return (await super().embed(texts))[:1]


class Alike(HashingEmbedder):
    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        return [[1.0, 0.0] for _ in texts]


class Nowhere(HashingEmbedder):
    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        return [[0.0, 0.0] for _ in texts]


class Nameless(HashingEmbedder):
    def __init__(self) -> None:
        super().__init__(name="hashing")


class ClosedOnce(HashingEmbedder):
    is_closed = False

    async def open(self, client: object = None) -> "ClosedOnce":
        return ClosedOnce()

    async def aclose(self) -> None:
        assert not self.is_closed, "closed already"
        self.is_closed = True


class OneAtATime(HashingEmbedder):
    busy = 0

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        self.busy += 1
        try:
            await anyio.lowlevel.checkpoint()
            return [[*vector, self.busy * 10.0] for vector in await super().embed(texts)]
        finally:
            self.busy -= 1


@pytest.mark.parametrize(
    ("embedder", "promise"),
    [
        (Shuffled, "it gives a vector for each text in their order: one text has two vectors"),
        (Short, "it gives a vector for each text in their order: 4 texts became 1 vectors"),
        (Alike, "it gives a vector for each text in their order: two texts have one vector"),
        (Alike, "a text without words is refused: it embeds ('',)"),
        (Nowhere, "it gives a vector for each text in their order: a vector points nowhere"),
        (Nameless, "it has a canonical name: its name is 'hashing'"),
        (ClosedOnce, "a session may be closed twice: closed already"),
        (OneAtATime, "requests may run at the same time: ExceptionGroup"),
    ],
)
async def test_a_broken_embedder_is_found_out(embedder: type[HashingEmbedder], promise: str) -> None:
    with pytest.raises(AssertionError) as raised:
        await embedder_contract(embedder())

    assert promise in str(raised.value)


@pytest.mark.parametrize(
    ("provider", "options", "header", "body"),
    [
        (
            "openai",
            {"dimensions": 2},
            ("authorization", "Bearer sk-canary-4711"),
            {"model": "test-embed", "input": ["hi"], "encoding_format": "float", "dimensions": 2},
        ),
        (
            "ollama",
            {"truncate": False, "num_ctx": 512},
            ("authorization", "Bearer sk-canary-4711"),
            {"model": "test-embed", "input": ["hi"], "truncate": False, "options": {"num_ctx": 512}},
        ),
        (
            "gemini",
            {"taskType": "RETRIEVAL_QUERY"},
            ("x-goog-api-key", "sk-canary-4711"),
            {
                "requests": [
                    {
                        "model": "models/test-embed",
                        "content": {"parts": [{"text": "hi"}]},
                        "taskType": "RETRIEVAL_QUERY",
                    }
                ]
            },
        ),
    ],
)
async def test_each_provider_is_asked_in_its_own_way(
    server: EmbeddingServer,
    client: HttpClient,
    provider: str,
    options: dict[str, Any],
    header: tuple[str, str],
    body: dict[str, Any],
) -> None:
    session = await server.embedder(provider, **options).open(client)

    await session.embed(["hi"])

    (request,) = server.requests
    assert msgspec.json.decode(request.body) == body
    assert request.headers[header[0]] == header[1]
    assert {"authorization", "x-goog-api-key"}.intersection(request.headers) == {header[0]}


async def test_ollamas_own_client_takes_our_request_and_the_answer_for_its_own(
    server: EmbeddingServer, client: HttpClient
) -> None:
    session = await server.embedder("ollama", truncate=False, num_ctx=512).open(client)

    vectors = await session.embed(["hi", "ho"])

    (request,) = server.requests
    sent = msgspec.json.decode(request.body)
    published = ollama.Client(host=server.thread.url)
    theirs = await anyio.to_thread.run_sync(
        lambda: published.embed("test-embed", ["hi", "ho"], truncate=False, options={"num_ctx": 512})
    )
    assert msgspec.json.decode(server.requests[-1].body) == sent
    assert [list(vector) for vector in theirs.embeddings] == vectors
    published._client.close()  # noqa: SLF001 – it has no other way


@pytest.mark.parametrize("provider", ["openai", "ollama", "gemini"])
@pytest.mark.parametrize(
    ("prepared", "says"),
    [
        (b"{}", "the answer is not what it should be"),
        (b"no JSON", "the answer is not what it should be"),
        (b'{"data": [], "embeddings": []}', "it answered 2 texts with 0 vectors of no numbers"),
    ],
)
async def test_an_answer_that_is_none_is_a_typed_error(
    server: EmbeddingServer, client: HttpClient, provider: str, prepared: bytes, says: str
) -> None:
    session = await server.embedder(provider).open(client)
    server.prepared = prepared

    with pytest.raises(ModelProtocolError, match=says) as raised:
        await session.embed(["a", "b"])

    assert "canary" not in f"{raised.value!r}"


async def test_vectors_of_different_lengths_are_refused(server: EmbeddingServer, client: HttpClient) -> None:
    session = await server.embedder("ollama").open(client)
    server.prepared = b'{"embeddings": [[1, 2], [1]]}'

    with pytest.raises(ModelProtocolError, match="it answered 2 texts with 2 vectors of 1, 2 numbers"):
        await session.embed(["a", "b"])


@pytest.mark.parametrize("provider", ["openai", "ollama", "gemini"])
async def test_a_refused_key_is_a_typed_error_that_does_not_show_it(
    server: EmbeddingServer, client: HttpClient, provider: str
) -> None:
    session = await server.embedder(provider).open(client)
    server.status, server.prepared = 401, b'{"error": {"message": "bad key sk-canary-4711"}}'

    with pytest.raises(ModelAuthError) as raised:
        await session.embed(["a"])

    assert "canary" not in f"{raised.value!r}{session!r}{server.embedder(provider)!r}"


async def test_what_nobody_embeds_is_refused_before_it_is_sent(server: EmbeddingServer, client: HttpClient) -> None:
    session = await server.embedder("ollama").open(client)

    with pytest.raises(ArgumentError, match="text 1 has no words"):
        await session.embed(["a", "  "])
    with pytest.raises(ArgumentError, match="10 texts are too many for one call; embed 9 at a time"):
        await session.embed(["a"] * 10)

    assert server.requests == []


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("ollama::nomic-embed-text", "ollama::nomic-embed-text"),
        ("nomic-embed-text", "ollama::nomic-embed-text"),
        ("text-embedding-3-small", "openai::text-embedding-3-small"),
        ("gemini-embedding-001", "gemini::gemini-embedding-001"),
        ("google::gemini-embedding-001", "gemini::gemini-embedding-001"),
        ("mistral::mistral-embed", "mistral::mistral-embed"),
        ("local::smollm2", "local::smollm2"),
    ],
)
def test_an_embedder_is_named_like_a_model(text: str, name: str) -> None:
    assert resolve_embedder(text).name == name


def test_an_embedder_that_is_made_already_is_returned_as_it_is() -> None:
    made = HashingEmbedder()

    assert resolve_embedder(made) is made


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: resolve_embedder("openia::x"), "unknown provider 'openia'"),
        (lambda: resolve_embedder(7), "an embedder is a string or an Embedder, not int"),  # type: ignore[arg-type]
        (lambda: resolve_embedder("local::smollm2", base_url="http://127.0.0.1:1"), "runs in this process"),
        (lambda: resolve_embedder("openai::text-embedding-3-small").check(), "set OPENAI_API_KEY"),
        (lambda: resolve_embedder("gemini::gemini-embedding-001").check(), "set GOOGLE_API_KEY"),
        (lambda: resolve_embedder("ollama::nomic", options={"dimension": 3}).check(), "did you mean 'dimensions'"),
        (lambda: resolve_embedder("scripted::x"), "scripted embeds nothing"),
    ],
)
def test_what_is_no_embedder_says_why(make: Any, says: str) -> None:
    with pytest.raises(ModelConfigError, match=says):
        make()


async def test_nobody_there_is_a_typed_error() -> None:
    async with open_embedder("ollama::nomic-embed-text", base_url="http://127.0.0.1:1") as session:
        with pytest.raises(ModelUnavailableError, match="Start Ollama"):
            await session.embed(["a"])


# -- in front of a memory ----------------------------------------------------------------------------------------------


async def test_a_memory_behind_an_embedder_keeps_the_contract() -> None:
    await memory_contract(EmbeddedMemory(InMemory(), HashingEmbedder().embed), advance=None)


async def test_what_is_remembered_is_embedded_together_and_found_by_meaning() -> None:
    embedder = HashingEmbedder()
    notebook = EmbeddedMemory(InMemory(), embedder.embed).notebook("agent")
    await notebook.remember("Assam grows in the lowlands.")
    await notebook.remember("Coffee is no tea.")

    found = await notebook.recall("the lowlands of Assam")

    assert [each.entry.text for each in found] == ["Assam grows in the lowlands."]
    assert embedder.texts[-1] == "the lowlands of Assam"


# -- the embedded engine -----------------------------------------------------------------------------------------------


def cosine(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True)) / math.hypot(*one) / math.hypot(*other)


@pytest.mark.model
@pytest.mark.timeout(300)
async def test_the_embedded_engine_gives_like_texts_like_vectors() -> None:
    async with open_embedder("local::smollm2") as session:
        texts = ["It is sunny in Paris today.", "It is sunny in Rome today.", "def main(): return 42"]
        paris, rome, code = await session.embed(texts)
        (again,) = await session.embed(texts[:1])

    assert len(paris) == len(rome) == len(code) == 576
    assert cosine(paris, again) > 0.999
    assert cosine(paris, rome) > cosine(paris, code)


@pytest.mark.model
@pytest.mark.big
@pytest.mark.timeout(300)
def test_the_embedded_engine_keeps_the_contract() -> None:
    async def keep() -> None:
        async with open_embedder(LocalEmbedder()), HttpClient() as client:  # the engine runs until both are done
            await embedder_contract(LocalEmbedder(), client)

    anyio.run(keep)


@pytest.mark.model
@pytest.mark.big
@pytest.mark.timeout(300)
def test_a_page_is_embedded_as_a_whole() -> None:
    async def embed() -> list[list[float]]:
        async with open_embedder("local::smollm2") as session:
            return await session.embed(["word " * 540])

    (page,) = anyio.run(embed)  # more than llama.cpp takes at a time unless it is told to

    assert len(page) == 576


@pytest.mark.model
@pytest.mark.timeout(300)
async def test_a_text_longer_than_the_engine_takes_is_a_typed_error() -> None:
    async with open_embedder(LocalEmbedder(context=64)) as session:
        with pytest.raises(ModelError):
            await session.embed(["word " * 900])


@pytest.mark.parametrize(("provider", "tokens"), [("openai", 3), ("ollama", 0), ("gemini", 0)])
async def test_what_the_server_counted_is_told_beside_the_vectors(
    server: EmbeddingServer, client: HttpClient, provider: str, tokens: int
) -> None:
    session: Any = await server.embedder(provider).open(client)

    made = await session.embed_some(["a", "bb"])

    assert made.usage.input == tokens
    assert len(made.vectors) == session.most == 2
