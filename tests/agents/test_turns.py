"""Turns: what a model wants is run and answered, whatever it wrote; only a budget, a stop or a limit ends one."""

from collections.abc import Callable
from typing import Any, Final

import anyio
import anyio.lowlevel
import msgspec
import pytest

from ceylon import (
    Agent,
    AgentPart,
    BlockingContext,
    Context,
    LlmAgent,
    Mesh,
    Reply,
    ReplyPart,
    ToolCall,
    ToolCallPart,
    ToolResultPart,
    Turn,
    Usage,
    UsagePart,
    action,
    on,
)
from ceylon.errors import ArgumentError, BudgetError, MaxTurnsError
from ceylon.models.scripted import ScriptedModel
from ceylon.models.turns import Request
from ceylon.settings import DEFAULTS
from ceylon.testing import Simulation, check_history
from support.turns import results, run_at_once, wants


class Point(msgspec.Struct):
    """A place."""

    x: int
    y: int = 0


class Lab(LlmAgent):
    """Has actions of every kind, well-behaved and not."""

    def _begin(self) -> None:
        super()._begin()
        self.running = self.most = 0
        self.open = anyio.Event()

    @action
    async def meet(self, number: int) -> int:
        """Wait until three are here."""
        self.running += 1
        self.most = max(self.most, self.running)
        if self.running == 3:
            self.open.set()
        await self.open.wait()
        return number

    @action
    def plain(self, text: str, context: BlockingContext) -> str:
        """Work in a thread."""
        return f"{text} by {context.address}"

    @action
    async def place(self, point: Point) -> Point:
        """Return a place."""
        return Point(point.x + 1, point.y)

    @action
    async def explode(self) -> None:
        """Fail."""
        message = "no luck"
        raise ValueError(message)

    @action
    async def cancel_itself(self) -> None:
        """Raise what only the loop may raise."""
        caught: list[BaseException] = []
        with anyio.CancelScope() as scope:
            scope.cancel()
            try:
                await anyio.lowlevel.checkpoint()
            except BaseException as error:
                caught.append(error)
                raise
        raise caught[0]

    @action
    async def leave(self) -> None:
        """End the program, it thinks."""
        raise SystemExit(3)

    @action
    async def overspend(self) -> None:
        """Spend more than there is."""
        what = "usd"
        raise BudgetError(what, 1.0, 0.0, 1.0)

    @action
    async def hang(self) -> None:
        """Take for ever."""
        await anyio.sleep_forever()


def lab(*steps: Any, **options: Any) -> Lab:
    return Lab("lab", ScriptedModel(steps), **options)


def call(name: str, identity: int | str = 1, /, **arguments: Any) -> ToolCall:
    return ToolCall(str(identity), name, arguments)


async def answer(mesh: Mesh, *steps: Any, **options: Any) -> tuple[Reply[Any], Lab]:
    """Return what the agent answers whose model gives *steps*."""
    agent = lab(*steps, **options)
    mesh.add(agent)
    return await agent.complete("go"), agent


async def test_calls_of_one_answer_run_at_the_same_time_and_their_results_keep_the_order(mesh: Mesh) -> None:
    calls = [call("meet", number, number=number) for number in range(3)]
    reply, agent = await answer(mesh, wants(*calls), "done")

    assert agent.most == 3
    assert results(reply) == ["0", "1", "2"]
    assert [result.id for result in reply.turns[1].results] == ["0", "1", "2"]


async def test_a_plain_action_runs_in_a_thread_with_a_context(mesh: Mesh) -> None:
    reply, _ = await answer(mesh, wants(call("plain", text="done")), "ok")

    assert results(reply) == ["done by lab"]


async def test_a_plain_action_that_asks_another_agent_is_part_of_the_turn(mesh: Mesh) -> None:
    class Echo(Agent):
        """Says who asks."""

        @on
        async def echo(self, wish: str, context: Context) -> str:
            assert context.deadline is not None
            return f"{wish} for {context.sender}"

    ref = mesh.add(Echo("echo")).blocking

    def ask(text: str) -> str:
        """Ask the echo."""
        return str(ref.ask(text))

    agent = LlmAgent("lab", ScriptedModel([wants(call("ask", text="hi")), "ok"]), tools=[ask])
    mesh.add(agent)

    assert results(await agent.complete("go", timeout=60)) == ["hi for lab"]


async def test_arguments_and_results_have_types(mesh: Mesh) -> None:
    reply, _ = await answer(mesh, wants(call("place", point={"x": 1})), "ok")

    assert msgspec.json.decode(results(reply)[0], type=Point) == Point(2)


@pytest.mark.parametrize(
    ("wanted", "words", "counter"),
    [
        (call("plian", text="x"), "did you mean 'plain'?", "unknown"),
        (call("place", point={"x": "one"}), "$.point.x", "invalid"),
        (call("place"), "missing 'point'", "invalid"),
        (call("plain", text="x", loud=True), "unknown 'loud'", "invalid"),
        (ToolCall("1", "plain", invalid='{"text": '), "no JSON object", "invalid"),
        (call("explode"), "ValueError: no luck", "failed"),
        (call("cancel_itself"), "StrayCancellationError", "failed"),
        (call("leave"), "SystemExit: 3", "failed"),
    ],
)
async def test_what_cannot_be_done_is_told_to_the_model_and_counted(
    mesh: Mesh, wanted: ToolCall, words: str, counter: str
) -> None:
    reply, agent = await answer(mesh, wants(wanted), "ok")

    (result,) = reply.turns[1].results
    assert result.is_error
    assert words in result.text
    assert getattr(agent.calls, counter) == 1
    assert agent.calls.called == 0
    assert reply.text == "ok"
    assert check_history([Turn("user", "go"), *reply.turns]) == []


async def test_no_call_of_an_answer_that_was_cut_off_runs(mesh: Mesh) -> None:
    cut = msgspec.structs.replace(wants(call("plain", text="x")), finish="length")
    reply, agent = await answer(mesh, cut, "ok")

    assert "cut off" in results(reply)[0]
    assert agent.calls.called == 0


async def test_more_calls_than_anybody_needs_are_not_run(mesh: Mesh) -> None:
    calls = [call("plain", number, text="x") for number in range(DEFAULTS.model_calls + 3)]
    _, agent = await answer(mesh, wants(*calls), "ok")

    assert (agent.calls.called, agent.calls.surplus) == (DEFAULTS.model_calls, 3)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_an_action_that_takes_for_ever_is_given_up_and_the_others_are_not(backend: str) -> None:
    async def program(simulation: Simulation) -> None:
        async with simulation.mesh() as mesh:
            reply, agent = await answer(mesh, wants(call("hang", 1), call("place", 2, point={"x": 1})), "ok")
            assert [result.is_error for result in reply.turns[1].results] == [True, False]
            assert agent.calls.late == 1
            assert anyio.current_time() >= DEFAULTS.action_timeout

    run_at_once(program, backend)


async def test_a_budget_that_is_spent_ends_the_turn(mesh: Mesh) -> None:
    agent = lab(wants(call("overspend"), call("hang", 2)), "never")
    mesh.add(agent)

    with pytest.raises(BudgetError):
        await agent.complete("go")


async def test_a_model_that_calls_without_end_is_stopped(mesh: Mesh) -> None:
    agent = lab(*[wants(call("plain", number, text="x"), text="again") for number in range(5)], max_turns=4)
    mesh.add(agent)
    chat = agent.conversation("alice")

    with pytest.raises(MaxTurnsError) as caught:
        await chat.send("go")

    assert (caught.value.turns, caught.value.text) == (4, "again")
    assert await chat.history() == ()


def told(request: Request) -> Any:
    return f"{request.tool_choice} {len(request.tools)}"


async def test_a_choice_that_forces_a_call_holds_for_the_first_request_only(mesh: Mesh) -> None:
    model = ScriptedModel([wants(call("plain", text="x")), told, told])
    agent = Lab("lab", model)
    mesh.add(agent)

    assert (await agent.complete("go", tool_choice="plain")).text.startswith("auto ")
    assert model.requests[0].tool_choice == "plain"
    assert (await agent.complete("go", tool_choice="none")).text.startswith("none ")
    with pytest.raises(ArgumentError, match="tool_choice='nothing'"):
        await agent.complete("go", tool_choice="nothing")


async def test_with_none_nothing_runs_even_if_the_model_calls(mesh: Mesh) -> None:
    agent = lab(wants(call("plain", text="x")), "ok")
    mesh.add(agent)
    await agent.complete("go", tool_choice="none")

    assert (agent.calls.called, agent.calls.unknown) == (0, 1)


DEPTH: Final = 3


def nested(mesh: Mesh, finish: Callable[[int], Any]) -> LlmAgent:
    """Return the outermost of agents that each ask the next one."""
    inner: list[Any] = []
    agent = LlmAgent("agent0", ScriptedModel())
    for number in range(DEPTH + 1):
        steps = [wants(call(f"agent{number - 1}", f"c{number}", query="?")), finish(number)] if number else [finish(0)]
        agent = LlmAgent(f"agent{number}", ScriptedModel(steps), tools=inner)
        inner = [mesh.add(agent)]
    return agent


async def test_parts_of_agents_three_deep_arrive_and_usage_is_rolled_up_once(mesh: Mesh) -> None:
    agent = nested(mesh, lambda number: Reply(text=f"answer {number}", usage=Usage(input=10, output=1), cost=0.5))
    parts = [part async for part in agent.parts("go")]

    depths: dict[int, set[str]] = {}
    for part in parts:
        depth, at = 0, part
        while isinstance(at, AgentPart):
            depth, at = depth + 1, at.part
        depths.setdefault(depth, set()).add(type(at).__name__)
    assert set(depths) == {0, 1, 2, 3}
    assert {"ToolCallPart", "ToolResultPart", "UsagePart", "ReplyPart"} <= depths[0]
    assert depths[DEPTH] == {"TextPart", "UsagePart"}
    last = parts[-1]
    assert isinstance(last, ReplyPart)
    assert last.reply.requests == 2 * DEPTH + 1
    assert last.reply.usage == Usage(input=10 * (DEPTH + 1) + DEPTH, output=(DEPTH + 1) + DEPTH)
    assert last.reply.cost == pytest.approx(0.5 * (DEPTH + 1) + 0.1 * DEPTH)


async def test_a_stream_shows_calls_and_results_in_their_place(mesh: Mesh) -> None:
    agent = lab(wants(call("plain", text="x"), text="let me"), "ok")
    mesh.add(agent)
    kinds = [type(part) async for part in agent.parts("go")]

    assert kinds.index(ToolCallPart) < kinds.index(UsagePart) < kinds.index(ToolResultPart) < kinds.index(ReplyPart)
    assert kinds[-1] is ReplyPart
