"""Agents whose models call by thoughts, actions and observations in plain words, and the trace that is left."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from ceylon import (
    LlmAgent,
    Mesh,
    Part,
    ReAct,
    ReplyPart,
    TextPart,
    ThinkingPart,
    ToolCall,
    ToolCallPart,
    ToolResultPart,
    action,
    trace_of,
)
from ceylon.errors import ArgumentError, MaxTurnsError
from ceylon.models.port import Abilities
from ceylon.models.trace import Trace, TraceStep
from ceylon.testing import ScriptedModel, check_history
from support.turns import wants

pytestmark = pytest.mark.anyio

NO_TOOLS = Abilities(tools=False, tool_choice=False, output="prompt")
LOOK = 'Thought: I look it up.\nAction: stock\nAction Input: {"sku": "A7"}\nObservation: 99\nFinal Answer: 99'
KNOW = "Thought: Now I know.\nFinal Answer: There are 3."


class Count(msgspec.Struct):
    """How many."""

    number: int


class Shelf(LlmAgent):
    """Knows what there is."""

    @action
    def stock(self, sku: str) -> int:
        """Say how many there are."""
        return {"A7": 3}[sku]


@pytest.fixture
async def mesh() -> AsyncIterator[Mesh]:
    async with Mesh() as mesh:
        yield mesh


def shelf(mesh: Mesh, *steps: Any, **options: Any) -> tuple[Shelf, ScriptedModel]:
    """Return an agent that is answered with *steps*, and its model."""
    model = ScriptedModel(steps, abilities=NO_TOOLS)
    agent = Shelf("shelf", model, react=True, **options)
    mesh.add(agent)
    return agent, model


async def test_the_answer_comes_by_what_the_tool_said_and_not_by_what_the_model_made_up(mesh: Mesh) -> None:
    agent, model = shelf(mesh, LOOK, KNOW)

    reply = await agent.complete("How many A7?")

    assert reply.text == "There are 3."
    assert [turn.text for turn in model.requests[1].turns[-2:]] == [
        'Thought: I look it up.\nAction: stock\nAction Input: {"sku":"A7"}',
        "Observation: 3",
    ]
    assert agent.calls.called == 1
    check_history(reply.turns)


async def test_the_trace_has_thoughts_actions_observations_and_why_it_ended(mesh: Mesh) -> None:
    agent, _ = shelf(mesh, LOOK, KNOW)

    trace = trace_of(await agent.complete("How many A7?"))

    step = TraceStep("I look it up.", "stock", {"sku": "A7"}, "3")
    assert trace == Trace((step,), "Now I know.", "There are 3.", "stop")
    assert str(trace).splitlines() == [
        "Thought: I look it up.",
        "Action: stock",
        'Action Input: {"sku":"A7"}',
        "Observation: 3",
        "Thought: Now I know.",
        "Final Answer: There are 3.",
    ]


async def test_what_cannot_be_called_is_told_back(mesh: Mesh) -> None:
    agent, model = shelf(mesh, "Action: stok\nAction Input: A7", "Action: stock\nAction Input: B2", KNOW)

    trace = trace_of(await agent.complete("How many A7?"))

    assert [step.is_error for step in trace.steps] == [True, True]
    assert [step.arguments for step in trace.steps] == [{}, {"sku": "B2"}]
    assert model.requests[1].turns[-1].text.startswith("Observation: Error: ")
    assert "'stock'" in trace.steps[0].observation
    assert (agent.calls.unknown, agent.calls.failed) == (1, 1)


async def test_a_stream_shows_thoughts_the_call_its_result_and_the_answer(mesh: Mesh) -> None:
    agent, _ = shelf(mesh, LOOK, KNOW)

    parts = [part async for part in agent.parts("How many A7?")]

    kinds = [type(part) for part in parts if isinstance(part, ThinkingPart | ToolCallPart | ToolResultPart | TextPart)]
    assert list(dict.fromkeys(kinds)) == [ThinkingPart, ToolCallPart, ToolResultPart, TextPart]
    assert "".join(part.text for part in parts if isinstance(part, TextPart)) == "There are 3."


async def test_a_value_that_does_not_fit_is_asked_for_again(mesh: Mesh) -> None:
    agent, model = shelf(mesh, LOOK, "Final Answer: three", 'Thought: As JSON.\n{"number": 3}', output=Count)

    reply = await agent.complete("How many A7?")

    assert reply.output == Count(3)
    assert model.requests[2].turns[-1].text.startswith("That answer cannot be used")


async def test_a_model_that_acts_without_end_is_stopped(mesh: Mesh) -> None:
    agent, _ = shelf(mesh, LOOK, LOOK, max_turns=2)

    with pytest.raises(MaxTurnsError):
        await agent.complete("How many A7?")


async def test_a_conversation_goes_on_in_the_form_and_without_it(mesh: Mesh) -> None:
    agent, model = shelf(mesh, LOOK, KNOW, "Final Answer: Yes.", "Sure.")
    chat = agent.conversation("ada")

    await chat.send("How many A7?")
    answer = await chat.send("Sure?")
    agent.with_react(False)  # noqa: FBT003 – the verb's one argument
    plain = await chat.send("Really?")

    assert (answer, plain) == ("Yes.", "Sure.")
    assert "Thought: Now I know.\nFinal Answer: There are 3." in [turn.text for turn in model.requests[2].turns]
    assert not any(turn.calls for request in model.requests for turn in request.turns)
    assert [turn.role for turn in await chat.history()].count("tool") == 1


async def test_several_actions_share_one_thought(mesh: Mesh) -> None:
    twice = 'Thought: Both.\nAction: stock\nAction Input: A7\nAction: stock\nAction Input: "B2"'
    agent, model = shelf(mesh, twice, KNOW)

    trace = trace_of(await agent.complete("How many A7 and B2?"))

    assert [(step.thought, step.arguments) for step in trace.steps] == [("Both.", {"sku": "A7"}), ("", {"sku": "B2"})]
    assert model.requests[1].turns[-1].text.startswith("Observation: stock: 3\nObservation: stock: Error: ")


async def test_a_trace_needs_no_react(mesh: Mesh) -> None:
    model = ScriptedModel([wants(ToolCall("c1", "stock", {"sku": "A7"}), text="I look."), "There are 3."])
    agent = Shelf("plain", model)
    mesh.add(agent)

    trace = trace_of(await agent.complete("How many A7?"))

    assert trace == Trace((TraceStep("I look.", "stock", {"sku": "A7"}, "3"),), "", "There are 3.", "stop")


async def test_how_react_is_asked_for_can_be_set() -> None:
    agent = Shelf("own", ScriptedModel([])).with_react(ReAct(prompt="{tools}"))

    assert agent.build() is agent
    with pytest.raises(ArgumentError, match="react="):
        agent.with_react("yes").build()  # type: ignore[arg-type]  # that is the point


EXAMPLE = """\
The tool:
{tools}

Write like this:

Question: How many B2 are there?
Thought: I have to look it up.
Action: stock
Action Input: {"sku": "B2"}

and when you know it, {answer}:

Thought: I know now.
Final Answer: There are 12 of B2."""


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_the_embedded_model_gets_through_a_turn_of_it(mesh: Mesh) -> None:
    react = ReAct(prompt=EXAMPLE)  # a model as small as this one keeps to the form only where it sees an example
    agent = Shelf("small", "local::smollm2", react=react, temperature=0.0, seed=1, max_tokens=96, max_turns=3)
    mesh.add(agent)
    parts: list[Part] = []

    with contextlib.suppress(MaxTurnsError):  # whether it ever ends is a matter of cleverness
        async for part in agent.parts("How many pieces of A7 are left? Use the tool stock."):
            parts.append(part)  # noqa: PERF401 – what came before the error counts

    calls = [part.call for part in parts if isinstance(part, ToolCallPart)]
    results = [part.result for part in parts if isinstance(part, ToolResultPart)]
    assert calls
    assert [(call.id, call.name) for call in calls] == [(result.id, result.name) for result in results]
    assert not any("Observation:" in part.text for part in parts if isinstance(part, TextPart | ThinkingPart))
    if isinstance(parts[-1], ReplyPart):
        check_history(parts[-1].reply.turns)
        assert len(trace_of(parts[-1].reply).steps) == len(calls)
