"""Language-model agents in the spelling of `ceylonai-next`."""

import asyncio
import json
from typing import Any

import pytest

from ceylon.compat import (
    Agent,
    FunctionalAction,
    InMemoryBackend,
    LlmAgent,
    LlmConfig,
    LocalMesh,
    PyLlmAgent,
    ReActConfig,
)
from ceylon.errors import ModelConfigError, ModelUnavailableError
from ceylon.models.turns import Request, ToolCall
from ceylon.testing import ScriptedModel
from support.compat import echoing_llm


def add(a: int, b: int) -> int:
    return a + b


def test_the_setters_chain_and_stand_alone() -> None:
    model = ScriptedModel(["hi"])
    agent = LlmAgent("llm", model)
    assert agent.with_system_prompt("Be brief.").with_temperature(0.5).with_max_tokens(7).build() is agent

    assert agent.send_message("hello") == "hi"
    request = model.requests[0]
    assert (request.turns[0].text, request.temperature, request.max_tokens) == ("Be brief.", 0.5, 7)


@pytest.mark.parametrize("verb", ["send_message", "send_message_sync", "query"])
def test_an_agent_that_is_not_built_says_so(verb: str) -> None:
    with pytest.raises(RuntimeError, match=r"Call build\(\) first"):
        getattr(LlmAgent("llm", ScriptedModel()), verb)("hello")


async def test_an_agent_that_is_not_built_says_so_to_who_awaits() -> None:
    with pytest.raises(RuntimeError, match=r"Call build\(\) first"):
        await LlmAgent("llm", ScriptedModel()).send_message("hello")


def test_programs_of_both_versions_read_the_answer() -> None:
    agent = echoing_llm()

    async def of_0_3() -> Any:
        return await asyncio.gather(agent.send_message("b"), agent.query("c"))

    async def of_0_1() -> str:
        return f"{await agent.send_message_async('d')} {await agent.query_async('e')}"

    assert f"{agent.send_message('a')}" == "2: a"
    assert asyncio.run(of_0_3()) == ["2: b", "2: c"]
    assert asyncio.run(of_0_1()) == "2: d 4: e"
    assert json.dumps([agent.send_message_sync("f"), agent.send_message("g")]) == '["4: f", "6: g"]'
    assert asyncio.run(agent.send_message("h")) == "8: h"


async def test_a_program_of_0_1_2_prints_an_answer_in_a_coroutine() -> None:
    agent = echoing_llm()
    response = agent.send_message("a")

    assert f"Response: {response}" == "Response: 2: a"
    assert agent.last_response() == "2: a"


def test_a_handler_returns_what_a_model_says(mesh: LocalMesh) -> None:
    model = echoing_llm()

    class Forwarder(Agent):
        def on_message(self, message: Any, context: Any = None) -> Any:
            return model.send_message(message)

    class AsyncForwarder(Agent):
        async def on_message(self, message: Any, context: Any = None) -> Any:
            return await model.send_message(message)

    class HalfAsyncForwarder(Agent):
        async def on_message(self, message: Any, context: Any = None) -> Any:
            return model.send_message(message)

    for kind in (Forwarder, AsyncForwarder, HalfAsyncForwarder):
        mesh.add_agent(kind(kind.__name__))
        assert mesh.query(kind.__name__, "hi").response == "2: hi"


def test_a_model_calls_actions_of_every_kind() -> None:
    def told(request: Request) -> str:
        return "; ".join(result.text for turn in request.turns for result in turn.results)

    calls = [ToolCall(name, name, {"a": 1, "b": 2}) for name in ("add", "plus", "sum", "total")]
    agent = LlmAgent("llm", ScriptedModel([calls, told]))

    @agent.action(description="Add two numbers.")
    async def plus(a: int, b: int) -> int:
        return a + b

    agent.register_action(FunctionalAction(add, "add", "Add two numbers."))
    agent.add_action(FunctionalAction(add, "sum", "Add two numbers.")).add_tool(
        FunctionalAction(add, "total", "Add two numbers.")
    )

    assert agent.build().send_message("What is 1 + 2?") == "3; 3; 3; 3"


def test_an_action_that_comes_late_is_offered_too() -> None:
    model = ScriptedModel(["first", "second"])
    agent = LlmAgent("llm", model).build()

    agent.send_message("a")
    agent.tool_invoker.register(FunctionalAction(add, "add", "Add two numbers."))
    agent.send_message("b")

    assert [[tool.name for tool in request.tools] for request in model.requests] == [[], ["add"]]


def test_a_memory_is_given_to_the_model_as_actions() -> None:
    model = ScriptedModel(["noted"])
    agent = LlmAgent("llm", model, memory=InMemoryBackend()).build()

    agent.send_message("a")

    assert {tool.name for tool in model.requests[0].tools} == {"save_memory", "search_memory"}


def test_reasoning_runs_actions() -> None:
    steps = [
        'Thought: add them\nAction: add\nAction Input: {"a": 1, "b": 2}',
        "Thought: easy\nFinal Answer: 3",
        "plain",
    ]
    agent = LlmAgent("llm", ScriptedModel(steps)).build()
    agent.register_action(FunctionalAction(add, "add", "Add two numbers."))

    with pytest.raises(RuntimeError, match=r"Call with_react\(\) first"):
        agent.send_message_react("What is 1 + 2?")
    result = agent.with_react(ReActConfig().with_max_iterations(4)).send_message_react("What is 1 + 2?")

    assert (result.answer, result.iterations, result.get_steps()[0].observation) == ("3", 2, "3")
    assert agent.send_message("hi") == "plain"


def test_a_configuration_says_what_the_agent_is() -> None:
    config = (
        LlmConfig.builder()
        .provider("ollama")
        .model("gemma3")
        .base_url("http://127.0.0.1:1")
        .temperature(0.5)
        .max_tokens(7)
        .build()
    )

    assert config.options == {
        "model": "ollama::gemma3",
        "base_url": "http://127.0.0.1:1",
        "temperature": 0.5,
        "max_tokens": 7,
    }
    for agent in (LlmAgent("llm", config), PyLlmAgent.with_config("llm", config)):
        assert not agent.is_built()
        assert agent.build().is_built()
        with pytest.raises(RuntimeError, match=r"127\.0\.0\.1:1") as caught:
            agent.send_message("hello")
        assert isinstance(caught.value, ModelUnavailableError)


def test_a_model_nobody_knows_is_a_runtime_error_when_the_agent_is_built() -> None:
    with pytest.raises(RuntimeError, match="'nope'") as caught:
        LlmAgent("llm", "nope::gemma3").build()

    assert isinstance(caught.value, ModelConfigError)


def test_an_agent_knows_the_one_inside() -> None:
    agent = echoing_llm()

    assert agent._agent.is_built()  # noqa: SLF001 – programs reach for it
    assert isinstance(agent, Agent)
    assert repr(agent).startswith("<LlmAgent 'llm'")


def test_a_provider_may_have_the_name_it_had() -> None:
    agents = [LlmAgent("llm", f"{name}::m").with_api_key("k") for name in ("google", "azure-openai", "groq", "xai")]

    assert [repr(agent) for agent in agents] == [
        "<LlmAgent 'llm' 'google::m'>",
        "<LlmAgent 'llm' 'azure::m'>",
        "<LlmAgent 'llm' 'groq::m'>",
        "<LlmAgent 'llm' 'xai::m'>",
    ]
    assert agents[0].build().is_built()
