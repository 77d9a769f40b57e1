"""The benchmarks' model server speaks what our own adapters read, and counts what arrives."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from ceylon.models.http import HttpClient
from ceylon.models.resolve import resolve
from ceylon.models.turns import Request, Turn

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[2]
ASKED = {"model": "some-model", "messages": [{"role": "user", "content": "hello"}], "stream": False}
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "array", "items": {"$ref": "#/$defs/Day"}}},
    "$defs": {"Day": {"type": "integer"}},
}
FUNCTION = {"type": "function", "function": {"name": "forecast", "parameters": SCHEMA}}
EXAMPLE = '{"city": "Paris", "days": [21]}'


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Run one server for all."""
    command = [sys.executable, "-m", "benchmarks.model_server", "--latency=0.001"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 – our own
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.terminate()


def post(url: str, path: str, **more: Any) -> Any:
    return httpx.post(url + path, json={**ASKED, **more}, trust_env=False).raise_for_status().json()


def requests_seen(url: str) -> int:
    return int(httpx.get(f"{url}/counts", trust_env=False).json()["requests"])


@pytest.mark.anyio
@pytest.mark.parametrize(("model", "path"), [("openai::some-model", "/v1"), ("ollama::some-model", "")])
async def test_our_adapters_read_its_answers_whole_and_streamed(model: str, path: str, url: str) -> None:
    before = requests_seen(url)
    async with HttpClient() as client:
        session = await resolve(model, base_url=url + path, api_key="key").open(client)
        request = Request(turns=(Turn("user", "hello"),))

        whole = await session.complete(request)
        *texts, last = [part async for part in session.stream(request)]

    assert whole.text == "The answer is 4."
    assert len(texts) == 1_000
    assert "".join(part.text for part in texts) == last.reply.text  # type: ignore[union-attr]
    assert whole.model == "some-model"
    assert whole.usage.output == last.reply.usage.output == 1_000  # type: ignore[union-attr]
    assert requests_seen(url) == before + 2


def test_it_asks_for_a_tool_once_with_arguments_that_fit(url: str) -> None:
    told = [*ASKED["messages"], {"role": "tool", "tool_call_id": "call_1", "content": "sunny"}]  # type: ignore[misc]

    first = post(url, "/v1/chat/completions", tools=[FUNCTION])["choices"][0]
    second = post(url, "/v1/chat/completions", tools=[FUNCTION], messages=told)["choices"][0]
    ollama = post(url, "/api/chat", tools=[FUNCTION])["message"]

    assert first["finish_reason"] == "tool_calls"
    assert first["message"]["tool_calls"][0]["function"] == {"name": "forecast", "arguments": EXAMPLE}
    assert second["message"]["content"] == "The answer is 4."
    assert ollama["tool_calls"][0]["function"]["arguments"] == {"city": "Paris", "days": [21]}


def test_it_answers_a_schema_with_what_fits(url: str) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "Forecast", "schema": SCHEMA}}

    openai = post(url, "/v1/chat/completions", response_format=wanted)["choices"][0]["message"]
    ollama = post(url, "/api/chat", format=SCHEMA)["message"]

    assert openai["content"] == ollama["content"] == EXAMPLE


def test_what_it_does_not_serve_is_not_found(url: str) -> None:
    assert httpx.get(f"{url}/v1/models", trust_env=False).status_code == 404


CONTENDER = """
import asyncio, sys, urllib.request
from benchmarks.contest import Run, Scenario
from benchmarks.llm import Asking

answer, requests, url = sys.argv[1], int(sys.argv[2]), sys.argv[3]
body = b'{"model": "some-model", "messages": [{"role": "user"}]}'

async def opening(server):
    async def ask():
        for _ in range(requests):
            urllib.request.urlopen(server.openai_url + "/chat/completions", body).read()
        return answer
    yield ask

asyncio.run(Asking(Scenario("some", "some", 1, 1)).measure(opening, Run(1, beside=url)))
"""


@pytest.mark.parametrize(
    ("answer", "requests", "complaint"),
    [
        ("The answer is 4.", 1, ""),
        ("It is 5.", 1, "AssertionError: It is 5."),
        ("The answer is 4.", 0, "AssertionError: 0 requests came"),
        ("The answer is 4.", 2, "AssertionError: 2 requests came"),
    ],
)
def test_only_who_answers_right_with_as_many_requests_as_it_takes_is_measured(
    answer: str, requests: int, complaint: str, url: str
) -> None:
    command = [sys.executable, "-c", CONTENDER, answer, str(requests), url]

    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 – our own

    assert bool(result.returncode) == bool(complaint), result.stderr
    assert complaint in result.stderr
