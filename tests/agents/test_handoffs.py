"""Conversations that are handed over: the other agent answers from where the first one stopped, until it hands back."""

from typing import Any

import anyio
import msgspec
import pytest

from ceylon import (
    Agent,
    ArgumentError,
    HandlerError,
    HandoffPart,
    LlmAgent,
    Mesh,
    Reply,
    ReplyPart,
    TextPart,
    ToolCall,
    Turn,
    Usage,
    UsagePart,
    action,
)
from ceylon.errors import InterruptedTurnError, ModelRefusalError
from ceylon.models.scripted import ScriptedModel
from ceylon.models.turns import Request
from ceylon.settings import DEFAULTS
from ceylon.testing import check_history
from support.turns import results, wants


def to(name: str, number: str = "h1", reason: str = "money") -> Reply[Any]:
    return wants(ToolCall(number, f"transfer_to_{name}", {"reason": reason}), text="one moment")


def said(text: str, usage: int = 1) -> Reply[Any]:
    return Reply(text=text, usage=Usage(input=usage, output=usage), cost=usage / 10)


class Bill(msgspec.Struct):
    """What is to be paid."""

    amount: int


def team(mesh: Mesh, front: list[Any], billing: list[Any]) -> tuple[LlmAgent, ScriptedModel, ScriptedModel]:
    """Add two agents that may hand to one another; return the first, and both models."""
    models = ScriptedModel(front, name="scripted::front"), ScriptedModel(billing, name="scripted::billing")
    other = LlmAgent("billing", models[1], system_prompt="You bill.", handoffs=["front"], description="Knows bills.")
    agent = LlmAgent("front", models[0], system_prompt="You greet.", handoffs=[other])
    mesh.add(agent)
    mesh.add(other)
    return agent, *models


async def test_the_model_sees_whom_it_may_hand_to(mesh: Mesh) -> None:
    agent, model, _ = team(mesh, ["hello"], [])
    reply = await agent.complete("hi")

    (tool,) = model.requests[0].tools
    assert (tool.name, tool.description) == ("transfer_to_billing", "Hand the conversation over: Knows bills.")
    assert reply.agent == ""


async def test_the_other_agent_answers_with_the_turns_so_far_and_its_own_instructions(mesh: Mesh) -> None:
    agent, _, model = team(mesh, [to("billing")], [said("You owe 5.")])
    reply = await agent.complete("what do I owe?")

    (request,) = model.requests
    system, *turns = request.turns
    assert system.text == "You bill."
    assert [turn.role for turn in turns] == ["user", "assistant", "tool"]
    assert check_history(turns) == []
    assert (reply.text, reply.agent) == ("You owe 5.", "billing")
    assert results(reply) == ["billing goes on with the conversation."]


async def test_usage_is_rolled_up_once_streamed_or_not(mesh: Mesh) -> None:
    agent, _, _ = team(mesh, [to("billing")] * 2, [said("5", 2)] * 2)
    whole = await agent.complete("what do I owe?")
    parts = [part async for part in agent.parts("what do I owe?")]

    assert isinstance(parts[-1], ReplyPart)
    for reply in (whole, parts[-1].reply):
        assert (reply.usage, reply.requests) == (Usage(input=3, output=3), 2)
        assert reply.cost == pytest.approx(0.3)
    assert sum(part.usage.output for part in parts if isinstance(part, UsagePart)) == 3


async def test_a_stream_says_so_and_goes_on_with_the_others_parts_as_its_own(mesh: Mesh) -> None:
    agent, _, _ = team(mesh, [to("billing")], ["You owe 5."])
    parts = [part async for part in agent.parts("what do I owe?")]

    at = parts.index(HandoffPart("billing", "money"))
    assert [part.text for part in parts[at:] if isinstance(part, TextPart)] == ["You", " owe", " 5."]
    assert isinstance(parts[-1], ReplyPart)
    assert parts[-1].reply.agent == "billing"


async def test_a_kept_conversation_stays_with_the_agent_that_has_it_until_it_hands_back(mesh: Mesh) -> None:
    agent, front, billing = team(mesh, [to("billing"), "Welcome back."], ["You owe 5.", "Still 5.", to("front", "h2")])
    chat = agent.conversation("alice")

    assert await chat.send("what do I owe?") == "You owe 5."
    assert await chat.send("and now?") == "Still 5."
    assert (len(front.requests), len(billing.requests)) == (1, 2)
    reply = await chat.complete("thanks, back please")
    assert (reply.text, reply.agent) == ("Welcome back.", "")
    front.add("Bye.")
    assert await chat.send("bye") == "Bye."

    assert check_history(await chat.history()) == []
    assert check_history(front.requests[-1].turns) == []
    assert await agent.ref.__ceylon_target__.conversation("billing").history() == ()  # type: ignore[union-attr]


async def test_a_conversation_that_is_cleared_begins_with_the_first_agent(mesh: Mesh) -> None:
    agent, _, _ = team(mesh, [to("billing"), "Hello."], ["You owe 5."])
    chat = agent.conversation("alice")
    await chat.send("what do I owe?")
    await chat.clear()

    assert await chat.send("hi") == "Hello."


async def test_other_conversations_stay_where_they_are(mesh: Mesh) -> None:
    agent, _, _ = team(mesh, [to("billing"), "Hello Bob."], ["You owe 5."])
    await agent.conversation("alice").send("what do I owe?")

    assert await agent.conversation("bob").send("hi") == "Hello Bob."


async def test_agents_that_pass_a_question_round_are_stopped(mesh: Mesh) -> None:
    def there(request: Request) -> Any:
        last = request.turns[-1]
        return "I give up." if any(each.is_error for each in last.results) else to("billing", f"a{len(request.turns)}")

    def back(request: Request) -> Any:
        last = request.turns[-1]
        return "I give up." if any(each.is_error for each in last.results) else to("front", f"b{len(request.turns)}")

    agent, front, billing = team(mesh, [there] * 50, [back] * 50)
    reply = await agent.complete("what do I owe?")

    assert reply.text == "I give up."
    assert len(front.requests) + len(billing.requests) == DEFAULTS.model_handoffs + 2
    assert "no more handoffs" in results(reply)[-1]


async def test_a_target_that_is_gone_is_told_to_the_model(mesh: Mesh) -> None:
    agent, model, _ = team(mesh, [to("billing"), "Nobody is there."], [])
    await mesh.stop("billing")
    reply = await agent.complete("what do I owe?")

    assert reply.text == "Nobody is there."
    assert "UnknownAgentError" in model.requests[1].turns[-1].results[0].text
    assert reply.agent == ""


async def test_a_target_that_goes_while_it_is_called_is_told_to_the_model_that_called_it(mesh: Mesh) -> None:
    @action
    async def close() -> None:
        """Close the other office."""
        await mesh.stop("billing")

    mesh.add(LlmAgent("billing", ScriptedModel()))
    calls = (ToolCall("1", "transfer_to_billing"), ToolCall("2", "close"))
    model = ScriptedModel([wants(*calls), "Nobody is there."])
    agent = LlmAgent("front", model, tools=[close], handoffs=["billing"])
    mesh.add(agent)
    chat = agent.conversation("alice")
    reply = await chat.complete("what do I owe?")

    handed, closed = model.requests[1].turns[-1].results
    assert "the handoff failed: UnknownAgentError" in handed.text
    assert (handed.is_error, closed.is_error) == (True, False)
    assert (reply.text, reply.agent, reply.requests) == ("Nobody is there.", "", 2)
    assert check_history(await chat.history()) == []


async def test_a_conversation_whose_agent_has_gone_comes_back(mesh: Mesh) -> None:
    agent, _, _ = team(mesh, [to("billing"), "I have you again."], ["You owe 5."])
    chat = agent.conversation("alice")
    await chat.send("what do I owe?")
    await mesh.stop("billing")

    assert await chat.send("and now?") == "I have you again."
    assert check_history(await chat.history()) == []


async def test_other_calls_of_the_same_answer_are_done_first_and_one_handoff_is_enough(mesh: Mesh) -> None:
    looked: list[int] = []

    @action
    async def look() -> str:
        """Look around."""
        looked.append(1)
        return "seen"

    calls = (ToolCall("1", "transfer_to_billing"), ToolCall("2", "look"), ToolCall("3", "transfer_to_billing"))
    model = ScriptedModel(["You owe 5."])
    mesh.add(LlmAgent("billing", model))
    agent = LlmAgent("front", ScriptedModel([wants(*calls)]), tools=[look], handoffs=["billing"])
    mesh.add(agent)
    reply = await agent.complete("what do I owe?")

    assert looked == [1]
    assert [result.is_error for result in model.requests[0].turns[-1].results] == [False, False, True]
    assert reply.text == "You owe 5."


async def test_the_other_agent_uses_its_own_actions(mesh: Mesh) -> None:
    class Billing(LlmAgent):
        """Knows what is owed."""

        @action
        async def owed(self) -> int:
            """How much is owed."""
            return 5

    mesh.add(Billing("billing", ScriptedModel([wants(ToolCall("1", "owed")), "You owe 5."])))
    agent = LlmAgent("front", ScriptedModel([to("billing")]), handoffs=["billing"])
    mesh.add(agent)
    reply = await agent.complete("what do I owe?")

    assert results(reply)[-1] == "5"
    assert check_history([Turn("user", "what do I owe?"), *reply.turns]) == []


async def test_the_answer_has_the_type_that_was_asked_for(mesh: Mesh) -> None:
    agent, _, model = team(mesh, [to("billing")], ['{"amount": 5}'])
    reply = await agent.complete("what do I owe?", output=Bill)

    assert reply.output == Bill(5)
    assert model.requests[0].output is not None


async def test_the_error_of_the_other_agent_is_that_of_the_answer(mesh: Mesh) -> None:
    agent, _, _ = team(mesh, [to("billing")] * 2, [ModelRefusalError("billing", "no")] * 2)
    with pytest.raises(ModelRefusalError):
        await agent.complete("what do I owe?")
    with pytest.raises(HandlerError) as caught:
        await mesh.ask("front", "what do I owe?")

    assert caught.value.path == ("front", "billing")


async def test_an_interruption_reaches_the_agent_that_has_the_conversation(mesh: Mesh) -> None:
    begun = anyio.Event()

    async def hang(_: Request) -> None:
        begun.set()
        await anyio.sleep_forever()

    agent, _, _ = team(mesh, [to("billing")], [hang, "Stopped."])
    chat = agent.conversation("alice")
    async with anyio.create_task_group() as tasks:

        async def first() -> None:
            with pytest.raises(InterruptedTurnError):
                await chat.send("what do I owe?")

        tasks.start_soon(first)
        await begun.wait()
        assert await chat.send("stop", when="interrupt") == "Stopped."

    history = await chat.history()
    assert [turn.role for turn in history] == ["user", "assistant", "tool", "assistant", "user", "assistant"]
    assert check_history(history) == []


async def test_only_an_agent_with_a_model_can_go_on_with_a_conversation(mesh: Mesh) -> None:
    class Plain(Agent):
        """Has no model."""

    plain = mesh.add(Plain("plain"))
    with pytest.raises(ArgumentError, match="agents with a model"):
        LlmAgent("front", ScriptedModel(), handoffs=[plain]).build()
    with pytest.raises(ArgumentError, match="agents with a model"):
        LlmAgent("front", ScriptedModel()).with_handoffs(print).build()
    agent = LlmAgent("front", ScriptedModel(["never"]), handoffs=["plain"])
    mesh.add(agent)
    with pytest.raises(ArgumentError, match="give it as a tool"):
        await agent.complete("hi")
