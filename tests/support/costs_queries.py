"""What a query of a language model costs, for `costs_program`; the model is scripted and answers at once."""

from typing import Final

from ceylon import LlmAgent, Mesh, Reply, ToolCall, Usage
from ceylon.models.scripted import ScriptedModel

__all__ = ["query", "query_in_parts", "query_with_call"]

_ANSWER: Final = Reply(text="The answer is 4.", usage=Usage(input=20, output=5))
_CALL: Final = Reply(text="", calls=(ToolCall("1", "weather", {"city": "Paris"}),), finish="tool")


async def query(mesh: Mesh, count: int) -> None:
    """Query so often an agent without tools."""
    await _query_often(mesh, count, LlmAgent("speaker", ScriptedModel([_ANSWER] * count)))


async def query_with_call(mesh: Mesh, count: int) -> None:
    """Query so often an agent whose model first calls a function."""

    async def weather(city: str) -> str:
        """Say what the weather is."""
        return city

    await _query_often(mesh, count, LlmAgent("caller", ScriptedModel([_CALL, _ANSWER] * count), tools=[weather]))


async def query_in_parts(mesh: Mesh, count: int) -> None:
    """Take one answer of so many parts."""
    agent = LlmAgent("storyteller", ScriptedModel([["word "] * count]))
    mesh.add(agent)
    async for _ in agent.stream("Tell me a story."):
        pass
    await mesh.stop(agent.name)


async def _query_often(mesh: Mesh, count: int, agent: LlmAgent) -> None:
    mesh.add(agent)
    for _ in range(count):
        await agent.send_message_async("What is 2+2?")
    await mesh.stop(agent.name)
