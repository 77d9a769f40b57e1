"""Many queries at once: as many are in flight as the agent allows, the rest wait in line, and all are answered."""

import asyncio
from collections.abc import Iterator

import pytest
import trio

from ceylon import LlmAgent, Mesh
from ceylon.settings import DEFAULTS
from ceylon.testing.model_server import ModelServer
from support.callers_processes import run_program
from support.callers_report import read_reports

QUERIES = [f"query {number}" for number in range(100)]
ANSWERS = [f"echo: {query}" for query in QUERIES]


@pytest.fixture
def server() -> Iterator[ModelServer]:
    """A server whose counters are this test's alone; it answers nothing until it is released."""
    with ModelServer(records=False) as server:
        server.hold()
        yield server


def llm(server: ModelServer, concurrency: int = DEFAULTS.model_concurrency) -> LlmAgent:
    return LlmAgent(
        "crowded", "openai::test-model", base_url=server.openai_url, api_key="sk-none", concurrency=concurrency
    )


@pytest.mark.asyncio
@pytest.mark.parametrize("concurrency", [100, DEFAULTS.model_concurrency, 1])
async def test_a_gather_has_as_many_queries_in_flight_as_the_agent_allows(
    concurrency: int, server: ModelServer
) -> None:
    agent = llm(server, concurrency)
    gathering = asyncio.gather(*[agent.send_message_async(query) for query in QUERIES])
    await server.until(lambda: server.in_flight == concurrency)
    server.release()

    assert await gathering == ANSWERS
    server.wait_until(lambda: server.answered == len(QUERIES))
    assert server.most_in_flight == concurrency


@pytest.mark.asyncio
@pytest.mark.parametrize("concurrency", [100, DEFAULTS.model_concurrency])
async def test_an_agent_in_a_mesh_answers_as_many_asks_at_a_time(concurrency: int, server: ModelServer) -> None:
    async with Mesh() as mesh:
        crowded = mesh.add(llm(server, concurrency))
        gathering = asyncio.gather(*[crowded.ask(query) for query in QUERIES])
        await server.until(lambda: server.in_flight == concurrency)
        server.release()

        assert await gathering == ANSWERS
    server.wait_until(lambda: server.answered == len(QUERIES))
    assert server.most_in_flight == concurrency


@pytest.mark.parametrize("concurrency", [100, DEFAULTS.model_concurrency])
def test_a_nursery_has_as_many_queries_in_flight(concurrency: int, server: ModelServer) -> None:
    agent, answers = llm(server, concurrency), dict[str, str]()

    async def ask(query: str) -> None:
        answers[query] = await agent.send_message_async(query)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for query in QUERIES:
                nursery.start_soon(ask, query)
            await server.until(lambda: server.in_flight == concurrency)
            server.release()

    trio.run(main)

    assert [answers[query] for query in QUERIES] == ANSWERS
    server.wait_until(lambda: server.answered == len(QUERIES))
    assert server.most_in_flight == concurrency


@pytest.mark.asyncio
async def test_a_batch_may_ask_for_less_than_the_agent_allows(server: ModelServer) -> None:
    gathering = asyncio.ensure_future(llm(server).send_messages_async(QUERIES, concurrency=3))
    await server.until(lambda: server.in_flight == 3)
    server.release()

    assert await gathering == ANSWERS
    assert server.most_in_flight == 3


@pytest.mark.big
@pytest.mark.process
def test_five_thousand_queries_under_one_gather_all_answer() -> None:
    reports = read_reports(run_program("crowd.py"))

    assert reports["right"] == 5_000
    assert reports["most_in_flight"] == DEFAULTS.model_concurrency
