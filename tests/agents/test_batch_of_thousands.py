"""Five thousand prompts: in a batch that is killed half-way and resumed, and under one plain gather."""

import asyncio
import json
import subprocess
import sys
import zlib
from collections import Counter
from pathlib import Path

import anyio
import pytest

from ceylon.settings import DEFAULTS
from ceylon.testing.faults import Fault
from ceylon.testing.model_server import ModelServer
from support.llm import llm

MANY = 5_000
QUERIES = [f"query {number}" for number in range(MANY)]
ANSWERS = [f"echo: {query}" for query in QUERIES]
PROGRAM = """
import sys
from ceylon import LlmAgent

agent = LlmAgent("tutor", "openai::test-model", base_url=sys.argv[1], api_key="sk-none")
agent.send_messages([f"query {number}" for number in range(int(sys.argv[2]))], resume=sys.argv[3])
"""

pytestmark = pytest.mark.big


def fails_once(prompt: str) -> Fault | None:
    """Let one prompt in fifty fail the first time it is asked."""
    if zlib.crc32(prompt.encode()) % 50:
        return None
    return Fault(status=503, headers={"retry-after": "0"})


@pytest.mark.process
@pytest.mark.asyncio
async def test_a_batch_that_was_killed_half_way_asks_only_what_is_missing(tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    with ModelServer(fail_once=fails_once) as server:
        command = [sys.executable, "-c", PROGRAM, server.openai_url, str(MANY), str(file)]
        with subprocess.Popen(command) as killed:  # noqa: ASYNC220, S603 – our own
            await server.until(lambda: len(server.requests) >= MANY // 2, timeout=100)
            killed.kill()
        await server.until(lambda: not server.in_flight)
        *whole, torn = (await anyio.Path(file).read_bytes()).split(b"\n")
        known = {json.loads(line)["index"] for line in whole}
        first = Counter(request.prompt for request in server.requests)
        server.requests.clear()

        answers = await llm(server).send_messages_async(QUERIES, resume=file)
        second = Counter(request.prompt for request in server.requests)

    assert answers == ANSWERS
    assert not {int(prompt.split()[1]) for prompt in second} & known
    assert MANY // 3 < len(known) < MANY
    assert (
        sum((first & second).values()) <= MANY // 25 + DEFAULTS.model_concurrency
    )  # what had failed, or was on its way
    assert len(torn) < max(map(len, whole)) * 2


@pytest.mark.asyncio
async def test_five_thousand_queries_under_one_gather_all_answer_with_default_settings() -> None:
    with ModelServer(records=False) as server:
        agent = llm(server)
        answers = await asyncio.gather(*[agent.send_message_async(query) for query in QUERIES])

    assert answers == ANSWERS
    assert server.most_in_flight <= DEFAULTS.model_concurrency
