"""One question to a language model over HTTP and its whole answer: one after the other, 50 and 500 at the same time.

The server answers at once, so that what is left is the caller's own work; or after 50 ms, as the fastest models do.
"""

import importlib
import json
from collections.abc import AsyncGenerator, Callable
from typing import Any, Final

from benchmarks.contest import Scenario
from benchmarks.llm import (
    KEY,
    MESSAGES,
    MODEL,
    QUERY,
    SYSTEM,
    Ask,
    Asking,
    Opening,
    Server,
    ask_ceylon,
    bare_client,
    drop_speed,
)

__all__ = [
    "llm_in_flight_50",
    "llm_in_flight_50_after_50_ms",
    "llm_in_flight_500",
    "llm_in_flight_500_after_50_ms",
    "llm_sequential",
    "llm_sequential_after_50_ms",
]


def _at_once(name: str, title: str, size: int, quick: int) -> Scenario:
    return Scenario(
        name=name,
        title=f"CPU of an LLM call, {title}",
        size=size,
        quick=quick,
        shows="cost",
        unit="ms",
        floor="bare httpx",
        clock="cpu",
        beside=("benchmarks.model_server",),
    )


def _after_50_ms(name: str, title: str, size: int) -> Scenario:
    return Scenario(
        name=name,
        title=f"wall time of an LLM call whose answer takes 50 ms, {title}",
        size=size,
        quick=0,
        shows="cost",
        unit="ms",
        floor="bare httpx",
        clock="wall",
        beside=("benchmarks.model_server", "--latency=0.05"),
    )


llm_sequential = _at_once("llm_sequential", "one after the other", 1_000, 50)
llm_in_flight_50 = _at_once("llm_in_flight_50", "50 in flight", 1_500, 100)
llm_in_flight_500 = _at_once("llm_in_flight_500", "500 in flight", 1_500, 0)
llm_sequential_after_50_ms = _after_50_ms("llm_sequential_after_50_ms", "one after the other", 20)
llm_in_flight_50_after_50_ms = _after_50_ms("llm_in_flight_50_after_50_ms", "50 in flight", 1_000)
llm_in_flight_500_after_50_ms = _after_50_ms("llm_in_flight_500_after_50_ms", "500 in flight", 1_500)

_ALL: Final = (
    Asking(llm_sequential),
    Asking(llm_in_flight_50, 50),
    Asking(llm_in_flight_500, 500),
    Asking(llm_sequential_after_50_ms),
    Asking(llm_in_flight_50_after_50_ms, 50),
    Asking(llm_in_flight_500_after_50_ms, 500),
)


def _contender(name: str, *, share: float = 1.0) -> Callable[[Opening], Opening]:
    def enter(opening: Opening) -> Opening:
        for each in _ALL:
            each.contender(name, share=share)(opening)
        return opening

    return enter


@_contender("bare httpx", share=0.7)
async def httpx_alone(server: Server) -> AsyncGenerator[Ask, None]:
    """Post a body that was encoded once, and look for the text: the floor."""
    async with bare_client(server.callers) as client:
        body = json.dumps({"model": MODEL, "messages": MESSAGES}).encode()

        async def ask() -> Any:
            response = await client.post(f"{server.openai_url}/chat/completions", content=body)
            return response.raise_for_status().json()["choices"][0]["message"]["content"]

        yield ask


@_contender("ceylon")
async def ceylon(server: Server) -> AsyncGenerator[Ask, None]:
    """Ask an agent in a mesh that may answer as many at a time as ask."""
    drop_speed()
    async for ask in ask_ceylon(f"openai::{MODEL}", server.openai_url, server.callers):
        yield ask


@_contender("ceylon, speed")
async def ceylon_with_speed(server: Server) -> AsyncGenerator[Ask, None]:
    """Do the same with the extra `speed` installed."""
    async for ask in ask_ceylon(f"openai::{MODEL}", server.openai_url, server.callers):
        yield ask


@_contender("bare aiohttp")
async def aiohttp_alone(server: Server) -> AsyncGenerator[Ask, None]:
    """Do what the floor does with a client whose parser is compiled: nobody's floor, but good to know."""
    import aiohttp

    body = json.dumps({"model": MODEL, "messages": MESSAGES}).encode()
    headers = {"content-type": "application/json", "authorization": f"Bearer {KEY}"}
    connector = aiohttp.TCPConnector(limit=max(100, server.callers))
    async with aiohttp.ClientSession(headers=headers, connector=connector) as client:

        async def ask() -> Any:
            async with client.post(f"{server.openai_url}/chat/completions", data=body) as response:
                response.raise_for_status()
                return (await response.json())["choices"][0]["message"]["content"]

        yield ask


@_contender("openai", share=0.5)
async def openai_client(server: Server) -> AsyncGenerator[Ask, None]:
    """Create a completion."""
    async for ask in _create_completion(server):
        yield ask


@_contender("openai, aiohttp", share=0.5)
async def openai_client_with_aiohttp(server: Server) -> AsyncGenerator[Ask, None]:
    """Do the same over the client that its documentation names for many at a time."""
    from openai import DefaultAioHttpClient

    async for ask in _create_completion(server, http_client=DefaultAioHttpClient()):
        yield ask


@_contender("pydantic-ai", share=0.2)
async def pydantic_ai(server: Server) -> AsyncGenerator[Ask, None]:
    """Run an agent."""
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    model = OpenAIChatModel(MODEL, provider=OpenAIProvider(base_url=server.openai_url, api_key=KEY))
    async with Agent(model, instructions=SYSTEM) as agent:

        async def ask() -> Any:
            return (await agent.run(QUERY)).output

        yield ask


@_contender("openai-agents", share=0.3)
async def openai_agents(server: Server) -> AsyncGenerator[Ask, None]:
    """Run an agent over chat completions; tracing, which wants OpenAI's own server, is off."""
    from openai import AsyncOpenAI

    library: Any = importlib.import_module("agents")  # type checkers would find a package of our tests
    library.set_tracing_disabled(disabled=True)
    async with AsyncOpenAI(base_url=server.openai_url, api_key=KEY) as client:
        model = library.OpenAIChatCompletionsModel(model=MODEL, openai_client=client)
        agent = library.Agent(name="assistant", instructions=SYSTEM, model=model)

        async def ask() -> Any:
            return (await library.Runner.run(agent, QUERY)).final_output

        yield ask


@_contender("langgraph", share=0.3)
async def langgraph(server: Server) -> AsyncGenerator[Ask, None]:
    """Invoke the graph that `create_agent` makes."""
    from langchain.agents import create_agent
    from langchain_openai import ChatOpenAI

    agent = create_agent(ChatOpenAI(model=MODEL, base_url=server.openai_url, api_key=KEY), system_prompt=SYSTEM)

    async def ask() -> Any:
        state = await agent.ainvoke({"messages": [{"role": "user", "content": QUERY}]})
        return state["messages"][-1].content

    yield ask


@_contender("autogen-agentchat", share=0.4)
async def autogen_agentchat(server: Server) -> AsyncGenerator[Ask, None]:
    """Run an agent; each question has its own, which remembers everything and may not be used by two at a time."""
    from autogen_agentchat.agents import AssistantAgent
    from autogen_ext.models.openai import OpenAIChatCompletionClient

    client = OpenAIChatCompletionClient(model=MODEL, base_url=server.openai_url, api_key=KEY)

    async def ask() -> Any:
        result = await AssistantAgent("assistant", client, system_message=SYSTEM).run(task=QUERY)
        return result.messages[-1].content

    yield ask
    await client.close()


async def _create_completion(server: Server, **client_options: Any) -> AsyncGenerator[Ask, None]:
    from openai import AsyncOpenAI

    async with AsyncOpenAI(base_url=server.openai_url, api_key=KEY, **client_options) as client:

        async def ask() -> Any:
            completion = await client.chat.completions.create(model=MODEL, messages=MESSAGES)
            return completion.choices[0].message.content

        yield ask
