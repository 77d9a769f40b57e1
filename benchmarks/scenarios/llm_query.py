"""What Ceylon itself takes for a query of a language model: the model is scripted and answers at once.

Plain asks of an agent go in turn with the queries, so that the ratio of both holds on a busy machine too. Reported
beside it are a query whose answer is taken in parts, four words of it, and one whose model calls a function first.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Any

from benchmarks.contest import Run, Scenario

__all__ = ["llm_query"]

llm_query = Scenario(
    name="llm_query",
    title="query of a scripted model, CPU",
    size=8_000,
    quick=800,
    shows="figure",
    unit="µs",
    floor="",
    rounds=5,
)

_TURNS = 8  # in which everything is measured once
_QUERY = "What is 2+2?"


@llm_query.contender("ceylon")
async def ceylon(run: Run) -> None:
    """Ask, and query each way, in turn; then see that nothing was lost."""
    from ceylon import Agent, LlmAgent, Mesh, Message, Reply, ToolCall, Usage, on
    from ceylon.models.scripted import ScriptedModel

    class Number(Message[int]):
        value: int

    class Echo(Agent):
        @on
        async def number(self, number: Number) -> int:
            return number.value

    async def weather(city: str) -> str:
        """Say what the weather is."""
        return f"It is sunny in {city}."

    call = ToolCall("1", "weather", {"city": "Paris"})
    script: dict[str, list[Any]] = {
        "llm_query": [Reply(text="The answer is 4.", usage=Usage(input=20, output=5))],
        "in parts": ["The answer is 4."],
        "with a call": [Reply(text="", calls=(call,), finish="tool"), "It is sunny."],
    }
    models = {name: ScriptedModel(name=f"scripted::{number}") for number, name in enumerate(script)}
    async with Mesh() as mesh:
        echo, message = mesh.add(Echo("echo")), Number(1)
        plain = LlmAgent("plain", models["llm_query"])
        parted = LlmAgent("parted", models["in parts"])
        calling = LlmAgent("calling", models["with a call"], tools=[weather])
        for agent in (plain, parted, calling):
            mesh.add(agent)

        async def in_parts() -> Any:
            return await parted.stream(_QUERY).result()

        ways: dict[str, Callable[[], Awaitable[Any]]] = {
            "ask": lambda: echo.ask(message),
            "llm_query": lambda: plain.send_message_async(_QUERY),
            "in parts": in_parts,
            "with a call": lambda: calling.send_message_async(_QUERY),
        }
        for size in run.passes(_TURNS):
            seconds = dict.fromkeys(ways, 0.0)
            for _ in range(_TURNS):
                for name, way in ways.items():
                    if name in models:
                        models[name].requests.clear()
                        models[name].add(*script[name] * (size // _TURNS))
                    seconds[name] += await _measured(way, size // _TURNS)
            for name, taken in seconds.items():
                run.figure(name, taken / size * 1e6)
            run.figure("a query is … asks", seconds["llm_query"] / seconds["ask"])
        statistics = mesh.statistics()
        assert statistics.is_balanced
        assert all(statistics.agents[name].completed == run.total for name in ("echo", "plain", "parted", "calling"))


async def _measured(way: Callable[[], Awaitable[Any]], count: int) -> float:
    """Return the CPU seconds that *count* of them take, one after the other."""
    began = time.process_time()
    for _ in range(count):
        await way()
    return time.process_time() - began
