"""What an agent's turns go by is made once, and made anew as soon as anything has changed that it depends on."""

import gc
import weakref
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from ceylon import Agent, LlmAgent, Mesh, ModelTimeoutError, Reply, ToolCall, action
from ceylon.models.scripted import ScriptedModel, Step
from support.llm import plays


def names(model: ScriptedModel) -> list[list[str]]:
    """Return the names of the tools of each request."""
    return [[tool.name for tool in request.tools] for request in model.requests]


class Librarian(LlmAgent):
    """Knows where books are."""

    @action
    async def shelf(self, title: str) -> str:
        """Say where a book stands."""
        return f"{title}: {self.name}'s shelf"


async def one(city: str) -> str:
    """Say one thing."""
    return city


async def two(city: str) -> str:
    """Say another."""
    return city


async def test_equal_queries_share_one_toolbox() -> None:
    model = ScriptedModel(["hello"] * 2)
    agent = Librarian("librarian", model, tools=[one])
    async with Mesh() as mesh:
        mesh.add(agent)
        for _ in range(2):
            await agent.send_message_async("hi")

    first, second = model.requests
    assert first.tools is second.tools


async def test_what_has_been_changed_holds_from_the_next_query_on() -> None:
    model = ScriptedModel(["hello"] * 6)
    other = ScriptedModel(["hello"])
    agent = Librarian("librarian", model, tools=[one])
    async with Mesh() as mesh:
        mesh.add(agent)
        await agent.send_message_async("hi")
        agent.with_tools(two).with_temperature(0.5)
        await agent.send_message_async("hi")
        await agent.complete("hi", tool_choice="two")
        await agent.send_message_async("hi")
        with agent.override(model=other):
            await agent.send_message_async("hi")
        agent.with_system_prompt("Be brief.")
        await agent.send_message_async("hi")

    assert names(model) == [["shelf", "one"], *[["shelf", "two"]] * 4]
    assert [request.tool_choice for request in model.requests] == ["auto", "auto", "two", "auto", "auto"]
    assert [request.temperature for request in model.requests] == [None, 0.5, 0.5, 0.5, 0.5]
    assert [len(request.turns) for request in model.requests] == [1, 1, 1, 1, 2]
    assert names(other) == [["shelf", "two"]]


async def test_an_agent_among_the_tools_is_looked_at_each_time() -> None:
    class First(Agent):
        @action
        def begin(self) -> int:
            """Begin."""
            return 1

    class Second(Agent):
        @action
        def end(self) -> int:
            """End."""
            return 1

    model = ScriptedModel(["hello"] * 2)
    async with Mesh() as mesh:
        ref = mesh.add(First("worker"))
        agent = LlmAgent("chief", model, tools=[ref])
        mesh.add(agent)
        await agent.send_message_async("hi")
        await mesh.stop("worker")
        mesh.add(Second("worker"))
        await agent.send_message_async("hi")

    assert names(model) == [["begin"], ["end"]]


async def test_a_rebuilt_agent_calls_its_own_actions(anyio_backend: str) -> None:
    call = Reply(text="", calls=(ToolCall("1", "shelf", {"title": "Ulysses"}),), finish="tool")
    model = ScriptedModel([call, "there"] * 2)
    async with Mesh() as mesh:
        for name in ("ada", "bob"):
            agent = Librarian(name, model)
            mesh.add(agent)
            await agent.send_message_async("Where is Ulysses?")

    told = [turn.results[0].text for request in model.requests for turn in request.turns if turn.results]
    assert told == ["Ulysses: ada's shelf", "Ulysses: bob's shelf"]


def test_what_is_kept_does_not_hold_the_agent() -> None:
    agent = Librarian("librarian", ScriptedModel(["hello"]), tools=[one])
    toolbox = agent._plans._find_toolbox  # noqa: SLF001 – a mesh would hold the agent for a moment, at its own time

    class Nothing:
        actions = ()

    agent._plans._settings, agent._plans._actions = agent._setup.settings, agent.actions  # noqa: SLF001 – as above
    assert toolbox(agent, agent._setup.settings, Nothing(), None) is not None  # type: ignore[arg-type]  # noqa: SLF001
    gone = weakref.ref(agent)
    gc.collect()
    gc.disable()
    try:
        del agent, toolbox
        assert gone() is None
    finally:
        gc.enable()


async def test_a_handler_goes_on_after_a_turn_that_took_too_long(anyio_backend: str) -> None:
    never = anyio.Event()

    class Patient(LlmAgent):
        async def on_message(self, message: Any, context: Any) -> Any:
            try:
                return await super().on_message(message, context)
            except ModelTimeoutError:
                await anyio.lowlevel.checkpoint()
                return "later"

    async with Mesh() as mesh:
        patient = mesh.add(Patient("patient", ScriptedModel([Step("late", gate=never)]), timeout=0.05))
        assert await patient.ask("hi") == "later"
        assert mesh.statistics().agents["patient"].failed == 0


async def test_plain_answers_still_come_whole_and_counted() -> None:
    agent = plays("one", ["two ", "words"], Reply(text="three"))
    async with Mesh() as mesh:
        mesh.add(agent)
        replies = [await agent.complete("hi") for _ in range(3)]

    assert [reply.text for reply in replies] == ["one", "two words", "three"]
    assert all(reply.requests == 1 and reply.turns[-1].text == reply.text for reply in replies)


async def test_a_model_whose_time_is_over_puts_away_what_it_used(anyio_backend: str) -> None:
    """Behind a shield, however long that takes, and for an agent that has nothing to be called, too."""
    put_away: list[str] = []

    async def work() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.15)  # longer than a task is let be that takes no notice of its cancellation
                put_away.append("a connection")

    agent = LlmAgent("tutor", ScriptedModel([Step("late", gate=work)]), timeout=0.02)
    async with Mesh() as mesh:
        mesh.add(agent)
        with pytest.raises(ModelTimeoutError):
            await agent.complete("hi")

    assert put_away == ["a connection"]
