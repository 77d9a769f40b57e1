"""A hedge is a luxury: it goes where there is room, where it can be paid for, and not often."""

import functools
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import msgspec
import pytest

from ceylon import Budget, LlmAgent, Mesh
from ceylon.core.budgets import Account
from ceylon.errors import BudgetError, ModelError, ModelRateLimitError, ModelStatusError
from ceylon.models.governor.estimates import tokens_in
from ceylon.models.governor.governor import Governor
from ceylon.models.governor.spare import SparePassage
from ceylon.models.hedging import HedgedSession
from ceylon.models.turns import Reply, Request, Turn, Usage
from ceylon.settings import DEFAULTS, Settings
from support.lagging import Lagging
from support.sabotaged import replaced
from support.virtual_time import run_virtually

HEDGE = 1.0
LONG = 30.0
LONGEST = 100
"""Tokens of an answer."""
MOST = tokens_in(Request(turns=(Turn("user", "hi"),))) + LONGEST
"""Tokens that a request may take."""
PRICES = {"lagging": (1.0, 2.0)}


@pytest.fixture(params=["asyncio", "trio"])
def virtually(request: pytest.FixtureRequest) -> Callable[[Callable[[], Awaitable[Any]]], Any]:
    """Run something in virtual time."""
    return functools.partial(run_virtually, request.param)


@pytest.fixture(params=[False, True], ids=["whole", "streamed"])
def streamed(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


async def say(agent: LlmAgent, *, streamed: bool = False, **options: Any) -> Reply:
    return await (agent.stream("hi", **options).result() if streamed else agent.complete("hi", **options))


def settings(**changes: Any) -> Settings:
    return msgspec.structs.replace(DEFAULTS, **changes)


# -- a place -----------------------------------------------------------------------------------------------------------


def test_a_hedge_does_not_stand_in_line(virtually: Any, streamed: bool) -> None:  # noqa: FBT001 – a parameter
    """Two may be under way at first; more only a little later, which is not what a hedge waits for."""
    model = Lagging((5.0, "one"), (5.0, "two"), (5.0, "three"))
    agent = LlmAgent("tutor", model, hedge="10ms")

    async def run() -> list[str]:
        texts: list[str] = []

        async def ask() -> None:
            texts.append((await say(agent, streamed=streamed)).text)

        async with Mesh(settings=settings(governor_room=2)) as mesh, anyio.create_task_group() as tasks:
            mesh.add(agent)
            for _ in range(2):
                tasks.start_soon(ask)
        return texts

    assert sorted(virtually(run)) == ["one", "two"]
    assert len(model.asked) == 2


def test_a_hedge_does_not_go_before_those_who_wait_for_its_model(virtually: Any) -> None:
    first, second = Lagging((5.0, "from the first"), name="openai::first"), Lagging(name="openai::second")
    second.says = [(LONG, "busy"), (LONG, "waited")]
    agents = LlmAgent("tutor", first, fallback=second, hedge="10ms"), LlmAgent("other", second)

    replies: list[Reply] = []

    async def run() -> None:
        async with Mesh(settings=settings(governor_room=1)) as mesh:
            for agent in agents:
                mesh.add(agent)
            async with anyio.create_task_group() as tasks:
                for _ in second.says:
                    tasks.start_soon(agents[1].complete, "hi")
                replies.append(await agents[0].complete("hi"))

    virtually(run)
    assert [reply.model for reply in replies] == ["openai::first"]
    assert len(second.asked) == 2


def test_a_hedge_does_not_go_while_the_server_has_asked_for_a_pause(virtually: Any, streamed: bool) -> None:  # noqa: FBT001 – a parameter
    refusal = ModelRateLimitError("m", 429, "too many", retry_after=20.0)
    first = Lagging((10.0, "from the first"), name="openai::first")
    second = Lagging((0.0, refusal), name="openai::second")
    agents = LlmAgent("tutor", first, fallback=second, hedge=HEDGE), LlmAgent("other", second)

    async def run() -> Reply:
        async with Mesh(settings=settings(retry_tries=1)) as mesh:
            for agent in agents:
                mesh.add(agent)
            with pytest.raises(ModelRateLimitError):
                await say(agents[1])
            return await say(agents[0], streamed=streamed)

    assert virtually(run).model == "openai::first"
    assert len(second.asked) == 1


@pytest.mark.parametrize("after", [0.0, DEFAULTS.breaker_pause + 1.0], ids=["open", "to be tried"])
def test_a_hedge_goes_to_no_model_that_is_left_alone_nor_is_it_the_one_to_see(virtually: Any, after: float) -> None:
    ill = ModelStatusError("m", 500, "ill", should_retry=False)
    first = Lagging((10.0, "from the first"), name="openai::first")
    second = Lagging(*[(0.0, ill)] * DEFAULTS.breaker_failures, name="openai::second")
    agents = LlmAgent("tutor", first, fallback=second, hedge=HEDGE), LlmAgent("other", second)

    async def run() -> Reply:
        async with Mesh() as mesh:
            for agent in agents:
                mesh.add(agent)
            for _ in range(DEFAULTS.breaker_failures):
                with pytest.raises(ModelStatusError):
                    await say(agents[1])
            await anyio.sleep(after)
            return await say(agents[0])

    assert virtually(run).model == "openai::first"
    assert len(second.asked) == DEFAULTS.breaker_failures


def test_one_that_was_not_sent_is_asked_in_its_turn(virtually: Any, streamed: bool) -> None:  # noqa: FBT001 – a parameter
    ill = ModelStatusError("m", 500, "ill", should_retry=False)
    first = Lagging((5.0, ill), name="openai::first")
    second = Lagging((0.0, "busy"), (0.0, "from the second"), name="openai::second")
    agent = LlmAgent("tutor", first, fallback=second, hedge=HEDGE)

    async def run() -> Reply:
        async with Mesh(settings=settings(hedge_share=0.0, hedge_spare=0)) as mesh:
            mesh.add(agent)
            return await say(agent, streamed=streamed)

    assert virtually(run).model == "openai::second"
    assert len(second.asked) == 1


def test_a_hedge_that_fails_is_not_tried_again(virtually: Any, streamed: bool) -> None:  # noqa: FBT001 – a parameter
    first = Lagging((20.0, "from the first"), name="openai::first")
    second = Lagging(*[(0.0, ModelStatusError("m", 503, "ill"))] * 4, name="openai::second")
    agent = LlmAgent("tutor", first, fallback=second, hedge=HEDGE)

    async def run() -> Reply:
        async with Mesh() as mesh:
            mesh.add(agent)
            return await say(agent, streamed=streamed)

    assert virtually(run).model == "openai::first"
    assert len(second.asked) == 1


# -- not often ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "most"), [(30, 3 + 3), (100, 3 + 10)])
def test_a_tenth_of_a_minute_s_requests_is_hedged_and_three_more(virtually: Any, count: int, most: int) -> None:
    """By all agents together: when a model is slow for everybody, it is not asked twice as much."""
    model = Lagging(*[(2.0, "late")] * 1_000)
    agents = [LlmAgent(f"tutor{number}", model, hedge=HEDGE) for number in range(count)]

    async def run() -> None:
        async with Mesh(settings=settings(governor_room=1_000)) as mesh, anyio.create_task_group() as tasks:
            for agent in agents:
                mesh.add(agent)
                tasks.start_soon(agent.complete, "hi")

    virtually(run)
    assert len(model.asked) == count + most


def test_a_minute_later_there_may_be_more(virtually: Any) -> None:
    model = Lagging(*[(2.0, "late")] * 1_000)
    agent = LlmAgent("tutor", model, hedge=HEDGE)

    async def run() -> list[int]:
        made = []
        async with Mesh() as mesh:
            mesh.add(agent)
            for _ in range(2):
                before = len(model.asked)
                for _ in range(6):
                    await say(agent)
                made.append(len(model.asked) - before)
                await anyio.sleep(62.0)
        return made

    assert virtually(run) == [9, 9]


# -- paid for ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("budget", "hedged"),
    [
        (Budget(calls=2), True),
        (Budget(calls=1), False),
        (Budget(tokens=2 * MOST), True),
        (Budget(tokens=2 * MOST - 1), False),
        (Budget(usd=2 * (MOST + LONGEST) / 1e6), True),
        (Budget(usd=2 * (MOST + LONGEST) / 1e6 - 1e-6), False),
        (Budget(seconds=100.0), True),
    ],
    ids=repr,
)
def test_a_hedge_is_reserved_before_it_is_sent_or_it_is_not_sent(
    virtually: Any,
    streamed: bool,  # noqa: FBT001 – a parameter
    budget: Budget,
    hedged: bool,  # noqa: FBT001
) -> None:
    model = Lagging((5.0, _counted("late")), (1.0, _counted("soon")))
    agent = LlmAgent("tutor", model, hedge=HEDGE, max_tokens=LONGEST, prices=PRICES)

    async def run() -> Reply:
        async with Mesh() as mesh:
            mesh.add(agent)
            return await say(agent, streamed=streamed, budget=budget)

    assert virtually(run).text == ("soon" if hedged else "late")
    assert len(model.asked) == 1 + hedged


def _counted(text: str) -> Reply:
    return Reply(text=text, usage=Usage(input=2, output=1))


def test_a_model_without_a_price_is_no_hedge_of_a_run_that_counts_dollars(virtually: Any) -> None:
    first, second = Lagging((5.0, "from the first")), Lagging(name="openai::unpriced")
    agent = LlmAgent("tutor", first, fallback=second, hedge=HEDGE, prices=PRICES)

    async def run() -> Reply:
        async with Mesh() as mesh:
            mesh.add(agent)
            return await say(agent, budget=Budget(usd=1.0))

    assert virtually(run).text == "from the first"
    assert second.asked == []


@pytest.mark.parametrize(("streams", "tokens"), [(False, MOST), (True, MOST - LONGEST + 64)], ids=["whole", "streamed"])
def test_whoever_is_left_is_charged_as_every_request_that_is_given_up(
    virtually: Any,
    streams: bool,  # noqa: FBT001 – a parameter
    tokens: int,
) -> None:
    """By the most it may have cost; of a stream, of which nothing had come, by what may have been on its way."""
    model = Lagging((LONG, "late"), (1.0, _counted("soon")))
    agent = LlmAgent("tutor", model, hedge=HEDGE, max_tokens=LONGEST)
    accounts: list[Account] = []
    settle = Account.settle

    def note(self: Account, *amounts: Any) -> None:
        settle(self, *amounts)
        accounts.append(self)

    async def run() -> None:
        async with Mesh() as mesh:
            mesh.add(agent)
            await say(agent, streamed=streams, budget=Budget(tokens=1_000, calls=10))

    with replaced(Account, "settle", note):
        virtually(run)
    account = accounts[-1]
    assert (account.spent.calls, account.held.calls, account.held.tokens) == (2, 0, 0)
    assert account.spent.tokens == 3 + tokens


def test_a_hedge_does_not_wait_for_the_budget_nor_go_before_those_who_do(virtually: Any) -> None:
    """Two of a run ask at once; there is money for one at a time, and none for a hedge as long as the other waits."""
    model = Lagging((5.0, _counted("one")), (5.0, _counted("two")))
    agent = LlmAgent("tutor", model, hedge=HEDGE, max_tokens=LONGEST)

    async def run() -> list[str]:
        async with Mesh() as mesh:
            mesh.add(agent)
            return await agent.send_messages_async(["hi", "hi"], budget=Budget(tokens=2 * MOST - 1), progress=False)

    assert virtually(run) == ["one", "two"]
    assert [when - model.asked[0] for when in model.asked] == pytest.approx([0.0, 5.0])


def test_a_run_that_is_out_of_time_is_not_hedged(virtually: Any) -> None:
    model = Lagging((5.0, "late"), (5.0, "later"))
    agent = LlmAgent("tutor", model, hedge=HEDGE)

    async def run() -> float:
        async with Mesh() as mesh:
            mesh.add(agent)
            with pytest.raises((BudgetError, ModelError)):
                await say(agent, budget=Budget(seconds=HEDGE / 2))
            await anyio.sleep(LONG)
            return len(model.asked)

    assert virtually(run) == 1


# -- sabotage ----------------------------------------------------------------------------------------------------------


def test_a_hedge_that_ignores_the_budget_is_noticed(virtually: Any) -> None:
    begin = SparePassage.__init__

    def forget(self: SparePassage, *arguments: Any, **options: Any) -> None:
        begin(self, *arguments, **options)
        self._purse = None  # pyright: ignore[reportPrivateUsage] – sabotage comes from inside

    with replaced(SparePassage, "__init__", forget), pytest.raises(AssertionError):
        test_a_hedge_is_reserved_before_it_is_sent_or_it_is_not_sent(
            virtually, streamed=False, budget=Budget(calls=1), hedged=False
        )


def test_a_hedge_that_takes_a_place_that_is_not_free_is_noticed(virtually: Any) -> None:
    def push(self: Governor, place: Any) -> bool:
        self._go(place, self._now())  # pyright: ignore[reportPrivateUsage] – as above
        return True

    with replaced(Governor, "admit_nowait", push):
        with pytest.raises(AssertionError):
            test_a_hedge_does_not_stand_in_line(virtually, streamed=False)
        with pytest.raises(AssertionError):
            test_a_hedge_does_not_go_while_the_server_has_asked_for_a_pause(virtually, streamed=False)


def test_hedges_without_a_limit_are_noticed(virtually: Any) -> None:
    with replaced(HedgedSession, "take", lambda *_: True), pytest.raises(AssertionError):
        test_a_tenth_of_a_minute_s_requests_is_hedged_and_three_more(virtually, 30, 6)
