"""No real model is used where none may be, and an agent speaks with another for a while."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from ceylon import BlockingMesh, HandlerError, LlmAgent, Mesh, ModelConfigError
from ceylon.models.http import HttpClient
from ceylon.models.openai import OpenAIModel
from ceylon.models.scripted import ScriptedModel
from ceylon.models.turns import Request, Turn
from ceylon.testing import BlockedModelError, block_models, record
from ceylon.testing.model_server import ModelServer
from support.llm import llm


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelServer]:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with ModelServer() as server:
        yield server


REAL = ["openai::gpt-4.1-mini", "ollama::gemma3", "local::smollm2", "auto"]


@pytest.mark.parametrize("model", REAL)
async def test_a_real_model_is_refused_by_name(model: str) -> None:
    with block_models():
        async with Mesh() as mesh:
            tutor = mesh.add(LlmAgent("tutor", model))
            with pytest.raises(HandlerError) as caught:
                await tutor.ask("hi")

    assert isinstance(caught.value.root, BlockedModelError)
    assert "is real; `block_models()` is in force" in str(caught.value.root)


async def test_an_agent_that_has_spoken_before_is_refused_too(server: ModelServer) -> None:
    async with Mesh() as mesh:
        mesh.add(agent := llm(server))
        assert await agent.send_message_async("hi") == "echo: hi"
        with block_models(), pytest.raises(BlockedModelError):
            await agent.send_message_async("hi")
        assert await agent.send_message_async("hi") == "echo: hi"
    assert len(server.requests) == 2


async def test_a_session_that_is_open_already_sends_nothing(server: ModelServer) -> None:
    async with HttpClient() as client:
        session = await OpenAIModel(model="test-model", base_url=server.openai_url).open(client)
        with block_models(), pytest.raises(BlockedModelError, match="the model server at http://"):
            await session.complete(Request(turns=(Turn("user", "hi"),), timeout=5.0))
    assert not server.requests


async def test_a_scripted_model_and_a_replay_go_on_working(tmp_path: Path, server: ModelServer) -> None:
    path = tmp_path / "tea.cassette"
    agent = llm(server)
    async with Mesh() as mesh:
        mesh.add(agent)
        mesh.add(scripted := LlmAgent("scripted", ScriptedModel(["hello"])))
        with record(path):
            await agent.send_message_async("hi")
        with block_models():
            assert await scripted.send_message_async("hi") == "hello"
            with record(path):
                assert await agent.send_message_async("hi") == "echo: hi"
    assert len(server.requests) == 1


async def test_recording_a_real_model_is_refused(tmp_path: Path, server: ModelServer) -> None:
    with block_models(), pytest.raises(BlockedModelError), record(tmp_path / "tea.cassette"):
        async with Mesh() as mesh:
            mesh.add(agent := llm(server))
            await agent.send_message_async("hi")


def test_a_call_alone_blocks_until_it_is_lifted() -> None:
    block = block_models()
    try:
        with pytest.raises(BlockedModelError):
            LlmAgent("tutor", "openai::gpt-4.1-mini", api_key="sk-none").build()
    finally:
        block.lift()
    block.lift()
    LlmAgent("tutor", "openai::gpt-4.1-mini", api_key="sk-none").build()


# -- override ----------------------------------------------------------------------------------------------------------


async def test_an_overridden_agent_needs_no_key_and_is_itself_again_afterwards(server: ModelServer) -> None:
    async with Mesh() as mesh:
        mesh.add(agent := llm(server))
        with agent.override(model=ScriptedModel(["scripted"])) as same:
            assert same is agent
            assert agent.model == "scripted::model"
            assert await agent.send_message_async("hi") == "scripted"
        assert await agent.send_message_async("hi") == "echo: hi"
        mesh.add(keyless := LlmAgent("keyless", "openai::gpt-4.1-mini"))
        with keyless.override(model=ScriptedModel(["no key"])):
            assert await keyless.send_message_async("hi") == "no key"
        with pytest.raises(ModelConfigError):
            await keyless.send_message_async("hi")


async def test_all_tasks_that_use_the_agent_get_the_override() -> None:
    agent = LlmAgent("tutor", ScriptedModel([]))
    heard: list[str] = []

    async def ask(number: int) -> None:
        heard.append(await agent.send_message_async(str(number)))

    async with Mesh() as mesh:
        mesh.add(agent)
        with agent.override(model=ScriptedModel([lambda request: request.turns[-1].text] * 20)):
            async with anyio.create_task_group() as group:
                for number in range(20):
                    group.start_soon(ask, number)
    assert sorted(heard, key=int) == [str(number) for number in range(20)]


@pytest.mark.parametrize("home", ["a mesh on a thread", "the default mesh"])
def test_other_threads_get_the_override_too(home: str) -> None:
    agent = LlmAgent("tutor", ScriptedModel([]))
    heard: list[str] = []
    with BlockingMesh() as mesh:
        if home == "a mesh on a thread":
            mesh.add(agent)
        with agent.override(model=ScriptedModel(["1", "2"])):
            thread = threading.Thread(target=lambda: heard.append(agent.send_message("hi")))
            thread.start()
            heard.append(agent.send_message("hi"))
            thread.join()
    assert sorted(heard) == ["1", "2"]


async def test_overrides_nest_and_the_last_one_counts() -> None:
    async with Mesh() as mesh:
        mesh.add(agent := LlmAgent("tutor", ScriptedModel(["0"])))
        with agent.override(model=ScriptedModel(["1"])):
            with agent.override(model=ScriptedModel(["2"])):
                assert await agent.send_message_async("hi") == "2"
            assert await agent.send_message_async("hi") == "1"
        assert await agent.send_message_async("hi") == "0"


async def test_an_override_ends_with_its_block_also_when_that_fails() -> None:
    agent = LlmAgent("tutor", ScriptedModel(["0"]))
    with pytest.raises(ZeroDivisionError), agent.override(model=ScriptedModel(["1"])):
        _ = 1 / 0
    with pytest.raises(ModelConfigError), agent.override(model="nobody::knows"):
        pass
    async with Mesh() as mesh:
        mesh.add(agent)
        assert await agent.send_message_async("hi") == "0"


async def test_an_override_is_recorded_like_any_model(tmp_path: Path) -> None:
    def overridden(*answers: Any) -> Callable[[], Any]:
        return lambda: agent.override(model=ScriptedModel(answers))

    agent = LlmAgent("tutor", "openai::gpt-4.1-mini")
    async with Mesh() as mesh:
        mesh.add(agent)
        for override in (overridden("kept"), overridden()):
            with record(tmp_path / "tea.cassette"), override():
                assert await agent.send_message_async("hi") == "kept"
