"""The model server itself: what it counts, holds and breaks."""

import subprocess
import sys

import anyio
import httpx
import pytest

from ceylon.errors import ModelAuthError, ModelStatusError
from ceylon.models.http import HttpClient
from ceylon.models.resolve import resolve
from ceylon.models.turns import Tool, ToolCall
from ceylon.testing.dialects import Question, answer
from ceylon.testing.model_server import Fault, ModelServer, Said
from ceylon.testing.obedient import sample
from support.models import question

pytestmark = pytest.mark.anyio


async def test_it_records_what_it_was_asked(anyio_backend: str) -> None:
    with ModelServer(str.upper) as server:
        async with HttpClient() as client:
            session = await resolve("ollama::test-model", base_url=server.base_url).open(client)
            reply = await session.complete(question("loud"))

    assert reply.text == "LOUD"
    assert server.requests[0].prompt == "loud"
    assert server.requests[0].path == "/api/chat"
    assert server.requests[0].json["model"] == "test-model"


async def test_it_says_what_is_prepared_then_what_it_makes_of_the_prompt(anyio_backend: str) -> None:
    call = ToolCall("a", "stock", {"sku": "A7"})
    with ModelServer() as server:
        server.say(Said(text="Wait.", calls=(call,)), "Three.")
        async with HttpClient() as client:
            session = await resolve("openai::test-model", base_url=server.openai_url).open(client)
            replies = [await session.complete(question(prompt)) for prompt in ("a", "b", "c")]

    assert [reply.text for reply in replies] == ["Wait.", "Three.", "echo: c"]
    assert replies[0].calls == (call,)


async def test_a_call_is_streamed_in_pieces(anyio_backend: str) -> None:
    said = Said(calls=(ToolCall("a", "stock", {"sku": "A7"}),))

    openai = answer("openai", Question(model="m", stream=True), said).pieces
    ollama = answer("ollama", Question(model="m", stream=True), said).pieces

    assert sum(b'"arguments"' in piece for piece in openai) > 2
    assert sum(b'"arguments"' in piece for piece in ollama) == 1


async def test_it_refuses_what_its_models_cannot(anyio_backend: str) -> None:
    with ModelServer(capabilities=["completion"]) as server:
        async with HttpClient() as client:
            session = await resolve("openai::test-model", base_url=server.openai_url).open(client)
            with pytest.raises(ModelStatusError, match="does not support tools"):
                await session.complete(question(tools=(Tool("x", "", {"type": "object", "properties": {}}),)))


def test_an_obedient_model_makes_values_of_any_schema() -> None:
    schema = {
        "type": "object",
        "properties": {
            "a": {"$ref": "#/$defs/A"},
            "b": {"type": "array", "items": {"type": "integer", "minimum": 4}, "minItems": 2},
            "c": {"const": "c"},
            "d": {"type": "boolean"},
        },
        "required": ["a", "b", "c"],
        "$defs": {"A": {"anyOf": [{"enum": ["x", "y"]}, {"type": "null"}]}},
    }

    assert sample(schema) == {"a": "x", "b": [4, 4], "c": "c"}


async def test_a_wrong_key_is_refused(anyio_backend: str) -> None:
    with ModelServer(key="right") as server:
        async with HttpClient() as client:
            url = server.openai_url
            right = await resolve("openai::test-model", base_url=url, api_key="right").open(client)
            wrong = await resolve("openai::test-model", base_url=url, api_key="wrong").open(client)

            assert (await right.complete(question())).text == "echo: hi"
            with pytest.raises(ModelAuthError, match="401"):
                await wrong.complete(question())


async def test_five_thousand_prompts_of_which_some_fail_once(anyio_backend: str) -> None:
    def every_fiftieth(prompt: str) -> Fault | None:
        return Fault(status=503) if int(prompt) % 50 == 0 else None

    answers: dict[str, str] = {}
    with ModelServer(fail_once=every_fiftieth) as server:
        async with HttpClient() as client:
            session = await resolve("openai::test-model", base_url=server.openai_url).open(client)

            async def ask(start: int) -> None:
                for number in range(start, 5_000, 20):
                    prompt = str(number)
                    try:
                        answers[prompt] = (await session.complete(question(prompt))).text
                    except ModelStatusError:
                        answers[prompt] = (await session.complete(question(prompt))).text

            async with anyio.create_task_group() as tasks:
                for start in range(20):
                    tasks.start_soon(ask, start)

    assert answers == {str(number): f"echo: {number}" for number in range(5_000)}
    assert len(server.requests) == 5_100
    assert server.most_in_flight <= 20


async def test_waiting_for_what_never_comes_ends(anyio_backend: str) -> None:
    with ModelServer() as server, pytest.raises(TimeoutError, match="0 answered"):
        await server.until(lambda: server.answered == 1, timeout=0.01)


def test_it_says_what_it_is_like_an_ollama() -> None:
    with ModelServer() as server:
        assert httpx.get(server.base_url, trust_env=False).text == "Ollama is running"
        assert httpx.get(f"{server.base_url}/nowhere", trust_env=False).status_code == 404


@pytest.mark.process
def test_it_runs_as_a_process_of_its_own() -> None:
    command = [sys.executable, "-W", "error", "-m", "ceylon.testing.model_server", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 – our program
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        try:
            assert httpx.get(url, trust_env=False).text == "Ollama is running"
        finally:
            process.terminate()
