"""A question for which the model asks for a tool: it is called, its result goes back, the second answer is the last.

The tool is a plain function with a type and a docstring, turned into a schema by whoever takes it.
"""

import importlib
import json
from collections.abc import AsyncGenerator
from typing import Any, Final

from benchmarks.contest import Scenario
from benchmarks.llm import KEY, MESSAGES, MODEL, QUERY, SYSTEM, Ask, Asking, Server, Weather, drop_speed

__all__ = ["llm_tool_call"]

llm_tool_call = Scenario(
    name="llm_tool_call",
    title="CPU of a tool call: two requests and the tool between them",
    size=400,
    quick=20,
    shows="cost",
    unit="ms",
    floor="bare httpx",
    clock="cpu",
    beside=("benchmarks.model_server",),
)
_asking: Final = Asking(llm_tool_call, requests=2)


def get_weather(city: str) -> str:
    """Get the weather in a city."""
    return Weather.report(city)


@_asking.contender("ceylon")
async def ceylon(server: Server) -> AsyncGenerator[Ask, None]:
    """Give the function to the agent."""
    from ceylon import LlmAgent, Mesh

    drop_speed()
    async with Mesh() as mesh:
        model, url = f"openai::{MODEL}", server.openai_url
        agent = LlmAgent("assistant", model, system_prompt=SYSTEM, base_url=url, api_key=KEY, tools=[get_weather])
        mesh.add(agent)

        async def ask() -> Any:
            return await agent.send_message_async(QUERY)

        yield ask
        assert mesh.statistics().is_balanced
    assert Weather.calls


@_asking.contender("bare httpx")
async def httpx_alone(server: Server) -> AsyncGenerator[Ask, None]:
    """Post, call the function that is asked for, post again: the floor."""
    import httpx

    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    function = {"name": "get_weather", "description": "Get the weather in a city.", "parameters": schema}
    question = {"model": MODEL, "tools": [{"type": "function", "function": function}]}
    url = f"{server.openai_url}/chat/completions"
    async with httpx.AsyncClient(headers={"authorization": f"Bearer {KEY}"}) as client:

        async def post(messages: list[Any]) -> Any:
            response = await client.post(url, json={**question, "messages": messages})
            return response.raise_for_status().json()["choices"][0]["message"]

        async def ask() -> Any:
            message = await post(MESSAGES)
            [call] = message["tool_calls"]
            result = get_weather(**json.loads(call["function"]["arguments"]))
            told = {"role": "tool", "tool_call_id": call["id"], "content": result}
            return (await post([*MESSAGES, message, told]))["content"]

        yield ask
    assert Weather.calls


@_asking.contender("openai", share=0.5)
async def openai_client(server: Server) -> AsyncGenerator[Ask, None]:
    """Do by hand what its guide to function calling does."""
    from openai import AsyncOpenAI

    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    function = {"name": "get_weather", "description": "Get the weather in a city.", "parameters": schema}
    tools: Any = [{"type": "function", "function": function}]
    async with AsyncOpenAI(base_url=server.openai_url, api_key=KEY) as client:

        async def ask() -> Any:
            messages: list[Any] = [*MESSAGES]
            completion = await client.chat.completions.create(model=MODEL, messages=messages, tools=tools)
            messages.append(completion.choices[0].message)
            for call in completion.choices[0].message.tool_calls:
                result = get_weather(**json.loads(call.function.arguments))
                messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
            completion = await client.chat.completions.create(model=MODEL, messages=messages, tools=tools)
            return completion.choices[0].message.content

        yield ask


@_asking.contender("pydantic-ai", share=0.15)
async def pydantic_ai(server: Server) -> AsyncGenerator[Ask, None]:
    """Give the function to the agent."""
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    model = OpenAIChatModel(MODEL, provider=OpenAIProvider(base_url=server.openai_url, api_key=KEY))
    async with Agent(model, instructions=SYSTEM, tools=[get_weather]) as agent:

        async def ask() -> Any:
            return (await agent.run(QUERY)).output

        yield ask


@_asking.contender("openai-agents", share=0.15)
async def openai_agents(server: Server) -> AsyncGenerator[Ask, None]:
    """Decorate the function and give it to the agent."""
    from openai import AsyncOpenAI

    library: Any = importlib.import_module("agents")  # type checkers would find a package of our tests
    library.set_tracing_disabled(disabled=True)
    async with AsyncOpenAI(base_url=server.openai_url, api_key=KEY) as client:
        model = library.OpenAIChatCompletionsModel(model=MODEL, openai_client=client)
        tools = [library.function_tool(get_weather)]
        agent = library.Agent(name="assistant", instructions=SYSTEM, model=model, tools=tools)

        async def ask() -> Any:
            return (await library.Runner.run(agent, QUERY)).final_output

        yield ask


@_asking.contender("langgraph", share=0.15)
async def langgraph(server: Server) -> AsyncGenerator[Ask, None]:
    """Give the function to `create_agent`."""
    from langchain.agents import create_agent
    from langchain_openai import ChatOpenAI

    model = ChatOpenAI(model=MODEL, base_url=server.openai_url, api_key=KEY)
    agent = create_agent(model, tools=[get_weather], system_prompt=SYSTEM)

    async def ask() -> Any:
        state = await agent.ainvoke({"messages": [{"role": "user", "content": QUERY}]})
        return state["messages"][-1].content

    yield ask


@_asking.contender("autogen-agentchat", share=0.25)
async def autogen_agentchat(server: Server) -> AsyncGenerator[Ask, None]:
    """Give the function to the agent, and let it reflect on the result, which is its second request."""
    from autogen_agentchat.agents import AssistantAgent
    from autogen_ext.models.openai import OpenAIChatCompletionClient

    client = OpenAIChatCompletionClient(model=MODEL, base_url=server.openai_url, api_key=KEY)

    async def ask() -> Any:
        agent = AssistantAgent(
            "assistant", client, tools=[get_weather], system_message=SYSTEM, reflect_on_tool_use=True
        )
        return (await agent.run(task=QUERY)).messages[-1].content

    yield ask
    await client.close()
