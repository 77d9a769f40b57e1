"""CPU of one call to a language model, beside httpx sending the same body to the same server.

The server is `python -m ceylon.testing.model_server` in a process of its own, so only the caller's CPU is counted.
`python -m benchmarks.model_calls ROUNDS CALLS` prints the seconds as JSON.
"""

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx
import msgspec
from benchmarks.report import Row
from benchmarks.rounds import Pair, alternate, fresh, median

from ceylon import LlmAgent, Mesh
from ceylon.testing.model_server import ModelServer

__all__ = ["measure"]

_MODEL = "openai::test-model"
_QUERY = "What is 2+2?"


def measure(*, rounds: int, calls: int) -> Iterator[Row]:
    """Yield the row."""
    pair = msgspec.convert(fresh("-m", "benchmarks.model_calls", str(rounds), str(calls)), Pair)
    milliseconds = [difference / calls * 1000 for difference in pair.differences()]
    yield Row(
        measured="CPU of a model call in a mesh",
        unit="ms",
        ceylon=median(pair.ceylon) / calls * 1000,
        beside="httpx",
        bare=median(pair.bare) / calls * 1000,
        compared=median(milliseconds),
        compared_unit="ms more",
        spread=(min(milliseconds), max(milliseconds)),
        at_most=0.3,
    )


async def _measure(rounds: int, calls: int, url: str) -> Pair:
    body = await _body_sent()
    headers = {"content-type": "application/json", "authorization": "Bearer key"}
    async with httpx.AsyncClient(headers=headers) as client, Mesh("bench") as mesh:
        agent = LlmAgent("assistant", _MODEL, base_url=f"{url}/v1", api_key="key")
        mesh.add(agent)

        async def ask() -> float:
            began = time.process_time()
            for _ in range(calls):
                await agent.send_message_async(_QUERY)
            return time.process_time() - began

        async def post() -> float:
            began = time.process_time()
            for _ in range(calls):
                (await client.post(f"{url}/v1/chat/completions", content=body)).raise_for_status()
            return time.process_time() - began

        pair = await alternate(rounds, ask, post)
        statistics = mesh.statistics()
        assert statistics.is_balanced
        assert statistics.agents["assistant"].completed == (rounds + 1) * calls
    return pair


async def _body_sent() -> bytes:
    """Return the bytes that the agent sends for the query."""
    with ModelServer() as server:
        async with Mesh("once") as mesh:
            agent = LlmAgent("assistant", _MODEL, base_url=server.openai_url, api_key="key")
            mesh.add(agent)
            await agent.send_message_async(_QUERY)
        return server.requests[-1].body


@contextlib.contextmanager
def _server() -> Iterator[str]:
    """Run a model server in a process of its own; give its URL."""
    command = [sys.executable, "-m", "ceylon.testing.model_server", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:  # noqa: S603 – our own module
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


def _main(rounds: int, calls: int) -> None:
    with _server() as url:
        pair = asyncio.run(_measure(rounds, calls, url))
    sys.stdout.buffer.write(msgspec.json.encode(pair))


if __name__ == "__main__":
    _main(int(sys.argv[1]), int(sys.argv[2]))
