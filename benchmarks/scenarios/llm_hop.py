"""How much later the first piece of an answer comes for each agent that it comes through.

An agent's model calls another agent, whose model calls the next; the innermost answers with text. The models are
scripted, so what is measured is the way: messages, calls and parts. A hop is a fourth of the difference between one
agent and five.
"""

import time
from typing import Any

from benchmarks.contest import Run, Scenario

__all__ = ["llm_hop"]

llm_hop = Scenario(
    name="llm_hop",
    title="first part of an answer, through one more agent",
    size=300,
    quick=20,
    shows="figure",
    unit="ms",
    floor="",
    rounds=5,
)


async def _seconds(agents: int, size: int) -> float:
    """Return the seconds to the first text through so many agents, the mean of *size* answers."""
    from ceylon import AgentPart, LlmAgent, Mesh, Reply, TextPart, ToolCall
    from ceylon.models.scripted import ScriptedModel

    def inmost(part: Any) -> Any:
        return inmost(part.part) if isinstance(part, AgentPart) else part

    seconds = 0.0
    async with Mesh() as mesh:
        ref = mesh.add(LlmAgent("agent-1", ScriptedModel(["some text"] * size)))
        for number in range(2, agents + 1):
            calls = (ToolCall("1", f"agent-{number - 1}", {"query": "go on"}),)
            steps: list[Any] = [Reply(text="", calls=calls, finish="tool"), "done"] * size
            ref = mesh.add(LlmAgent(f"agent-{number}", ScriptedModel(steps), tools=[ref]))
        for _ in range(size):
            began = time.perf_counter()
            is_first = True
            async for part in ref.stream("go"):
                if is_first and isinstance(inmost(part), TextPart):
                    seconds += time.perf_counter() - began
                    is_first = False
            assert not is_first
        assert mesh.statistics().is_balanced
    return seconds / size


@llm_hop.contender("ceylon")
async def ceylon(run: Run) -> None:
    """Measure both lengths."""
    one = five = 0.0
    for size in run.passes():
        one, five = await _seconds(1, size), await _seconds(5, size)
    run.figure("llm_hop", (five - one) / 4 * 1e3)
