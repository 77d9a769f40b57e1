"""Budgets as users give them: with a ref or a verb, for a run and all that follows from it, and what is told of it."""

import contextlib
import functools
from typing import Any, Literal

import anyio
import anyio.lowlevel
import pytest

import ceylon
from ceylon import Agent, BlockingContext, BlockingMesh, Budget, Context, LlmAgent, Mesh, Reply, Usage
from ceylon.core.spending import Spent
from ceylon.errors import ArgumentError, BudgetError, HandlerError, ModelConfigError, ModelStatusError
from ceylon.models.prices import genai_prices
from ceylon.models.scripted import ScriptedModel, Step
from ceylon.models.turns import ReplyPart
from support.llm import plays
from support.virtual_time import run_virtually

PRICES = {"scripted::model": (1.0, 10.0)}
LISTED = "openai::gpt-4.1-mini"
listed_prices = pytest.mark.skipif(genai_prices is None, reason="the extra `prices` is missing")


def answer(tokens_in: int = 100, tokens_out: int = 20, text: str = "yes") -> Reply:
    return Reply(text=text, usage=Usage(input=tokens_in, output=tokens_out))


class Relay(Agent):
    """Asks somebody else, and says what is left then."""

    def __init__(self, name: str, to: str, times: int = 1) -> None:
        super().__init__(name)
        self.to, self.times = to, times

    async def on_message(self, message: Any, context: Context) -> Any:
        for _ in range(self.times):
            await context.ask(self.to, message)
        return context.budget


class Thread(Agent):
    """The same, in a thread."""

    def on_message(self, message: Any, context: BlockingContext) -> Any:
        context.ask("tutor", message)
        return context.budget


# -- the value ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "limits",
    [
        {"usd": -1},
        {"usd": float("nan")},
        {"usd": float("inf")},
        {"usd": "1"},
        {"tokens": 1.5},
        {"tokens": True},
        {"calls": -1},
        {"seconds": "soon"},
        {"depth": 0.5},
    ],
)
def test_a_limit_that_is_none_is_refused(limits: dict[str, Any]) -> None:
    [(name, value)] = limits.items()
    with pytest.raises(ArgumentError) as refused:
        Budget(**limits)

    assert f"Budget({name}={value!r}) cannot be" in str(refused.value)


def test_a_budget_is_a_value() -> None:
    assert Budget(usd=0.1, calls=20) == Budget(calls=20, usd=0.1)
    assert hash(Budget(tokens=5)) == hash(Budget(tokens=5))
    with pytest.raises(AttributeError):
        Budget().usd = 1.0  # type: ignore[misc]


async def test_what_is_no_budget_or_priority_is_refused_where_it_is_given(anyio_backend: str) -> None:
    async with Mesh() as mesh:
        tutor = mesh.add(plays("yes"))
        with pytest.raises(ArgumentError, match=r"takes a `ceylon\.Budget"):
            tutor.using(budget=5)  # type: ignore[arg-type]
        with pytest.raises(ArgumentError, match="one of high, normal, low"):
            tutor.using(priority="urgent")  # type: ignore[arg-type]
        with pytest.raises(ArgumentError, match=r"takes a `ceylon\.Budget"):
            await plays("yes").complete("hi", budget=5)  # type: ignore[call-overload]


# -- what it does ------------------------------------------------------------------------------------------------------


async def test_calls_are_counted_and_the_first_too_many_is_not_made(anyio_backend: str) -> None:
    model = ScriptedModel([answer()] * 3)
    async with Mesh() as mesh:
        mesh.add(LlmAgent("tutor", model))
        relay = mesh.add(Relay("relay", "tutor", times=3))
        assert (await relay.using(budget=Budget(calls=5)).ask("hi")).calls == 2
        model.add(*[answer()] * 3)
        with pytest.raises(BudgetError, match="the budget of 2 calls has 0 left") as refused:
            await relay.using(budget=Budget(calls=2)).ask("hi")

    assert (refused.value.what, refused.value.left, refused.value.limit) == ("calls", 0, 2)
    assert len(model.requests) == 5


async def test_the_error_passes_through_agents_unwrapped(anyio_backend: str) -> None:
    async with Mesh() as mesh:
        mesh.add(plays(answer(), name="tutor"))
        mesh.add(Relay("inner", "tutor"))
        outer = mesh.add(Relay("outer", "inner")).using(budget=Budget(calls=0))
        with pytest.raises(BudgetError):
            await outer.ask("hi")
        with pytest.raises(BudgetError):
            async for _ in outer.stream("hi"):
                pass


async def test_tokens_are_held_for_the_longest_answer_and_given_back(anyio_backend: str) -> None:
    model = ScriptedModel([answer(tokens_in=30, tokens_out=20)] * 2)
    async with Mesh() as mesh:
        mesh.add(LlmAgent("tutor", model, max_tokens=300))
        relay = mesh.add(Relay("relay", "tutor", times=2))
        left = await relay.using(budget=Budget(tokens=450)).ask("hi")
        with pytest.raises(BudgetError, match="450 tokens"):
            await relay.using(budget=Budget(tokens=450)).ask("hi" * 200)

    assert left.tokens == 350
    assert len(model.requests) == 2


async def test_an_answer_without_a_limit_of_its_own_gets_what_the_budget_has(anyio_backend: str) -> None:
    model = ScriptedModel([answer()] * 3)
    tutor = LlmAgent("tutor", model)
    async with Mesh() as mesh:
        mesh.add(tutor)
        await tutor.complete("hi", budget=Budget(tokens=600))
        await tutor.complete("hi", budget=Budget(tokens=1_000_000))
        await tutor.complete("hi", budget=Budget(calls=1))

    assert [request.max_tokens for request in model.requests] == [600 - 64 - 8 - 1, 4_096, None]


def test_who_fans_out_waits_for_what_others_give_back_rather_than_fail() -> None:
    async def run() -> tuple[int, int]:
        model = ScriptedModel([Step(answer(tokens_in=50, tokens_out=10), gate=lambda: anyio.sleep(1))] * 16)
        async with Mesh() as mesh:
            mesh.add(LlmAgent("tutor", model, max_tokens=400, concurrency=16))

            class Fan(Agent):
                async def on_message(self, message: Any, context: Context) -> Any:
                    async with anyio.create_task_group() as tasks:
                        for _ in range(16):
                            tasks.start_soon(context.ask, "tutor", "hi")
                    return context.budget

            left = await mesh.add(Fan("fan")).using(budget=Budget(tokens=1_500), timeout=99).ask("go")
            return len(model.requests), left.tokens

    assert run_virtually("asyncio", run) == (16, 1_500 - 16 * 60)


@pytest.mark.parametrize("streamed", [False, True])
def test_whatever_is_given_up_is_settled(streamed: bool) -> None:  # noqa: FBT001 – a parameter
    async def run() -> tuple[int, int]:
        gates = [lambda: anyio.sleep(60), anyio.lowlevel.checkpoint]
        model = ScriptedModel([Step(answer(10, 5), gate=gate) for gate in gates])
        async with Mesh() as mesh:
            mesh.add(LlmAgent("tutor", model, max_tokens=400))

            class Impatient(Agent):
                async def on_message(self, message: Any, context: Context) -> Any:
                    with contextlib.suppress(TimeoutError), anyio.fail_after(1):
                        if streamed:
                            async for _ in context.stream("tutor", "hi"):
                                pass
                        else:
                            await context.ask("tutor", "hi")
                    await anyio.sleep(0.1)
                    after = context.budget
                    await context.ask("tutor", "hi")
                    return after, context.budget

            after, end = await mesh.add(Impatient("me")).using(budget=Budget(tokens=1_000), timeout=99).ask("go")
            return after.tokens, end.tokens

    after, end = run_virtually("trio", run)
    assert 0 < after < 1_000  # nobody knows what it came to, so what it may have come to counts
    assert (after > 800) == streamed  # in parts, what has arrived is known: nothing
    assert end == after - 15


async def test_what_no_model_has_worked_on_costs_nothing_but_the_call(anyio_backend: str) -> None:
    model = ScriptedModel([ModelStatusError("m", 400, "no"), answer(10, 5)])

    class Stubborn(Agent):
        async def on_message(self, message: Any, context: Context) -> Any:
            with pytest.raises(HandlerError):
                await context.ask("tutor", "hi")
            await context.ask("tutor", "hi")
            return context.budget

    async with Mesh() as mesh:
        mesh.add(LlmAgent("tutor", model))
        left = await mesh.add(Stubborn("me")).using(budget=Budget(tokens=1_000, calls=9)).ask("go")

    assert (left.tokens, left.calls) == (985, 7)


def test_seconds_end_a_run_wherever_it_is() -> None:
    async def run() -> list[float]:
        times: list[float] = []
        model = ScriptedModel([Step("never", gate=lambda: anyio.sleep(999))] * 2)
        async with Mesh() as mesh:
            agent = LlmAgent("tutor", model)
            mesh.add(agent)
            relay = mesh.add(Relay("relay", "tutor"))
            for ask in (
                relay.using(budget=Budget(seconds=3)).ask,
                functools.partial(agent.complete, budget=Budget(seconds=3)),
            ):
                began = anyio.current_time()
                with pytest.raises(BudgetError, match="3 s of its budget"):
                    await ask("hi")
                times.append(anyio.current_time() - began)
        return times

    assert run_virtually("asyncio", run) == pytest.approx([3.0, 3.0])


async def test_depth_counts_asks_inside_of_asks(anyio_backend: str) -> None:
    async with Mesh() as mesh:
        mesh.add(plays(answer(), answer(), name="tutor"))
        mesh.add(Relay("inner", "tutor"))
        outer = mesh.add(Relay("outer", "inner"))
        assert (await outer.using(budget=Budget(depth=2)).ask("hi")).depth == 2
        with pytest.raises(BudgetError, match="ask 2 inside of asks, and the budget allows 1"):
            await outer.using(budget=Budget(depth=1)).ask("hi")


async def test_a_budget_inside_of_a_budget_draws_on_both(anyio_backend: str) -> None:
    class Careful(Agent):
        async def on_message(self, message: Any, context: Context) -> Any:
            tutor = context.ref("tutor")
            await tutor.using(budget=Budget(calls=1)).ask("hi")
            with pytest.raises(BudgetError, match="100 tokens"):
                await tutor.using(budget=Budget(tokens=100)).ask("hi")
            await tutor.using(budget=Budget(calls=9)).ask("hi")
            with pytest.raises(BudgetError, match="2 calls"):
                await tutor.using(budget=Budget(calls=9)).ask("hi")
            return context.budget

    async with Mesh() as mesh:
        mesh.add(plays(answer(), answer(), name="tutor"))
        left = await mesh.add(Careful("me")).using(budget=Budget(calls=2)).ask("go")

    assert left == Budget(calls=0)


async def test_without_a_budget_there_is_none(anyio_backend: str) -> None:
    async with Mesh() as mesh:
        mesh.add(plays(answer(), name="tutor"))
        assert await mesh.add(Relay("relay", "tutor")).ask("hi") is None


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_threads_and_scripts_have_budgets_too(backend: Literal["asyncio", "trio"]) -> None:
    tutor = plays(answer(), answer(), answer(), name="tutor")
    with BlockingMesh(backend=backend) as mesh:
        mesh.add(tutor)
        thread = mesh.add(Thread("thread"))
        left = thread.using(budget=Budget(calls=3, seconds=60)).ask("hi")
        assert left.calls == 2
        assert 0 < left.seconds < 60
        assert tutor.blocking.complete("hi", budget=Budget(calls=1)).text == "yes"
        with pytest.raises(BudgetError):
            tutor.send_message("hi", budget=Budget(calls=0))
        with pytest.raises(BudgetError):
            list(tutor.blocking.stream("hi", budget=Budget(calls=0)))


# -- dollars -----------------------------------------------------------------------------------------------------------


async def test_dollars_without_a_price_are_an_error_before_the_request(anyio_backend: str) -> None:
    model = ScriptedModel([answer()])
    agent = LlmAgent("tutor", model)
    async with Mesh() as mesh:
        mesh.add(agent)
        with pytest.raises(ModelConfigError, match="the price of scripted::model is not known; install the extra"):
            await agent.complete("hi", budget=Budget(usd=1.0))

    assert model.requests == []


async def test_dollars_are_held_and_settled_at_the_user_s_prices(anyio_backend: str) -> None:
    agent = plays(*[answer(100_000, 20_000)] * 2, max_tokens=50_000, prices=PRICES)
    async with Mesh() as mesh:
        mesh.add(agent)
        relay = mesh.add(Relay("relay", agent.name))
        left = await relay.using(budget=Budget(usd=1.0)).ask("hi" * 90_000)
        with pytest.raises(BudgetError, match=r"0\.3 US dollars"):
            await relay.using(budget=Budget(usd=0.3)).ask("hi")

    assert left.usd == pytest.approx(1.0 - 0.1 - 0.2)


async def test_a_reply_says_what_it_has_cost_the_same_in_parts_and_whole(anyio_backend: str) -> None:
    agent = plays(answer(), answer(), prices={"model": (1.0, 10.0)})
    async with Mesh() as mesh:
        mesh.add(agent)
        whole = await agent.complete("hi")
        *_, last = [part async for part in agent.parts("hi")]
        spent = mesh.statistics().spending

    assert isinstance(last, ReplyPart)
    assert whole.cost == last.reply.cost == pytest.approx(0.0003)
    assert whole.usage == last.reply.usage
    assert spent.total == Spent(2, 200, 40, pytest.approx(0.0006))  # type: ignore[arg-type]


async def test_a_price_nobody_knows_is_not_invented(anyio_backend: str) -> None:
    agent = plays(answer())
    async with Mesh() as mesh:
        mesh.add(agent)
        assert (await agent.complete("hi")).cost is None
        assert mesh.statistics().spending.total.cost is None


@listed_prices
async def test_listed_prices_know_the_large_providers(anyio_backend: str) -> None:
    agent = LlmAgent("tutor", ScriptedModel([answer(1_000_000, 100_000)], name=LISTED))
    async with Mesh() as mesh:
        mesh.add(agent)
        reply = await agent.complete("hi", budget=Budget(usd=2.0))

    assert reply.cost is not None
    assert 0.01 < reply.cost < 10.0


@listed_prices
async def test_a_model_the_list_does_not_have_has_no_price(anyio_backend: str) -> None:
    for name in ("openai::no-such-model", "ollama::gpt-4.1-mini", "nobody::gpt-4.1-mini"):
        agent = LlmAgent("tutor", ScriptedModel([answer()], name=name))
        async with Mesh() as mesh:
            mesh.add(agent)
            assert (await agent.complete("hi")).cost is None


# -- what is counted ---------------------------------------------------------------------------------------------------


async def test_spending_is_counted_once_by_agent_and_by_run(anyio_backend: str) -> None:
    ids: list[str] = []

    class Head(Relay):
        async def on_message(self, message: Any, context: Context) -> Any:
            ids.append(context.message_id)
            return await super().on_message(message, context)

    async with Mesh() as mesh:
        mesh.add(plays(*[answer()] * 3, name="tutor", prices=PRICES))
        mesh.add(Relay("inner", "tutor", times=2))
        await mesh.add(Head("head", "inner")).ask("hi")
        await mesh.ask("tutor", "hi")
        spending = mesh.statistics().spending

    one = Spent(1, 100, 20, 0.0003)
    assert spending.agents == {"tutor": one + one + one}
    assert spending.runs[ids[0]] == one + one
    assert sorted(run.requests for run in spending.runs.values()) == [1, 2]
    assert spending.total == one + one + one


def test_budget_is_a_public_name() -> None:
    assert ceylon.Budget is Budget
    assert "Budget" in ceylon.__all__


# -- a budget for a whole batch ----------------------------------------------------------------------------------------


async def test_all_queries_of_a_batch_draw_on_its_one_budget() -> None:
    agent = plays(*[answer()] * 20)
    queries = [f"query {number}" for number in range(10)]
    async with Mesh() as mesh:
        mesh.add(agent)
        answers = await agent.send_messages_async(queries, return_exceptions=True, budget=Budget(calls=4))
        again = await agent.send_messages_async(queries, budget=Budget(calls=10))

        assert mesh.statistics().spending.total.requests == 14
    assert [isinstance(each, BudgetError) for each in answers].count(True) == 6
    assert again == ["yes"] * 10


async def test_a_batch_whose_budget_is_gone_raises_it_and_as_completed_tells_it() -> None:
    agent = plays(*[answer()] * 20)
    async with Mesh() as mesh:
        mesh.add(agent)
        with pytest.raises(BudgetError):
            await agent.send_messages_async(["a", "b"], budget=Budget(calls=1))
        errors = [each.error async for each in agent.as_completed(["a", "b", "c"], budget=Budget(calls=1))]

    assert sum(isinstance(error, BudgetError) for error in errors) == 2


def test_a_script_gives_its_batch_a_budget_too() -> None:
    agent = plays(*[answer()] * 20)
    with BlockingMesh() as mesh:
        mesh.add(agent)
        answers = agent.send_messages(["a", "b", "c"], return_exceptions=True, budget=Budget(calls=2))
        inside = agent.blocking.send_messages(["a", "b", "c"], return_exceptions=True, budget=Budget(calls=2))

    assert sum(isinstance(each, BudgetError) for each in [*answers, *inside]) == 2


async def test_the_budget_of_a_batch_inside_a_run_draws_on_both() -> None:
    inner = plays(*[answer()] * 20, name="inner")

    class Splits(Agent):
        async def on_message(self, message: str, context: Context) -> Any:
            return await inner.send_messages_async(["a", "b", "c"], return_exceptions=True, budget=Budget(calls=9))

    async with Mesh() as mesh:
        mesh.add(inner)
        ref = mesh.add(Splits("splits"))
        answers = await ref.using(budget=Budget(calls=2)).ask("go")

    assert sum(isinstance(each, BudgetError) for each in answers) == 1


@pytest.mark.parametrize("budget", [5, "much", {"calls": 1}])
async def test_what_is_no_budget_is_refused_by_a_batch(budget: Any) -> None:
    with pytest.raises(ArgumentError, match=r"ceylon\.Budget"):
        await plays("yes").send_messages_async(["a"], budget=budget)


async def test_what_is_said_in_a_conversation_takes_a_budget_too() -> None:
    agent = plays(*[answer()] * 9)
    async with Mesh() as mesh:
        mesh.add(agent)
        chat = agent.conversation("alice")
        with pytest.raises(BudgetError):
            await chat.send("hi", budget=Budget(calls=0))
        with pytest.raises(BudgetError):
            await chat.complete("hi", budget=Budget(tokens=1))
        with pytest.raises(BudgetError):
            await chat.stream("hi", budget=Budget(calls=0)).result()
        assert await chat.send("hi", budget=Budget(calls=1)) == "yes"

        assert len(await chat.history()) == 2


def test_a_conversation_of_a_script_takes_a_budget_too() -> None:
    agent = plays(*[answer()] * 9)
    with BlockingMesh() as mesh:
        mesh.add(agent)
        chat = agent.blocking.conversation("alice")
        with pytest.raises(BudgetError):
            chat.send("hi", budget=Budget(calls=0))
        with pytest.raises(BudgetError):
            list(chat.stream("hi", budget=Budget(calls=0)))

        assert chat.complete("hi", budget=Budget(calls=1)).text == "yes"
