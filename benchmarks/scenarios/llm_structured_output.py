"""A question whose answer is an object of a type: the type becomes a schema, the answer is checked against it.

Everybody asks the way that is its default: by a schema for the answer, or by a tool that takes the answer.
"""

import importlib
import json
from collections.abc import AsyncGenerator
from typing import Any, Final

from benchmarks.contest import Scenario
from benchmarks.llm import CITY, KEY, MESSAGES, MODEL, QUERY, SYSTEM, Ask, Asking, Server, drop_speed

__all__ = ["llm_structured_output"]

llm_structured_output = Scenario(
    name="llm_structured_output",
    title="CPU of an LLM call that answers with an object",
    size=800,
    quick=30,
    shows="cost",
    unit="ms",
    floor="bare httpx",
    clock="cpu",
    beside=("benchmarks.model_server",),
)
_asking: Final = Asking(llm_structured_output, expected=CITY)


@_asking.contender("ceylon")
async def ceylon(server: Server) -> AsyncGenerator[Ask, None]:
    """Ask for a struct."""
    import msgspec

    from ceylon import LlmAgent, Mesh

    class City(msgspec.Struct):
        name: str
        districts: int

    drop_speed()
    async with Mesh() as mesh:
        model, url = f"openai::{MODEL}", server.openai_url
        agent = LlmAgent("assistant", model, system_prompt=SYSTEM, base_url=url, api_key=KEY)
        mesh.add(agent)

        async def ask() -> Any:
            city = (await agent.complete(QUERY, output=City)).output
            return city.name, city.districts

        yield ask
        assert mesh.statistics().is_balanced


@_asking.contender("bare httpx")
async def httpx_alone(server: Server) -> AsyncGenerator[Ask, None]:
    """Post with a schema written by hand, decode the text into a struct: the floor."""
    import httpx
    import msgspec

    class City(msgspec.Struct):
        name: str
        districts: int

    decode = msgspec.json.Decoder(City).decode
    properties = {"name": {"type": "string"}, "districts": {"type": "integer"}}
    schema = {"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False}
    wanted = {"type": "json_schema", "json_schema": {"name": "City", "schema": schema, "strict": True}}
    body = json.dumps({"model": MODEL, "messages": MESSAGES, "response_format": wanted}).encode()
    headers = {"content-type": "application/json", "authorization": f"Bearer {KEY}"}
    async with httpx.AsyncClient(headers=headers) as client:

        async def ask() -> Any:
            response = await client.post(f"{server.openai_url}/chat/completions", content=body)
            city = decode(response.raise_for_status().json()["choices"][0]["message"]["content"])
            return city.name, city.districts

        yield ask


@_asking.contender("openai", share=0.5)
async def openai_client(server: Server) -> AsyncGenerator[Ask, None]:
    """Parse the completion into a model."""
    from openai import AsyncOpenAI
    from pydantic import BaseModel

    class City(BaseModel):
        name: str
        districts: int

    async with AsyncOpenAI(base_url=server.openai_url, api_key=KEY) as client:

        async def ask() -> Any:
            completion = await client.chat.completions.parse(model=MODEL, messages=MESSAGES, response_format=City)
            city = completion.choices[0].message.parsed
            return city.name, city.districts

        yield ask


@_asking.contender("pydantic-ai", share=0.15)
async def pydantic_ai(server: Server) -> AsyncGenerator[Ask, None]:
    """Give the agent an output type, which becomes a tool."""
    from pydantic import BaseModel
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    class City(BaseModel):
        name: str
        districts: int

    model = OpenAIChatModel(MODEL, provider=OpenAIProvider(base_url=server.openai_url, api_key=KEY))
    async with Agent(model, instructions=SYSTEM, output_type=City) as agent:

        async def ask() -> Any:
            city = (await agent.run(QUERY)).output
            return city.name, city.districts

        yield ask


@_asking.contender("openai-agents", share=0.2)
async def openai_agents(server: Server) -> AsyncGenerator[Ask, None]:
    """Give the agent an output type."""
    from openai import AsyncOpenAI
    from pydantic import BaseModel

    class City(BaseModel):
        name: str
        districts: int

    library: Any = importlib.import_module("agents")  # type checkers would find a package of our tests
    library.set_tracing_disabled(disabled=True)
    async with AsyncOpenAI(base_url=server.openai_url, api_key=KEY) as client:
        model = library.OpenAIChatCompletionsModel(model=MODEL, openai_client=client)
        agent = library.Agent(name="assistant", instructions=SYSTEM, model=model, output_type=City)

        async def ask() -> Any:
            city = (await library.Runner.run(agent, QUERY)).final_output
            return city.name, city.districts

        yield ask


@_asking.contender("langgraph", share=0.15)
async def langgraph(server: Server) -> AsyncGenerator[Ask, None]:
    """Give `create_agent` a response format; it knows what the model can do."""
    from langchain.agents import create_agent
    from langchain_openai import ChatOpenAI
    from pydantic import BaseModel

    class City(BaseModel):
        name: str
        districts: int

    model = ChatOpenAI(model=MODEL, base_url=server.openai_url, api_key=KEY)
    agent = create_agent(model, system_prompt=SYSTEM, response_format=City)

    async def ask() -> Any:
        state = await agent.ainvoke({"messages": [{"role": "user", "content": QUERY}]})
        city = state["structured_response"]
        return city.name, city.districts

    yield ask


@_asking.contender("autogen-agentchat", share=0.25)
async def autogen_agentchat(server: Server) -> AsyncGenerator[Ask, None]:
    """Give the agent a type for its content."""
    from autogen_agentchat.agents import AssistantAgent
    from autogen_ext.models.openai import OpenAIChatCompletionClient
    from pydantic import BaseModel

    class City(BaseModel):
        name: str
        districts: int

    client = OpenAIChatCompletionClient(model=MODEL, base_url=server.openai_url, api_key=KEY)

    async def ask() -> Any:
        agent = AssistantAgent("assistant", client, system_message=SYSTEM, output_content_type=City)
        city = (await agent.run(task=QUERY)).messages[-1].content
        return city.name, city.districts

    yield ask
    await client.close()
