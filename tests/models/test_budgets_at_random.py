"""Whatever a run does – fan out, try again, fail, crash, be cancelled – it spends no more than its budget."""

import contextlib
import functools
from typing import Any, Final

import anyio
import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ceylon import Agent, Budget, Context, LlmAgent, Mesh, Message
from ceylon.errors import CeylonError, ModelError, ModelRateLimitError, ModelStatusError, ModelUnavailableError
from ceylon.models.governor.spare import SparePassage
from ceylon.models.turns import Request
from ceylon.settings import DEFAULTS
from ceylon.testing import sabotage
from support.providers import BillingProvider
from support.sabotaged import replaced
from support.virtual_time import run_virtually

PRICES: Final = {"openai::billing": (1.0, 2.0)}
MODELS: Final = 3
HEDGE: Final = 0.005  # seconds; two of three requests take longer
ERRORS: Final = (
    ModelStatusError("m", 503, "ill"),
    ModelRateLimitError("m", 429, "too many", retry_after=0.1),
    ModelUnavailableError("m", "there", "it is gone"),
    ModelStatusError("m", 400, "no"),
)


class Branch(Message[int], tag="budgets.Branch"):
    """Asks models, and others for the branches below; *ends* is how that ends for itself."""

    queries: tuple[int, ...] = ()  # seeds of what the model does
    below: tuple["Branch", ...] = ()
    ends: str = ""
    at_once: bool = True


class Brancher(Agent):
    """One level of a tree."""

    concurrency = 64

    async def on_message(self, branch: Branch, context: Context) -> int:
        async with anyio.create_task_group() as tasks:
            for number, seed in enumerate(branch.queries):
                await self._do(tasks, branch, functools.partial(_ask, context, f"model{number % MODELS}", str(seed)))
            for each in branch.below:
                await self._do(tasks, branch, functools.partial(_ask, context, "below", each))
            if branch.ends == "cancel":
                await anyio.sleep(0.02)
                tasks.cancel_scope.cancel()
        if branch.ends == "crash":
            raise RuntimeError("as planned")
        return len(branch.queries)

    @staticmethod
    async def _do(tasks: Any, branch: Branch, function: Any) -> None:
        if branch.at_once:
            tasks.start_soon(function)
        else:
            await function()


async def _ask(context: Context, address: str, message: Any) -> None:
    with contextlib.suppress(CeylonError):
        if isinstance(message, str) and int(message) % 2:
            async for _ in context.stream(address, message):
                pass
        else:
            await context.ask(address, message, timeout=60.0)


def plan(request: Request) -> tuple[int, int, ModelError | None]:
    """Return what the model does with a seed: never more tokens in than the text may have."""
    text = request.turns[-1].text
    seed = int(text)
    error = ERRORS[seed // 7 % len(ERRORS)] if seed % 5 == 0 else None
    return 1 + seed % (len(text) + 20), seed % 300, error


async def spend(branch: Branch, budget: Budget, hedge: float | None = None) -> BillingProvider:
    """Run *branch* under *budget*; return who has billed for it. With *hedge* all that is slow is asked twice."""
    provider = BillingProvider(plan, pauses=(0.01,) if hedge is None else (0.03, 0.01, 0.001))
    with_prices = functools.partial(LlmAgent, concurrency=64, prices=PRICES, hedge=hedge)
    quick = msgspec.structs.replace(DEFAULTS, budget_output=200, budget_least_output=20, hedge_share=1.0)
    async with Mesh(settings=quick) as mesh:
        for name in ("top", "below"):
            agent = Brancher(name)
            agent.concurrency, agent.reentrant = 512, True
            mesh.add(agent)
        for number in range(MODELS):
            fallback = [provider] if hedge and number % 2 else []
            mesh.add(with_prices(f"model{number}", provider, max_tokens=100 if number else None, fallback=fallback))
        with contextlib.suppress(CeylonError):
            await mesh.ref("top").using(budget=budget, timeout=300.0).ask(branch)
    return provider


def overspent(branch: Branch, budget: Budget, backend: str, hedge: float | None = None) -> list[str]:
    """Return by what the run has overspent."""
    provider = run_virtually(backend, functools.partial(spend, branch, budget, hedge))
    found = []
    if budget.tokens is not None and provider.tokens > budget.tokens:
        found.append(f"{provider.tokens} tokens of {budget.tokens}")
    if budget.calls is not None and provider.calls > budget.calls:
        found.append(f"{provider.calls} calls of {budget.calls}")
    if budget.usd is not None and provider.dollars > budget.usd + 1e-12:
        found.append(f"${provider.dollars} of {budget.usd}")
    return found


seeds = st.integers(0, 10_000)


def branches(depth: int) -> st.SearchStrategy[Branch]:
    below = st.lists(branches(depth - 1), max_size=4).map(tuple) if depth else st.just(())
    return st.builds(
        Branch,
        queries=st.lists(seeds, max_size=64 if depth == 0 else 16).map(tuple),
        below=below,
        ends=st.sampled_from(["", "", "cancel", "crash"]),
        at_once=st.booleans(),
    )


budgets = st.builds(
    Budget,
    usd=st.none() | st.floats(0.0, 0.01),
    tokens=st.none() | st.integers(0, 20_000),
    calls=st.none() | st.integers(0, 80),
).filter(lambda budget: budget != Budget())

property_settings = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@settings(property_settings, max_examples=25)
@given(branch=branches(2), budget=budgets)
def test_a_run_never_spends_more_than_its_budget(backend: str, branch: Branch, budget: Budget) -> None:
    assert overspent(branch, budget, backend) == []


@pytest.mark.slow
@settings(property_settings, max_examples=150)
@given(branch=branches(2), budget=budgets)
def test_a_run_never_spends_more_than_its_budget_however_often_one_looks(branch: Branch, budget: Budget) -> None:
    assert overspent(branch, budget, "asyncio") == []


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@settings(property_settings, max_examples=4)
@given(branch=branches(1), budget=budgets)
def test_a_run_that_hedges_never_spends_more_either(backend: str, branch: Branch, budget: Budget) -> None:
    assert overspent(branch, budget, backend, HEDGE) == []


@pytest.mark.slow
@settings(property_settings, max_examples=40)
@given(branch=branches(2), budget=budgets)
def test_a_run_that_hedges_never_spends_more_however_often_one_looks(branch: Branch, budget: Budget) -> None:
    assert overspent(branch, budget, "asyncio", HEDGE) == []


def test_a_run_that_hedges_without_looking_at_its_budget_overspends() -> None:
    branch, budget = Branch(queries=tuple(range(1_001, 1_025, 3)), at_once=False), Budget(calls=9)
    begin = SparePassage.__init__

    def forget(self: SparePassage, *arguments: Any, **options: Any) -> None:
        begin(self, *arguments, **options)
        self._purse = None  # pyright: ignore[reportPrivateUsage] – sabotage comes from inside

    provider = run_virtually("asyncio", functools.partial(spend, branch, budget, HEDGE))
    assert len(branch.queries) < provider.calls <= 9
    with replaced(SparePassage, "__init__", forget):
        assert overspent(branch, budget, "asyncio", HEDGE)


@pytest.mark.parametrize(("width", "hedge"), [(8, None), (64, None), (8, HEDGE)])
def test_charging_afterwards_overspends_as_soon_as_anything_fans_out(width: int, hedge: float | None) -> None:
    branch = Branch(queries=tuple(range(1_001, 1_001 + 3 * width, 3)))
    budgets_of = (Budget(tokens=150), Budget(calls=1), Budget(usd=0.0004))

    assert [overspent(branch, budget, "asyncio", hedge) for budget in budgets_of] == [[], [], []]
    with sabotage.charge_after():
        assert all(overspent(branch, budget, "asyncio", hedge) for budget in budgets_of[:2])


def test_the_property_is_red_when_requests_are_charged_afterwards() -> None:
    with sabotage.charge_after(), pytest.raises(AssertionError):
        look_for_overspending()


@settings(property_settings, max_examples=100, database=None, phases=[Phase.generate])
@given(branch=branches(1), budget=budgets)
def look_for_overspending(branch: Branch, budget: Budget) -> None:
    """Do as the property does."""
    assert overspent(branch, budget, "asyncio") == []


def test_a_budget_that_is_large_enough_is_used() -> None:
    branch = Branch(queries=tuple(range(1, 65)))
    provider = run_virtually("asyncio", functools.partial(spend, branch, Budget(tokens=20_000, calls=200)))

    assert len({*range(1, 65)}) <= provider.calls
    assert provider.tokens > 1_000
