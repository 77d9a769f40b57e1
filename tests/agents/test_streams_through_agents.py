"""A stream through agents that call agents: every part is shown, leaving it ends what is behind, usage counts once."""

from typing import Any

import anyio
import pytest

from ceylon import AgentPart, LlmAgent, Mesh, Ref, Reply, ReplyPart, TextPart, ToolCall, Usage, UsagePart
from ceylon.errors import HopLimitError, ModelTimeoutError
from ceylon.models.scripted import ScriptedModel, Step
from ceylon.settings import DEFAULTS
from ceylon.testing.faults import Fault
from ceylon.testing.model_server import ModelServer
from support.llm import llm


def calling(name: str, usage: int = 1) -> Reply[Any]:
    """Return what a model says that calls the agent *name*."""
    call = ToolCall("1", name, {"query": "go on"})
    return Reply(text="", calls=(call,), finish="tool", usage=Usage(input=usage, output=1), cost=usage / 10)


def chain(mesh: Mesh, *inner: Any, depth: int = 3) -> Ref:
    """Add agents that ask one another, and return the outermost; the innermost gives *inner*."""
    ref = mesh.add(LlmAgent("agent-1", ScriptedModel(inner)))
    for number in range(2, depth + 1):
        steps = [calling(f"agent-{number - 1}"), Reply(text="done", usage=Usage(input=1, output=1), cost=0.1)]
        ref = mesh.add(LlmAgent(f"agent-{number}", ScriptedModel(steps * len(inner)), tools=[ref]))
    return ref


def innermost(part: Any) -> Any:
    return innermost(part.part) if isinstance(part, AgentPart) else part


async def parts_of(ref: Ref) -> list[Any]:
    return [part async for part in ref.stream("go")]


async def test_the_parts_of_an_inner_agent_come_with_the_way_they_took(mesh: Mesh) -> None:
    parts = await parts_of(chain(mesh, "some text"))

    inner = [part for part in parts if isinstance(part, AgentPart) and isinstance(part.part, AgentPart)]
    *texts, usage = [part.part.part for part in inner if isinstance(part.part, AgentPart)]
    assert {(part.agent, getattr(part.part, "agent", "")) for part in inner} == {("agent-2", "agent-1")}
    assert texts == [TextPart("some"), TextPart(" text")]
    assert isinstance(usage, UsagePart)


async def test_usage_and_cost_are_the_same_streamed_or_not_and_counted_once(mesh: Mesh) -> None:
    answer = Reply[Any](text="some text", usage=Usage(input=7, output=2), cost=0.5)
    outermost = chain(mesh, answer, answer)
    agent = mesh.agent("agent-3")
    assert isinstance(agent, LlmAgent)

    last = (await parts_of(outermost))[-1]
    whole = await agent.complete("go")

    assert isinstance(last, ReplyPart)
    assert last.reply == whole
    assert (whole.usage, whole.requests) == (Usage(input=7 + 4, output=2 + 4), 5)
    assert whole.cost == pytest.approx(0.5 + 4 * 0.1)


async def test_leaving_the_stream_ends_the_innermost_request(server: ModelServer, anyio_backend: str) -> None:
    server.fail(Fault(hold_after=2))
    async with Mesh() as mesh:
        inner = mesh.add(llm(server, name="inner"))
        middle = mesh.add(LlmAgent("middle", ScriptedModel([calling("inner")]), tools=[inner]))
        outer = mesh.add(LlmAgent("outer", ScriptedModel([calling("middle")]), tools=[middle]))
        async with outer.stream("go") as parts:
            async for part in parts:
                if isinstance(innermost(part), TextPart):
                    break

        await server.until(lambda: server.clients_left == 1)
        await mesh.drain()
        assert mesh.statistics().agents["inner"].cancelled == 1


async def test_an_inner_failure_is_told_to_the_outer_model(mesh: Mesh) -> None:
    broken = mesh.add(LlmAgent("inner", ScriptedModel([ModelTimeoutError("m", 1.0)])))
    model = ScriptedModel([calling("inner"), "sorry"])
    outer = mesh.add(LlmAgent("outer", model, tools=[broken]))

    assert (await parts_of(outer))[-1].reply.text == "sorry"
    [result] = model.requests[1].turns[-1].results
    assert result.is_error
    assert "did not finish within 1 s" in result.text


async def test_a_part_is_shown_before_the_call_has_ended(mesh: Mesh) -> None:
    gate = anyio.Event()
    inner = mesh.add(LlmAgent("inner", ScriptedModel([calling("slow"), "end"]), tools=[mesh.add(slow(gate))]))
    outer = mesh.add(LlmAgent("outer", ScriptedModel([calling("inner"), "done"]), tools=[inner]))

    async for part in outer.stream("go"):
        if isinstance(part, AgentPart):
            gate.set()  # or the stream would never go on

    assert gate.is_set()


def slow(gate: anyio.Event) -> LlmAgent:
    return LlmAgent("slow", ScriptedModel([Step("at last", gate=gate)]))


async def test_two_agents_whose_models_call_each_other_for_ever_are_ended_by_the_hop_limit(mesh: Mesh) -> None:
    models = [ScriptedModel([calling(name)] * 100) for name in ("second", "first")]
    first, second = LlmAgent("first", models[0]), LlmAgent("second", models[1])
    refs = [mesh.add(first), mesh.add(second)]
    first.with_tools(refs[1])
    second.with_tools(refs[0])

    with pytest.raises(HopLimitError):
        await first.send_message_async("go")

    assert sum(len(model.requests) for model in models) == DEFAULTS.max_hops + 1
