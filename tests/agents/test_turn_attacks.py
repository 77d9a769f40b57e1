"""Turns under attack: slow consumers, actions that raise the worst, tools that are not there, namesakes elsewhere."""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import msgspec
import pydantic
import pytest

from ceylon import (
    Agent,
    ApprovalDesk,
    ApprovalRequest,
    Approved,
    ArgumentError,
    LlmAgent,
    Mesh,
    ReplyPart,
    ToolCall,
    action,
    on,
)
from ceylon.agents.outputs import WrongOutputError, output_of
from ceylon.errors import BudgetError, UnknownAgentError
from ceylon.models.scripted import ScriptedModel
from ceylon.models.turns import Attachment
from ceylon.settings import DEFAULTS
from ceylon.testing import Simulation
from support.turns import results, run_at_once, wants

LONG = [f"w{number} " for number in range(3 * DEFAULTS.stream_credit)]


def agent_with(tool: Callable[..., Any], *steps: Any) -> LlmAgent:
    return LlmAgent("front", ScriptedModel([wants(ToolCall("1", tool.__name__)), *(steps or ("done",))]), tools=[tool])


# -- clocks and consumers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_consumer_that_takes_its_time_is_no_fault_of_the_model(backend: str) -> None:
    async def program(simulation: Simulation) -> None:
        async with simulation.mesh("m") as mesh:
            agent = LlmAgent("front", ScriptedModel([LONG]), timeout=5)
            mesh.add(agent)
            parts: list[Any] = []
            async for part in agent.parts("go"):
                if not parts:
                    await anyio.sleep(60)
                parts.append(part)
            assert isinstance(parts[-1], ReplyPart)

    run_at_once(program, backend)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_call_is_not_late_because_nobody_takes_its_parts(backend: str) -> None:
    async def program(simulation: Simulation) -> None:
        async with simulation.mesh("m") as mesh:
            inner = mesh.add(LlmAgent("inner", ScriptedModel([LONG])))
            call = wants(ToolCall("1", "inner", {"query": "go"}))
            agent = LlmAgent("front", ScriptedModel([call, "done"]), tools=[inner])
            mesh.add(agent)
            async with agent.parts("go") as parts:
                first = True
                async for _ in parts:
                    if first:
                        await anyio.sleep(2 * DEFAULTS.action_timeout)
                    first = False
            assert (agent.calls.called, agent.calls.late) == (1, 0)

    run_at_once(program, backend)


# -- actions that raise the worst --------------------------------------------------------------------------------------


class Bottom(BaseException):
    """Raised by nobody reasonable."""


@pytest.mark.parametrize("error", [Bottom("deep"), BaseExceptionGroup("all", [SystemExit(1), ValueError("deep")])])
@pytest.mark.parametrize("in_thread", [False, True])
async def test_whatever_an_action_raises_is_told_to_the_model(
    mesh: Mesh, error: BaseException, *, in_thread: bool
) -> None:
    def plain() -> None:
        raise error

    async def awaited() -> None:
        raise error

    tool = plain if in_thread else awaited
    agent = agent_with(tool)
    mesh.add(agent)
    reply = await agent.complete("go")

    assert reply.text == "done"
    assert results(reply)[0].startswith(type(error).__name__)
    assert agent.calls.failed == 1


async def test_a_spent_budget_ends_the_turn_also_from_inside_a_group(mesh: Mesh) -> None:
    async def several() -> None:
        what = "usd"
        async with anyio.create_task_group():
            raise BudgetError(what, 1.0, 0.0, 1.0)

    agent = agent_with(several)
    mesh.add(agent)

    with pytest.raises(BudgetError):
        await agent.complete("go")


async def test_a_stray_cancellation_in_a_group_is_an_error_like_any_other(mesh: Mesh, anyio_backend: str) -> None:
    if anyio_backend == "trio":
        return  # there is no way to make one there

    async def several() -> None:
        message = "all"
        raise BaseExceptionGroup(message, [asyncio.CancelledError()])

    agent = agent_with(several)
    mesh.add(agent)

    assert results(await agent.complete("go"))[0].startswith("StrayCancellationError")


# -- results -----------------------------------------------------------------------------------------------------------


class Weather(pydantic.BaseModel):
    """As it is now."""

    celsius: float
    words: str = "fine"


async def test_models_of_pydantic_are_json_to_the_model(mesh: Mesh) -> None:
    async def now() -> list[Weather]:
        return [Weather(celsius=20.5)]

    agent = agent_with(now)
    mesh.add(agent)

    assert results(await agent.complete("go")) == ['[{"celsius":20.5,"words":"fine"}]']


async def test_a_plain_function_that_returns_a_coroutine_is_awaited(mesh: Mesh) -> None:
    async def work() -> int:
        return 7

    def wrapper() -> Awaitable[int]:
        return work()

    agent = agent_with(wrapper)
    mesh.add(agent)

    assert results(await agent.complete("go")) == ["7"]


# -- tools and agents that are not there -------------------------------------------------------------------------------


class Shop(Agent):
    """Sells."""

    @action
    async def price(self) -> int:
        """Return the price."""
        return 3


async def test_a_tool_that_is_in_no_mesh_is_named_and_what_there_is(mesh: Mesh) -> None:
    agent = LlmAgent("front", ScriptedModel(["x"]), tools=[Shop("shop")])
    mesh.add(agent)

    with pytest.raises(UnknownAgentError, match=r"no agent at 'shop'.*front"):
        await agent.complete("go")


async def test_tools_in_a_mapping_are_refused_by_name() -> None:
    with pytest.raises(ArgumentError, match="tools="):
        LlmAgent("front", ScriptedModel(["x"]), tools={"price": functools.partial}).build()


async def test_a_conversation_never_goes_to_a_namesake_in_another_mesh(mesh: Mesh) -> None:
    async with Mesh("elsewhere") as other:
        there = LlmAgent("billing", ScriptedModel(["theirs"]))
        other.add(there)
        mesh.add(LlmAgent("billing", ScriptedModel(["ours"])))
        for target in (there, there.ref):
            agent = LlmAgent("front", ScriptedModel([wants(ToolCall("1", "transfer_to_billing")), "x"]))
            agent.with_handoffs(target)
            mesh.add(agent)
            with pytest.raises(ArgumentError, match="'billing' is in another mesh"):
                await agent.complete("go")
            await mesh.stop("front")


async def test_agents_without_a_mesh_find_one_another_in_the_default_one() -> None:
    asked, taking = LlmAgent("asked", ScriptedModel(["yes"])), LlmAgent("taking", ScriptedModel(["mine now"]))
    asking: list[Any] = [wants(ToolCall("1", "asked", {"query": "?"})), "done"]
    agent = LlmAgent("front", ScriptedModel(asking)).with_tools(asked)
    handing = LlmAgent("handing", ScriptedModel([wants(ToolCall("1", "transfer_to_taking"))])).with_handoffs(taking)

    assert results(await agent.complete("go")) == ["yes"]
    assert (await handing.complete("go")).text == "mine now"


async def test_the_counts_of_calls_go_on_over_a_restart(mesh: Mesh) -> None:
    class Restarting(LlmAgent):
        on_failure = "restart"

    async def fine() -> str:
        return "fine"

    async def overspend() -> None:
        what = "usd"
        raise BudgetError(what, 1.0, 0.0, 1.0)

    steps: list[Any] = [
        wants(ToolCall("1", "fine")),
        wants(ToolCall("2", "overspend")),
        wants(ToolCall("1", "fine")),
        "done",
    ]
    agent = Restarting("front", ScriptedModel(steps))
    agent.with_tools(fine, overspend)
    mesh.add(agent)
    with pytest.raises(BudgetError):
        await agent.complete("go")

    assert results(await agent.complete("go")) == ["fine"]
    assert mesh.agent("front") is not agent
    assert agent.calls.called == 2


def test_what_is_missing_is_said_in_words_also_of_pydantics_types() -> None:
    output = output_of(list[Weather])

    with pytest.raises(WrongOutputError, match="missing required field `value`"):
        output.read("{}")
    with pytest.raises(WrongOutputError, match="Expected `object`, got `array`"):
        output.read("[]")


async def test_one_attachment_needs_no_list_and_what_is_none_is_refused(mesh: Mesh) -> None:
    model = ScriptedModel(["seen"])
    agent = LlmAgent("front", model)
    mesh.add(agent)
    picture: Any = Attachment("image/png", b"...")
    wrong: list[Any] = [3, None, [3]]

    for each in wrong:
        with pytest.raises(ArgumentError, match=r"attachments=.* cannot be"):
            await agent.complete("look", attachments=each)
    await agent.complete("look", attachments=picture)
    assert model.requests[0].turns[-1].attachments == (picture,)


async def test_an_interrupt_of_the_program_in_an_action_stops_the_mesh() -> None:
    async def leave() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        async with Mesh("stopping") as stopping:
            agent = agent_with(leave)
            stopping.add(agent)
            with pytest.raises(KeyboardInterrupt):
                await agent.complete("go")
            await stopping.wait()


async def test_an_action_of_another_agent_gives_way_to_a_function_of_its_name_and_stays_itself(mesh: Mesh) -> None:
    def price() -> int:
        """Return the price."""
        return 1

    class Wide(Shop):
        @action
        async def stock(self) -> int:
            """Return how many there are."""
            return 5

    shops = [mesh.add(Wide("a" * 64)), mesh.add(Wide("b" * 64))]
    model = ScriptedModel(["done"])
    agent = LlmAgent("front", model, tools=[*shops, price])
    mesh.add(agent)
    await agent.complete("go")

    names = [tool.name for tool in model.requests[0].tools]
    assert names == [f"{'a' * 58}_price", "stock", f"{'b' * 58}_price", f"{'b' * 58}_stock", "price"]


class Paying(LlmAgent):
    """Pays, if somebody has said yes, and has little time."""

    handler_timeout = 30

    @action(approve="operator")
    async def pay(self) -> str:
        """Pay."""
        return "paid"


class Slow(Agent):
    """Says yes, after a while."""

    @on
    async def decide(self, request: ApprovalRequest) -> Approved:
        await anyio.sleep(200)
        return Approved(request.digest)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_consumer_that_goes_on_does_not_end_the_rest_that_an_approval_gives(backend: str) -> None:
    async def program(simulation: Simulation) -> None:
        async with simulation.mesh("m") as mesh:
            mesh.add(Slow("operator"))
            inner = mesh.add(LlmAgent("inner", ScriptedModel([LONG])))
            calls = wants(ToolCall("1", "pay"), ToolCall("2", "inner", {"query": "go"}))
            agent = Paying("front", ScriptedModel([calls, "done"]), tools=[inner])
            mesh.add(agent)
            parts: list[Any] = []
            async for part in agent.parts("go"):
                if not parts:
                    await anyio.sleep(60)
                parts.append(part)
            assert isinstance(parts[-1], ReplyPart)
            assert results(parts[-1].reply)[0] == "paid"

    run_at_once(program, backend)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_desk_waits_for_a_person_longer_than_the_meshs_handlers_may_take(backend: str) -> None:
    async def program(simulation: Simulation) -> None:
        async with simulation.mesh("m", settings=msgspec.structs.replace(DEFAULTS, handler_timeout=10.0)) as mesh:
            desk = mesh.add(ApprovalDesk("operator"))
            agent = Paying("front", ScriptedModel([wants(ToolCall("1", "pay")), "done"]))
            mesh.add(agent)
            async with anyio.create_task_group() as tasks:

                async def decide() -> None:
                    await anyio.sleep(60)
                    (request,) = await desk.call("waiting")
                    await desk.call("approve", digest=request.digest)

                tasks.start_soon(decide)
                assert results(await agent.complete("go")) == ["paid"]

    run_at_once(program, backend)
