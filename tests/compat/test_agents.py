"""Agents in the spelling of `ceylonai-next`."""

import asyncio
from typing import Any

import pytest

from ceylon.compat import Agent, LlmAgent, LocalMesh, PyAgent, PyAgentContext, PyAgentMetadata, PyInMemoryRegistry
from ceylon.compat.seats import address_for
from ceylon.testing import ScriptedModel
from support.compat import Echo, echoing_llm, retold


class AsyncEcho(Agent):
    """Says what it hears, after a moment, and on which loop."""

    def __init__(self, name: str = "echo") -> None:
        super().__init__(name)
        self.loops: list[Any] = []

    async def on_message(self, message: Any, context: PyAgentContext | None = None) -> str:
        self.loops.append(asyncio.get_running_loop())
        await asyncio.sleep(0)
        return f"echo: {message}"


class Calculator(Agent):
    """Has actions of its class."""

    def __init__(self, name: str = "calculator", plus: int = 0) -> None:
        super().__init__(name)
        self.plus = plus

    @Agent.action(name="add")
    def sum_up(self, a: int, b: int) -> int:
        """Add two numbers."""
        return a + b + self.plus

    @Agent.action()
    async def double(self, a: int) -> int:
        return 2 * a


def test_a_name_is_a_method() -> None:
    assert (Agent("shop").name(), Agent().name(), PyAgent().name()) == ("shop", "agent", "agent")


def test_an_agent_that_says_nothing_has_received_the_message() -> None:
    agent = Agent("shop")

    assert (agent.send_message("hi"), agent.last_response()) == ("Message received", None)


def test_a_message_is_handled_here_and_now_by_an_agent_in_no_mesh() -> None:
    agent = Echo()

    assert (agent.send_message("hi"), agent.last_response(), agent.get_last_response()) == ("echo: hi",) * 3
    assert isinstance(agent.contexts[0], PyAgentContext)
    assert agent.contexts[0].mesh_name == "python"


async def test_a_plain_handler_answers_at_once_where_a_loop_runs() -> None:
    assert Echo().send_message("hi") == "echo: hi"


def test_an_error_of_a_handler_is_raised_as_it_is(mesh: LocalMesh) -> None:
    class Broken(Agent):
        def on_message(self, message: Any, context: Any = None) -> Any:
            raise LookupError(message)

    with pytest.raises(LookupError, match="alone"):
        Broken().send_message("alone")
    mesh.add_agent(agent := Broken("broken"))
    with pytest.raises(LookupError, match="in a mesh"):
        agent.send_message("in a mesh")


def test_an_agent_in_a_mesh_takes_a_message_in_its_turn_there(mesh: LocalMesh) -> None:
    mesh.add_agent(agent := Echo())

    assert (agent.send_message("hi"), agent.last_response()) == ("echo: hi",) * 2
    assert agent.contexts[0].mesh_name == "market"


def test_an_async_handler_answers_a_script_and_a_coroutine_alike() -> None:
    agent = AsyncEcho()

    async def ask() -> str:
        return str(await agent.send_message("b"))

    assert [agent.send_message("a"), asyncio.run(ask()), asyncio.run(agent.send_message("c"))] == [
        "echo: a",
        "echo: b",
        "echo: c",
    ]
    assert agent.last_response() == "echo: c"


def test_a_plain_handler_may_return_what_is_to_be_awaited(mesh: LocalMesh) -> None:
    class Hidden(AsyncEcho):
        def on_message(self, message: Any, context: Any = None) -> Any:
            return AsyncEcho.on_message(self, message, context)

    mesh.add_agent(agent := Hidden())

    assert (mesh.query_sync("echo", "hi").response, agent.last_response()) == ("echo: hi",) * 2


def test_async_handlers_share_one_loop(mesh: LocalMesh) -> None:
    first, second = AsyncEcho("first"), AsyncEcho("second")
    mesh.add_agent(first)
    mesh.add_agent(second)

    for agent in (first, second, first):
        assert agent.send_message("hi") == "echo: hi"

    assert len({*first.loops, *second.loops}) == 1


def test_agents_may_ask_each_other_in_a_circle(mesh: LocalMesh) -> None:
    class Countdown(Agent):
        other: "Countdown"

        def on_message(self, message: Any, context: Any = None) -> Any:
            return "done" if message == "0" else self.other.send_message(str(int(message) - 1))

    left, right = Countdown("left"), Countdown("right")
    left.other, right.other = right, left
    mesh.add_agent(left)
    mesh.add_agent(right)

    assert (left.send_message("5"), mesh.query_sync("right", "4").response) == ("done", "done")


def test_a_function_becomes_an_action_by_the_decorator_of_an_instance() -> None:
    agent = Agent("calculator")

    @agent.action(description="Add two numbers.")
    def add(a: int, b: int) -> int:
        return a + b

    assert add(1, 2) == 3
    assert (agent.tool_invoker.invoke("add", '{"a": 1, "b": 2}'), agent.act("add", {"a": 1, "b": 2})) == ('"3"', '"3"')


def test_a_method_becomes_an_action_by_the_decorator_of_the_class() -> None:
    agent, other = Calculator(), Calculator("other", plus=10)

    assert [each.act("add", {"a": 1, "b": 2}) for each in (agent, other)] == ['"3"', '"13"']
    assert agent.act("double", {"a": 4}) == '"8"'
    assert agent.sum_up(1, 2) == 3


def test_an_action_that_is_not_there_is_a_runtime_error() -> None:
    with pytest.raises(RuntimeError, match="subtract"):
        Calculator().act("subtract", {})


def test_an_action_of_a_model_is_one_of_the_agent_too() -> None:
    agent = echoing_llm()

    @agent.action(description="Add two numbers.")
    def add(a: int, b: int) -> int:
        return a + b

    assert agent.act("add", {"a": 1, "b": 2}) == '"3"'


def test_an_agent_needs_no_constructor_of_its_base() -> None:
    class Bare(Agent):
        def __init__(self) -> None:
            pass

    bare = Bare()
    bare.action()(len)

    assert (bare.name(), bare.last_response(), bare.send_message("hi")) == ("agent", None, "Message received")


@pytest.mark.parametrize("name", ["bad name!", "", "a/b", "ä", "x" * 200])
def test_an_agent_may_have_any_name(mesh: LocalMesh, name: str) -> None:
    mesh.add_agent(Echo(name))

    assert mesh.query_sync(name, "hi").response == "echo: hi"
    assert mesh.query_sync(name, "hi").target == name


def test_names_that_no_mesh_takes_stay_apart() -> None:
    assert address_for("shop") == "shop"
    assert len({address_for(name) for name in ("a b", "a  b", "a/b", "a_b", "")}) == 5


def test_a_language_model_with_its_own_handler_is_asked_by_that(mesh: LocalMesh) -> None:
    class Polite(LlmAgent):
        def on_message(self, message: Any, context: Any = None) -> Any:
            return f"please: {self.send_message(message)}"

    mesh.add_agent(Polite("polite", ScriptedModel([retold])).build())

    assert mesh.query_sync("polite", "hi").response == "please: 2: hi"


def test_a_registry_finds_what_was_registered() -> None:
    registry, shop = PyInMemoryRegistry(), PyAgentMetadata("1", "shop", "here")

    registry.register(shop)

    assert registry.get_agent("1") is shop
    assert registry.get_agent("2") is None
    assert (shop.id, shop.name, shop.address) == ("1", "shop", "here")
