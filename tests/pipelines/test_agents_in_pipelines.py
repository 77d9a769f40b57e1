"""Agents as stages, and pipelines as agents: where they live, who supervises whom, what goes along."""

import gc
import threading
from typing import Any

import anyio
import pytest

from ceylon import (
    Agent,
    AgentInUseError,
    AgentStartError,
    Budget,
    BudgetError,
    Context,
    HandlerError,
    LlmAgent,
    Mesh,
    action,
    default_mesh,
)
from ceylon.pipelines import PipelineAgent, call, each, parallel, pipeline
from ceylon.testing import ScriptedModel
from support.core_agents import until
from support.leftovers import DEADLINE
from support.virtual_time import run_virtually


class Shop(Agent):
    """Sells tea."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.asked: list[Any] = []

    async def on_message(self, message: Any) -> Any:
        self.asked.append(message)
        if message == "fail":
            raise ValueError(message)
        return f"{self.name}: {message}"

    @action
    def stock(self, sku: str) -> int:
        """Count packets."""
        return len(sku)

    @action
    def sell(self, sku: str, packets: int, price: float = 1.0) -> float:
        """Sell some."""
        return packets * price


async def same(value: Any) -> Any:
    return value


async def test_an_agent_without_a_mesh_becomes_a_child_of_the_pipelines_agent(mesh: Mesh) -> None:
    shop = Shop("shop")
    ref = mesh.add(pipeline(shop, shop.stock, name="news"))

    assert await ref.ask("tea") == len("shop: tea")
    assert mesh.agents == ["news", "shop"]
    assert mesh.statistics().agents["shop"].parent == "news"
    await mesh.stop("news")
    assert mesh.agents == []


async def test_an_agent_is_asked_where_it_lives(mesh: Mesh) -> None:
    shop = Shop("shop")
    mesh.add(shop)

    assert await mesh.add(pipeline(same, shop)).ask("tea") == "shop: tea"
    assert mesh.statistics().agents["shop"].parent == ""


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_an_agent_that_is_elsewhere_cannot_be_a_stage_here(backend: str) -> None:
    async def run() -> None:
        shop = Shop("shop")
        async with Mesh("other") as other, Mesh("here") as here:
            other.add(shop)
            with pytest.raises(AgentStartError, match="is in mesh 'other'") as caught:
                await here.add(pipeline(same, shop)).ask(1)
            assert isinstance(caught.value.cause, AgentInUseError)

    run_virtually(backend, run)  # an agent is started five times before it is given up


async def test_an_agent_moves_on_when_the_pipeline_that_took_it_in_is_gone(mesh: Mesh) -> None:
    shop, echo = Shop("shop"), mesh.add(Shop("echo"))

    for _ in range(3):  # each time another pipeline, which nobody keeps
        assert await (echo >> shop).run("tea") == "shop: echo: tea"
    gc.collect()
    await until(lambda: mesh.agents == ["echo"])
    mesh.add(shop)
    assert await (echo >> shop).run("tea") == "shop: echo: tea"


@pytest.mark.parametrize("whole", [True, False])
async def test_what_was_tried_without_a_mesh_can_be_added_to_one(mesh: Mesh, *, whole: bool) -> None:
    shop, writer = Shop("shop"), LlmAgent("writer", ScriptedModel(["one", "two", "three"]))
    tried = writer >> shop
    assert await tried.run("tea") == "shop: one"
    with pytest.raises(AgentInUseError, match="gone; or add that"):
        mesh.add(shop)

    ref = mesh.add((tried if whole else tried >> str.upper).named("news"))

    assert (await ref.ask("tea", timeout=DEADLINE)).lower() == "shop: two"
    assert await tried.run("tea") == "shop: three"
    assert {"news", "shop", "writer"} <= {*mesh.agents}
    assert mesh.statistics().agents["news"].restarts == 0


async def test_two_pipelines_that_want_an_agent_that_was_tried_out_share_it(mesh: Mesh) -> None:
    shop = Shop("shop")
    tried = str >> shop
    await tried.run("tea")

    news, letters = mesh.add(tried.named("news")), mesh.add((shop >> str.upper).named("letters"))

    async with anyio.create_task_group() as group:
        for ref in (news, letters):
            group.start_soon(ref.ask, "milk")
    assert shop.asked == ["tea", "milk", "milk"]


async def test_a_run_without_a_mesh_ends_before_its_agents_move(mesh: Mesh) -> None:
    gate, begun = threading.Event(), threading.Event()

    def slowly(value: str) -> str:
        begun.set()
        assert gate.wait(DEADLINE)
        return value

    tried = slowly >> Shop("shop")
    results: list[Any] = []
    async with anyio.create_task_group() as group:

        async def run() -> None:
            results.append(await tried.run("tea"))

        group.start_soon(run)
        await anyio.to_thread.run_sync(begun.wait, DEADLINE)
        ref = mesh.add(tried.named("news"))
        gate.set()
        assert await ref.ask("milk", timeout=DEADLINE) == "shop: milk"

    assert results == ["shop: tea"]


async def test_one_pipeline_may_be_two_agents(mesh: Mesh) -> None:
    built = pipeline(Shop("shop"), same)
    first, second = mesh.add(built.named("first")), mesh.add(built.named("second"))

    assert [await first.ask(1), await second.ask(1)] == ["shop: 1", "shop: 1"]
    await mesh.stop("first")
    assert await second.ask(1) == "shop: 1"


async def test_an_agent_that_was_stopped_stays_so(mesh: Mesh) -> None:
    ref = mesh.add(pipeline(Shop("shop"), name="news"))
    await ref.ask(1)
    await mesh.stop("shop")

    with pytest.raises(HandlerError, match="no agent at 'shop'"):
        await ref.ask(1)


async def test_a_pipeline_can_begin_again(mesh: Mesh) -> None:
    class Fragile(PipelineAgent):
        on_failure = "restart"

    shop = Shop("shop")
    ref = mesh.add(Fragile(pipeline(shop, name="news")))

    with pytest.raises(HandlerError):
        await ref.ask("fail")
    assert await ref.ask("tea", timeout=60) == "shop: tea"
    assert mesh.statistics().agents["news"].restarts == 1
    assert mesh.statistics().agents["shop"].parent == "news"


async def test_actions_get_the_value_by_name(mesh: Mesh) -> None:
    shop = Shop("shop")
    other = mesh.add(Shop("other"))

    assert await mesh.add(pipeline(shop.stock, name="a")).ask("tea") == 3
    assert await mesh.add(call(other, "stock").named("b")).ask("four") == 4
    assert await mesh.add(call(other, "sell", sku="tea", price=2.0).named("c")).ask(3) == 6
    assert await mesh.add(pipeline(shop.sell, name="d")).ask({"sku": "tea", "packets": 2}) == 2


async def test_an_agent_may_have_a_pipeline_as_its_child(mesh: Mesh) -> None:
    class Editor(Agent):
        async def on_message(self, message: Any, context: Context) -> Any:
            return await context.spawn(pipeline(same, len, name="counting")).ask(message)

    assert await mesh.add(Editor("editor")).ask("four") == 4
    assert mesh.statistics().agents["counting"].parent == "editor"


async def test_a_tell_runs_a_pipeline_too(mesh: Mesh) -> None:
    shop = Shop("shop")
    await mesh.add(pipeline(same, shop)).tell("tea")
    await mesh.drain()

    assert shop.asked == ["tea"]


async def test_pipelines_are_stages_of_pipelines(mesh: Mesh) -> None:
    inner = mesh.add(pipeline(same, Shop("shop"), name="inner"))
    outer = mesh.add(pipeline(each(inner), len, name="outer"))

    assert await outer.ask(["a", "b"]) == 2
    assert mesh.statistics().agents["inner"].completed == 2


async def test_deadline_budget_and_trace_go_along(mesh: Mesh) -> None:
    async def look(_: Any, context: Context) -> Any:
        return await context.ask("look", None)

    class Look(Agent):
        async def on_message(self, message: Any, context: Context) -> Any:
            return context.budget, context.remaining, context.envelope.chain

    mesh.add(Look("look"))
    built = mesh.ref("look") >> same
    budget, remaining, chain = await mesh.add(built).ask(None, timeout=90)
    assert budget is None
    assert 0 < remaining <= 90
    assert chain == ("pipeline",)
    budget, _, chain = await built.run(None, budget=Budget(calls=3, depth=5))
    assert budget.calls == 3
    assert (await mesh.add(pipeline(look, name="by-context")).ask(None))[2] == ("by-context",)


async def test_a_budget_ends_a_run(mesh: Mesh) -> None:
    mesh.add(Shop("shop"))

    with pytest.raises(BudgetError):
        await (mesh.ref("shop") >> same).run("x", budget=Budget(depth=0))


async def test_a_language_model_is_a_stage(mesh: Mesh) -> None:
    writer = LlmAgent("writer", ScriptedModel(["a story", "another"]))
    built = pipeline(writer, str.upper, name="news")
    ref = mesh.add(built)

    assert await ref.ask("write") == "A STORY"
    assert mesh.statistics().agents["writer"].parent == "news"
    events = [event async for event in built.stream("write")]
    parts = [event for event in events if event.what == "part"]
    assert {event.label for event in parts} == {"writer"}
    assert "".join(getattr(event.value, "text", "") for event in parts) == "another"
    assert events[-1].value == "ANOTHER"


async def test_a_model_without_a_mesh_runs_in_the_default_one_and_leaves_it() -> None:
    writer = LlmAgent("passing", ScriptedModel(["one", "two"]))
    writing = (writer >> str.upper).named("passing-by")

    assert await writing.run("write") == "ONE"
    assert [name.partition("$")[0] for name in default_mesh().agents if "passing" in name] == ["passing-by", "passing"]
    assert await (writer >> str.upper).named("passing-again").run("write") == "TWO"
    del writer, writing

    with anyio.fail_after(DEADLINE):
        while any("passing" in name for name in default_mesh().agents):
            gc.collect()
            await anyio.sleep(0.005)


async def test_agents_side_by_side_are_asked_at_the_same_time(mesh: Mesh) -> None:
    both = anyio.Event()
    waiting: list[str] = []

    class Meeting(Agent):
        async def on_message(self, message: Any) -> str:
            waiting.append(self.name)
            if len(waiting) == 2:
                both.set()
            await both.wait()
            return self.name

    assert await mesh.add(parallel(Meeting("a"), Meeting("b"))).ask(1, timeout=60) == ["a", "b"]
