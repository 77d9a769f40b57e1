"""The façade: Ollama's API in front of a real model."""

from collections.abc import AsyncIterator, Iterator
from typing import Any, Self

import anyio
import httpx
import ollama
import pytest

from ceylon.errors import ModelNotFoundError, ModelStatusError
from ceylon.models.http import HttpClient
from ceylon.models.local import LocalModel, LocalSession
from ceylon.models.port import Session
from ceylon.models.resolve import resolve
from ceylon.models.turns import Tool
from ceylon.testing.contracts import model_contract
from ceylon.testing.ollama_server import OllamaServer
from support.models import parts_of, question, text_of

pytestmark = [pytest.mark.anyio, pytest.mark.model, pytest.mark.timeout(300)]

MODEL = "smollm2:135m"
PROMPT = "What is the capital of France?"
EXACT = {"temperature": 0.0, "seed": 1}


@pytest.fixture(scope="module")
def server() -> Iterator[OllamaServer]:
    with OllamaServer() as server:
        yield server


@pytest.fixture
async def client(anyio_backend: str) -> AsyncIterator[HttpClient]:
    async with HttpClient() as client:
        yield client


@pytest.fixture
async def session(client: HttpClient, server: OllamaServer) -> Session:
    return await resolve(f"ollama::{MODEL}", base_url=server.base_url).open(client)


@pytest.fixture
async def engine(client: HttpClient) -> AsyncIterator[LocalSession]:
    session = await LocalModel().open(client)
    yield session
    await session.aclose()


async def test_its_answer_is_the_engines_own(session: Session, engine: LocalSession) -> None:
    asked = question(PROMPT, max_tokens=24, **EXACT)

    whole, direct = await session.complete(asked), await engine.complete(asked)
    *parts, _ = await parts_of(session, asked)

    assert whole.text == text_of(parts) == direct.text
    assert whole.usage.input == direct.usage.input
    assert whole.usage.output == direct.usage.output
    assert (whole.model, whole.finish) == (MODEL, direct.finish)
    assert whole.tokens_per_second is not None


def test_the_published_client_gets_the_same(server: OllamaServer) -> None:
    async def ours() -> str:
        async with HttpClient() as client:
            session = await resolve(f"ollama::{MODEL}", base_url=server.base_url).open(client)
            return (await session.complete(question(PROMPT, max_tokens=24, **EXACT))).text

    options = {**EXACT, "num_predict": 24}
    messages = [{"role": "user", "content": PROMPT}]
    with published(server) as theirs:
        whole = theirs.chat(MODEL, messages, options=options)
        streamed = [each.message.content or "" for each in theirs.chat(MODEL, messages, options=options, stream=True)]
        generated = theirs.generate(MODEL, PROMPT, options=options)

    assert whole.message.content == "".join(streamed) == generated.response == anyio.run(ours)
    assert whole.done_reason == generated.done_reason
    assert whole.eval_count


def test_the_published_client_reads_what_it_says_of_itself(server: OllamaServer) -> None:
    with published(server) as theirs:
        assert [model.model for model in theirs.list().models] == [MODEL]
        assert theirs.show(MODEL).capabilities == ["completion"]
        assert [model.model for model in theirs.ps().models] in ([], [MODEL])


class Published(ollama.Client):
    """The published client, closed like everything else."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()


def published(server: OllamaServer) -> Published:
    return Published(server.base_url, trust_env=False)


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("/api/chat", {"model": "nope", "messages": []}, 404, "model 'nope' not found"),
        ("/api/show", {"model": "nope"}, 404, "model 'nope' not found"),
        ("/api/chat", {}, 400, "model is required"),
        ("/api/chat", {"model": MODEL, "messages": 7}, 400, "Expected `array`"),
        ("/api/chat", {"model": MODEL, "messages": [{"role": "user"}], "think": True}, 400, "not support thinking"),
        ("/api/chat", {"model": MODEL, "messages": [{"role": "user"}], "tools": [{}]}, 400, "not support tools"),
        ("/api/generate", {"model": MODEL, "prompt": "x " * 9_000}, 400, "context size"),
        ("/api/embed", {"model": MODEL, "input": "x"}, 501, "embeddings"),
    ],
)
def test_its_refusals_are_ollamas(
    server: OllamaServer, path: str, body: dict[str, Any], status: int, words: str
) -> None:
    answer = httpx.post(f"{server.base_url}{path}", json=body, trust_env=False, timeout=120)

    assert answer.status_code == status
    assert words in answer.json()["error"]


def test_it_routes_like_ollama(server: OllamaServer) -> None:
    with httpx.Client(base_url=server.base_url, trust_env=False) as client:
        assert client.get("/").text == "Ollama is running"
        assert client.head("/").status_code == 200
        assert "version" in client.get("/api/version").json()
        assert client.get("/api/nowhere").status_code == 404
        assert client.post("/api/chat").json() == {"error": "missing request body"}
        assert client.post("/api/chat", json={"model": MODEL}).json()["done_reason"] == "load"


async def test_an_unknown_model_is_answered_with_the_known_one(client: HttpClient, server: OllamaServer) -> None:
    session = await resolve("ollama::gemma3", base_url=server.base_url).open(client)

    with pytest.raises(ModelNotFoundError, match=r"smollm2:135m.*`ollama pull gemma3`"):
        await session.complete(question())


async def test_a_refusal_of_the_engine_comes_through(session: Session) -> None:
    with pytest.raises(ModelStatusError, match="context size"):
        await parts_of(session, question("word " * 5_000))


async def test_a_schema_holds(session: Session) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    reply = await session.complete(question("Give a number.", max_tokens=24, options={"format": schema}, **EXACT))

    assert reply.text.lstrip().startswith("{")


async def test_a_client_that_leaves_stops_the_generation(
    session: Session, server: OllamaServer, engine: LocalSession
) -> None:
    left = server.clients_left
    parts = session.stream(question("Tell me a very long story.", max_tokens=1_500))
    await anext(parts)

    await parts.aclose()

    async with httpx.AsyncClient(trust_env=False) as plain:
        with anyio.fail_after(60):
            while server.clients_left == left or await busy(plain, engine):
                await anyio.lowlevel.checkpoint()


async def busy(plain: httpx.AsyncClient, engine: LocalSession) -> bool:
    slots = (await plain.get(engine.engine_url.replace("/v1", "/slots"))).json()
    return any(slot["is_processing"] for slot in slots)


async def test_a_model_that_knows_no_tools_calls_by_the_format(session: Session) -> None:
    """`/api/show` says that it has none, so that a schema stands for them."""
    parameters = {"type": "object", "properties": {"city": {"type": "string", "maxLength": 12}}, "required": ["city"]}
    tool = Tool("weather", "Says how the weather is.", parameters)

    reply = await session.complete(question(PROMPT, tools=(tool,), tool_choice="weather", max_tokens=96, **EXACT))

    assert reply.finish == "tool"
    assert [(call.name, type(call.arguments["city"])) for call in reply.calls] == [("weather", str)]


@pytest.mark.slow
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_way_of_an_agent_through_the_facade_keeps_the_contract(
    server: OllamaServer, anyio_backend: str
) -> None:
    async with HttpClient() as client:
        model = resolve(f"ollama::{MODEL}", base_url=server.base_url, options={"num_predict": 32, "seed": 1})

        await model_contract(model, client, is_repeatable=False, is_adapted=True)
