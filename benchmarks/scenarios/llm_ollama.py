"""One question in Ollama's format and its whole answer, beside httpx; the rivals speak OpenAI's with an Ollama too."""

import json
from collections.abc import AsyncGenerator
from typing import Any, Final

from benchmarks.contest import Scenario
from benchmarks.llm import MESSAGES, MODEL, Ask, Asking, Server, ask_ceylon, bare_client, drop_speed

__all__ = ["llm_ollama"]

llm_ollama = Scenario(
    name="llm_ollama",
    title="CPU of an LLM call, one after the other, in Ollama’s format",
    size=1_000,
    quick=0,
    shows="cost",
    unit="ms",
    floor="bare httpx",
    clock="cpu",
    beside=("benchmarks.model_server",),
)
_asking: Final = Asking(llm_ollama)


@_asking.contender("bare httpx")
async def httpx_to_ollama(server: Server) -> AsyncGenerator[Ask, None]:
    """Post a body that was encoded once, and look for the text: the floor."""
    async with bare_client(server.callers) as client:
        body = json.dumps({"model": MODEL, "messages": MESSAGES, "stream": False}).encode()

        async def ask() -> Any:
            response = await client.post(f"{server.url}/api/chat", content=body)
            return response.raise_for_status().json()["message"]["content"]

        yield ask


@_asking.contender("ceylon")
async def ceylon_to_ollama(server: Server) -> AsyncGenerator[Ask, None]:
    """Ask an agent in a mesh."""
    drop_speed()
    async for ask in ask_ceylon(f"ollama::{MODEL}", server.url, server.callers):
        yield ask


@_asking.contender("ceylon, speed")
async def ceylon_to_ollama_with_speed(server: Server) -> AsyncGenerator[Ask, None]:
    """Do the same with the extra `speed` installed."""
    async for ask in ask_ceylon(f"ollama::{MODEL}", server.url, server.callers):
        yield ask
