"""Meshes in the spelling of `ceylonai-next`."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

import ceylon
from ceylon.compat import (
    Agent,
    AsyncMessageProcessor,
    DistributedMesh,
    LlmAgent,
    LlmConfig,
    LocalMesh,
    PyAgent,
    PyDistributedMesh,
    PyInMemoryRegistry,
    PyLocalMesh,
)
from ceylon.errors import BlockingCallError, NotYetError, PayloadError, UnknownAgentError
from ceylon.testing import ScriptedModel
from support.compat import Echo, SlowEcho, echoing_llm


@pytest.fixture
def echo(mesh: LocalMesh) -> Echo:
    mesh.add_agent(made := Echo())
    return made


def test_what_is_sent_has_been_handled_once_messages_are_processed(mesh: LocalMesh, echo: Echo) -> None:
    for word in "abc":
        mesh.send_to("echo", word)

    assert mesh.process_messages() == 3
    assert (echo.heard, echo.last_response()) == (["a", "b", "c"], "echo: c")
    assert mesh.process_messages() == 0


def test_nobody_has_to_process_messages(mesh: LocalMesh) -> None:
    heard = threading.Event()

    class Listener(Agent):
        def on_message(self, message: Any, context: Any = None) -> Any:
            heard.set()

    mesh.add_agent(Listener("listener"))
    mesh.send_to("listener", "hi")

    assert heard.wait(60)


def test_messages_are_text(mesh: LocalMesh, echo: Echo) -> None:
    for payload in (b"bytes", {"a": 1}, None):
        with pytest.raises(PayloadError, match=type(payload).__name__):
            mesh.send_to("echo", payload)  # type: ignore[arg-type]
    mesh.send_to_sync("echo", "text")
    mesh.process_messages()
    assert echo.heard == ["text"]


@pytest.mark.parametrize("verb", ["send_to", "send_to_sync", "submit", "submit_sync", "query", "query_sync"])
def test_sending_to_nobody_is_a_runtime_error(mesh: LocalMesh, echo: Echo, verb: str) -> None:
    with pytest.raises(RuntimeError, match="nobody") as caught:
        getattr(mesh, verb)("nobody", "hi")

    assert isinstance(caught.value, UnknownAgentError)


@pytest.mark.parametrize("verb", ["send_to", "submit", "query"])
async def test_sending_to_nobody_is_told_to_who_awaits_it(mesh: LocalMesh, echo: Echo, verb: str) -> None:
    sent = getattr(mesh, verb)("nobody", "hi")

    with pytest.raises(RuntimeError, match="nobody"):
        await sent


async def test_every_verb_can_be_awaited_where_a_loop_runs(mesh: LocalMesh, echo: Echo) -> None:
    await mesh.send_to("echo", "a")
    request = await mesh.submit("echo", "b")
    result = await mesh.wait_for(request)
    asked = await mesh.query("echo", "c")
    await mesh.submit("echo", "d")
    collected = await mesh.collect_results()

    assert [result.response, asked.response, *(each.response for each in collected)] == [
        "echo: b",
        "echo: c",
        "echo: d",
    ]
    assert echo.heard == ["a", "b", "c", "d"]


def test_asyncio_takes_the_verbs_as_futures(mesh: LocalMesh, echo: Echo) -> None:
    async def ask() -> list[str]:
        done, _ = await asyncio.wait([mesh.query("echo", "a")])
        others = await asyncio.gather(mesh.query("echo", "b"), asyncio.wait_for(mesh.query("echo", "c"), 60))
        return [each.response for each in (*(each.result() for each in done), *others)]

    assert asyncio.run(ask()) == ["echo: a", "echo: b", "echo: c"]


async def test_a_message_that_nobody_awaits_is_sent(mesh: LocalMesh, echo: Echo) -> None:
    mesh.send_to("echo", "a")
    await mesh.query("echo", "b")

    assert echo.heard == ["a", "b"]
    assert mesh.process_messages() == 2


def test_cancelling_a_query_ends_the_request(mesh: LocalMesh) -> None:
    mesh.add_agent(slow := SlowEcho())

    async def give_up() -> None:
        asked = asyncio.ensure_future(mesh.query("slow", "a"))
        while not mesh.has_pending():  # noqa: ASYNC110 – of another loop
            await asyncio.sleep(0)
        asked.cancel()
        while mesh.has_pending():  # noqa: ASYNC110 – likewise
            await asyncio.sleep(0)

    asyncio.run(give_up())
    slow.go.set()
    assert mesh.collect_results_sync() == []


async def test_the_verbs_with_sync_wait_whatever_runs(mesh: LocalMesh, echo: Echo) -> None:
    mesh.send_to_sync("echo", "a")

    assert mesh.query_sync("echo", "b").response == "echo: b"
    assert mesh.wait_for_sync(mesh.submit_sync("echo", "c")).response == "echo: c"
    assert mesh.collect_results_sync() == []


def test_a_verb_that_blocks_refuses_to_stop_its_own_mesh(mesh: LocalMesh, echo: Echo) -> None:
    class Careless(Agent):
        async def on_message(self, message: Any, context: Any = None) -> Any:
            return mesh.query_sync("echo", message).response

    mesh.add_agent(Careless("careless"))

    with pytest.raises(RuntimeError, match="await") as caught:
        _ = mesh.query_sync("careless", "hi")
    assert isinstance(caught.value.__cause__, BlockingCallError)


def test_handlers_send_on(mesh: LocalMesh, echo: Echo) -> None:
    class Relay(Agent):
        def on_message(self, message: Any, context: Any = None) -> Any:
            mesh.send_to("echo", f"told {message}")
            return mesh.query_sync("echo", message).response

    class AsyncRelay(Agent):
        async def on_message(self, message: Any, context: Any = None) -> Any:
            await mesh.send_to("echo", f"told {message}")
            return (await mesh.query("echo", message)).response

    mesh.add_agent(Relay("relay"))
    mesh.add_agent(AsyncRelay("async-relay"))

    assert [mesh.query_sync(name, name).response for name in ("relay", "async-relay")] == [
        "echo: relay",
        "echo: async-relay",
    ]
    assert echo.heard == ["told relay", "relay", "told async-relay", "async-relay"]


def test_a_handler_that_waits_for_itself_is_told(mesh: LocalMesh) -> None:
    class Narcissus(Agent):
        def on_message(self, message: Any, context: Any = None) -> Any:
            return mesh.wait_for_sync(mesh.submit_sync("narcissus", "me")).response

    mesh.add_agent(Narcissus("narcissus"))

    with pytest.raises(RuntimeError, match="narcissus"):
        _ = mesh.query_sync("narcissus", "hi", timeout=20)
    mesh.collect_results_sync()


@pytest.mark.parametrize("leave_out", [None, "second"])
def test_a_broadcast_reaches_all_but_one(mesh: LocalMesh, leave_out: str | None) -> None:
    agents = {name: Echo(name) for name in ("first", "second", "third")}
    for agent in agents.values():
        mesh.add_agent(agent)

    mesh.broadcast("all", leave_out)
    mesh.process_messages()

    assert {name for name, agent in agents.items() if agent.heard == ["all"]} == {*agents} - {leave_out}


async def test_a_broadcast_begins_at_once_where_a_loop_runs(mesh: LocalMesh, echo: Echo) -> None:
    mesh.broadcast("a")
    await mesh.broadcast("b")
    await mesh.query("echo", "c")

    assert echo.heard == ["a", "b", "c"]


def test_a_second_agent_of_one_name_is_a_runtime_error(mesh: LocalMesh, echo: Echo) -> None:
    with pytest.raises(RuntimeError, match="echo"):
        mesh.add_agent(Echo())


def test_what_is_no_agent_of_this_package_is_refused_by_name(mesh: LocalMesh, echo: Echo) -> None:
    for stranger in ("echo", ceylon.Agent("native")):
        with pytest.raises(TypeError, match=r"no agent of `ceylon\.compat`"):
            mesh.add_agent(stranger)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"no `LlmAgent` of `ceylon\.compat`"):
        mesh.add_llm_agent(echo)  # type: ignore[arg-type]
    assert mesh.list_agents() == ["echo"]


def test_one_agent_may_be_in_two_meshes(mesh: LocalMesh, echo: Echo) -> None:
    other = LocalMesh("other")
    other.add_agent(echo)

    assert [each.query_sync("echo", "hi").response for each in (mesh, other)] == ["echo: hi"] * 2
    other.stop()


def test_processors_look_at_one_mailbox(mesh: LocalMesh) -> None:
    slow = SlowEcho()
    processor = mesh.add_agent(slow)
    assert (processor.agent_name, processor.has_pending(), processor.pending_count()) == ("slow", False, 0)

    mesh.send_to("slow", "a")
    mesh.send_to("slow", "b")
    assert (processor.has_pending(), processor.pending_count()) == (True, 2)

    slow.go.set()
    assert (processor.process_pending(), processor.pending_count()) == (2, 0)
    assert mesh.process_messages() == 0


async def test_a_message_processor_is_accepted(mesh: LocalMesh, echo: Echo) -> None:
    async with AsyncMessageProcessor(mesh, interval_ms=50) as processor:
        await mesh.query("echo", "hi")

    assert (processor.mesh, processor.interval) == (mesh, 0.05)
    assert mesh.process_messages() == 1
    await processor.start()
    await processor.stop()


def test_a_model_agent_is_taken_in_once_it_is_built(mesh: LocalMesh) -> None:
    agent = LlmAgent("llm", ScriptedModel(["hi"]))

    with pytest.raises(RuntimeError, match=r"Call build\(\) first"):
        mesh.add_llm_agent(agent)
    assert mesh.add_llm_agent(agent.build()) == "llm"
    assert mesh.query_sync("llm", "hello").response == "hi"


def test_models_in_a_mesh_answer_what_is_asked_together_together(mesh: LocalMesh) -> None:
    mesh.add_llm_agent(echoing_llm())
    ids = [mesh.submit("llm", word) for word in "abc"]

    assert {each.request_id: each.response for each in mesh.collect_results_sync()}.keys() == {*ids}


def test_an_agent_of_0_1_2_may_come_with_its_mesh(mesh: LocalMesh) -> None:
    config = LlmConfig.builder().provider("ollama").model("gemma3").temperature(0.1).max_tokens(5).build()

    agents = [
        LlmAgent(mesh, "first", config),
        LlmAgent(mesh, "second", config=config),
        LlmAgent(mesh, "third", config, None),
    ]

    assert all(agent.is_built() for agent in agents)
    with pytest.raises(RuntimeError, match="first"):
        mesh.register_agent(agents[0])


@pytest.mark.parametrize(
    "make",
    [
        lambda: DistributedMesh("shops", 9000),
        lambda: PyDistributedMesh("shops", 9000),
        lambda: DistributedMesh.with_registry("shops", 9000, PyInMemoryRegistry()),
    ],
)
def test_a_mesh_over_many_machines_says_when_it_comes(make: Callable[[], object]) -> None:
    with pytest.raises(NotYetError, match="later release"):
        make()


def test_a_mesh_may_be_started_and_stopped_at_any_time() -> None:
    mesh = PyLocalMesh("any name at all!")
    assert "0 agents" in repr(mesh)
    mesh.stop()
    mesh.start()
    mesh.start()
    mesh.add_agent(Echo())
    mesh.stop()
    with pytest.raises(RuntimeError, match="closed"):
        mesh.send_to("echo", "hi")
    mesh.stop()


class Lively(Agent):
    """Keeps when it was started and stopped, and in which mesh."""

    def __init__(self, name: str = "lively") -> None:
        super().__init__(name)
        self.said: list[str] = []

    def on_start(self, context: Any) -> None:
        self.said.append(f"start in {context.mesh_name}")

    def on_message(self, message: Any, context: Any = None) -> Any:
        self.said.append(message)

    def on_stop(self) -> None:
        self.said.append("stop")


class AsyncLively(Lively):
    """The same, on the loop."""

    async def on_start(self, context: Any) -> None:  # type: ignore[override]
        Lively.on_start(self, context)

    async def on_message(self, message: Any, context: Any = None) -> Any:
        Lively.on_message(self, message, context)

    async def on_stop(self) -> None:  # type: ignore[override]
        Lively.on_stop(self)


@pytest.mark.parametrize("kind", [Lively, AsyncLively])
def test_an_agent_is_told_of_its_start_and_its_stop(mesh: LocalMesh, kind: type[Lively]) -> None:
    mesh.add_agent(agent := kind())
    mesh.start()
    mesh.send_to("lively", "hi")
    mesh.stop()

    assert agent.said == ["start in market", "hi", "stop"]


async def test_a_mesh_is_stopped_where_a_loop_runs(mesh: LocalMesh) -> None:
    mesh.add_agent(agent := Lively())
    await mesh.send_to("lively", "hi")
    await mesh.stop()

    assert agent.said == ["start in market", "hi", "stop"]


def test_what_the_documentation_calls_by_other_names_is_there() -> None:
    mesh = LocalMesh()
    mesh.register_agent(Echo("a b"))
    mesh.register_agent(echoing_llm())

    assert mesh.list_agents() == ["a b", "llm"]
    assert [mesh.send_message("client", name, "hi") for name in mesh.list_agents()] == ["echo: hi", "2: hi"]
    mesh.stop()


def test_an_agent_of_the_lowest_kind_is_taken_too(mesh: LocalMesh) -> None:
    class Lowest(PyAgent):
        def name(self) -> str:
            return "lowest"

        def on_message(self, message: Any, context: Any = None) -> Any:
            return f"low: {message}"

    mesh.add_agent(agent := Lowest())
    mesh.add_agent(PyAgent())

    assert (mesh.query("lowest", "hi").response, agent.get_last_response()) == ("low: hi",) * 2
    assert mesh.query("agent", "hi").response == "Message received"


def test_an_error_calls_a_message_what_programs_call_it(mesh: LocalMesh) -> None:
    class Careless(Agent):
        def on_message(self, message: Any, context: Any = None) -> Any:
            raise ValueError(message)

    mesh.add_agent(Careless("careless"))

    with pytest.raises(RuntimeError, match="careless failed on Text: ValueError: hello"):
        _ = mesh.query_sync("careless", "hello")
