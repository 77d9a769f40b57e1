"""An answer of a thousand tokens, taken piece by piece as it comes.

Once as fast as it is read, and once with a token each millisecond, as it is with a real model: then each one costs
a wake-up of the loop. The floor takes the same bytes from httpx and decodes each event, without looking at it further.
"""

import importlib
import json
from collections.abc import AsyncGenerator, Callable
from typing import Any, Final

from benchmarks.contest import Scenario
from benchmarks.llm import KEY, MESSAGES, MODEL, QUERY, SYSTEM, TOKENS, Ask, Asking, Opening, Server, drop_speed

__all__ = ["llm_streaming", "llm_streaming_ollama", "llm_streaming_paced"]


def _scenario(name: str, title: str, sizes: tuple[int, int], *options: str) -> Scenario:
    return Scenario(
        name=name,
        title=f"CPU of a token of a streamed answer, {title}",
        size=sizes[0],
        quick=sizes[1],
        shows="cost",
        unit="µs",
        floor="the parser",
        clock="cpu",
        beside=("benchmarks.model_server", *options),
    )


llm_streaming = _scenario("llm_streaming", "as fast as it is read", (20, 2))
llm_streaming_paced = _scenario("llm_streaming_paced", "one each millisecond", (2, 0), "--pace=0.001")
llm_streaming_ollama = _scenario("llm_streaming_ollama", "as fast as it is read, in Ollama’s format", (20, 0))

_ALL: Final = (
    Asking(llm_streaming, expected=TOKENS, count=TOKENS),
    Asking(llm_streaming_paced, expected=TOKENS, count=TOKENS),
)
_OLLAMA: Final = Asking(llm_streaming_ollama, expected=TOKENS, count=TOKENS)


def _contender(name: str, *, share: float = 1.0) -> Callable[[Opening], Opening]:
    def enter(opening: Opening) -> Opening:
        for each in _ALL:
            each.contender(name, share=share)(opening)
        return opening

    return enter


@_contender("the parser")
async def httpx_alone(server: Server) -> AsyncGenerator[Ask, None]:
    """Cut the bytes at the blank lines and decode what each event holds: the parser's floor."""
    import msgspec

    class Delta(msgspec.Struct):
        content: str | None = None

    class Choice(msgspec.Struct):
        delta: Delta

    class Chunk(msgspec.Struct):
        choices: list[Choice]

    decode = msgspec.json.Decoder(Chunk).decode
    url, body = f"{server.openai_url}/chat/completions", {"model": MODEL, "messages": MESSAGES, "stream": True}

    def has_text(event: bytes) -> bool:
        return event != b"data: [DONE]" and bool(decode(event[6:]).choices[0].delta.content)

    async for ask in _read_bytes(url, body, b"\n\n", has_text):
        yield ask


@_contender("ceylon")
async def ceylon(server: Server) -> AsyncGenerator[Ask, None]:
    """Iterate over the text."""
    drop_speed()
    async for ask in _read_ceylon(f"openai::{MODEL}", server.openai_url):
        yield ask


@_contender("ceylon, speed")
async def ceylon_with_speed(server: Server) -> AsyncGenerator[Ask, None]:
    """Do the same with the extra `speed` installed."""
    async for ask in _read_ceylon(f"openai::{MODEL}", server.openai_url):
        yield ask


@_contender("openai", share=0.3)
async def openai_client(server: Server) -> AsyncGenerator[Ask, None]:
    """Iterate over the chunks."""
    from openai import AsyncOpenAI

    async with AsyncOpenAI(base_url=server.openai_url, api_key=KEY) as client:

        async def ask() -> int:
            tokens = 0
            async for chunk in await client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True):
                tokens += bool(chunk.choices[0].delta.content)
            return tokens

        yield ask


@_contender("pydantic-ai", share=0.15)
async def pydantic_ai(server: Server) -> AsyncGenerator[Ask, None]:
    """Iterate over the text; by default it would hold tokens back for a tenth of a second."""
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    model = OpenAIChatModel(MODEL, provider=OpenAIProvider(base_url=server.openai_url, api_key=KEY))
    async with Agent(model, instructions=SYSTEM) as agent:

        async def ask() -> int:
            async with agent.run_stream(QUERY) as result:
                return len([text async for text in result.stream_text(delta=True, debounce_by=None)])

        yield ask


@_contender("openai-agents", share=0.2)
async def openai_agents(server: Server) -> AsyncGenerator[Ask, None]:
    """Iterate over the events and pick the deltas of the text."""
    from openai import AsyncOpenAI
    from openai.types.responses import ResponseTextDeltaEvent

    library: Any = importlib.import_module("agents")  # type checkers would find a package of our tests
    library.set_tracing_disabled(disabled=True)
    async with AsyncOpenAI(base_url=server.openai_url, api_key=KEY) as client:
        model = library.OpenAIChatCompletionsModel(model=MODEL, openai_client=client)
        agent = library.Agent(name="assistant", instructions=SYSTEM, model=model)

        async def ask() -> int:
            tokens = 0
            async for event in library.Runner.run_streamed(agent, input=QUERY).stream_events():
                if event.type == "raw_response_event" and isinstance(event.data, ResponseTextDeltaEvent):
                    tokens += 1
            return tokens

        yield ask


@_contender("langgraph", share=0.15)
async def langgraph(server: Server) -> AsyncGenerator[Ask, None]:
    """Iterate over the graph's messages."""
    from langchain.agents import create_agent
    from langchain_openai import ChatOpenAI

    agent = create_agent(ChatOpenAI(model=MODEL, base_url=server.openai_url, api_key=KEY), system_prompt=SYSTEM)

    async def ask() -> int:
        tokens = 0
        question = {"messages": [{"role": "user", "content": QUERY}]}
        async for message, _ in agent.astream(question, stream_mode="messages"):
            tokens += bool(message.content)
        return tokens

    yield ask


@_contender("autogen-agentchat", share=0.2)
async def autogen_agentchat(server: Server) -> AsyncGenerator[Ask, None]:
    """Iterate over the agent's messages and pick the chunks."""
    from autogen_agentchat.agents import AssistantAgent
    from autogen_agentchat.messages import ModelClientStreamingChunkEvent
    from autogen_ext.models.openai import OpenAIChatCompletionClient

    client = OpenAIChatCompletionClient(model=MODEL, base_url=server.openai_url, api_key=KEY)

    async def ask() -> int:
        agent = AssistantAgent("assistant", client, system_message=SYSTEM, model_client_stream=True)
        stream = agent.run_stream(task=QUERY)
        return len([message async for message in stream if isinstance(message, ModelClientStreamingChunkEvent)])

    yield ask
    await client.close()


@_OLLAMA.contender("the parser")
async def httpx_to_ollama(server: Server) -> AsyncGenerator[Ask, None]:
    """Cut the bytes into lines and decode each: the parser's floor."""
    import msgspec

    class Message(msgspec.Struct):
        content: str

    class Line(msgspec.Struct):
        message: Message

    decode = msgspec.json.Decoder(Line).decode

    def has_text(line: bytes) -> bool:
        return bool(decode(line).message.content)

    async for ask in _read_bytes(f"{server.url}/api/chat", {"model": MODEL, "messages": MESSAGES}, b"\n", has_text):
        yield ask


@_OLLAMA.contender("ceylon")
async def ceylon_to_ollama(server: Server) -> AsyncGenerator[Ask, None]:
    """Iterate over the text."""
    drop_speed()
    async for ask in _read_ceylon(f"ollama::{MODEL}", server.url):
        yield ask


@_OLLAMA.contender("ceylon, speed")
async def ceylon_to_ollama_with_speed(server: Server) -> AsyncGenerator[Ask, None]:
    """Do the same with the extra `speed` installed."""
    async for ask in _read_ceylon(f"ollama::{MODEL}", server.url):
        yield ask


async def _read_bytes(
    url: str, question: dict[str, Any], end: bytes, has_text: Callable[[bytes], bool]
) -> AsyncGenerator[Ask, None]:
    """Count the parts that have a text; each is over at *end*."""
    import httpx

    body = json.dumps(question).encode()
    async with httpx.AsyncClient(headers={"content-type": "application/json"}) as client:

        async def ask() -> int:
            tokens, rest = 0, b""
            async with client.stream("POST", url, content=body) as response:
                async for chunk in response.aiter_raw():
                    *parts, rest = (rest + chunk).split(end)
                    for part in parts:
                        tokens += has_text(part)
            return tokens

        yield ask


async def _read_ceylon(model: str, url: str) -> AsyncGenerator[Ask, None]:
    from ceylon import LlmAgent, Mesh

    async with Mesh() as mesh:
        agent = LlmAgent("assistant", model, system_prompt=SYSTEM, base_url=url, api_key=KEY)
        mesh.add(agent)

        async def ask() -> int:
            return len([text async for text in agent.stream(QUERY)])

        yield ask
        assert mesh.statistics().is_balanced
