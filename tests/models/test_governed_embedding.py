"""Embedding requests pass the governor and draw on the run's budget, like every other request to a model."""

from collections.abc import Sequence
from typing import Any

import anyio
import pytest

from ceylon import Budget, LlmAgent, Mesh
from ceylon.agents.remembering import Recall
from ceylon.agents.seat import Seat
from ceylon.agents.sessions import Sessions
from ceylon.errors import ArgumentError, BudgetError, HandlerError, ModelConfigError, ModelError, ModelRateLimitError
from ceylon.memory.in_memory import InMemory
from ceylon.models.embedders import resolve_embedder
from ceylon.models.embedding import Embedded
from ceylon.models.scripted import ScriptedModel
from ceylon.models.turns import Reply, Usage
from support.llm import impatient

pytestmark = pytest.mark.anyio

ANSWER = Reply(text="yes", usage=Usage(input=10, output=5))


class Plain:
    """An embedder of somebody's own: vectors, and no word of what they took."""

    name = "openai::plain-embed"

    def __init__(self, *errors: ModelError, seconds: float = 0.0) -> None:
        self.errors = list(errors)
        self.asked: list[list[str]] = []
        self.seconds = seconds

    def check(self) -> None:
        """Nothing can be wrong."""

    async def open(self, client: Any) -> Any:
        del client
        return self

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        self.asked.append(list(texts))
        await anyio.sleep(self.seconds)
        if self.errors:
            raise self.errors.pop(0)
        return [[1.0, 0.0]] * len(texts)

    async def aclose(self) -> None:
        """Nothing to give back."""


class Counted(Plain):
    """One that says it took 100 tokens a text, and takes two at a time."""

    most = 2

    async def embed_some(self, texts: Sequence[str]) -> Embedded:
        return Embedded(await self.embed(texts), Usage(input=100 * len(texts)))


def tutor(embedder: Any, **options: Any) -> LlmAgent:
    model = ScriptedModel([ANSWER] * 9)
    return LlmAgent("tutor", model, memory=InMemory(), recall=Recall(embedder=embedder), **options)


async def sessions_of(mesh: Mesh) -> Sessions:
    sessions: Sessions = await Seat(mesh.interior, "nobody", 1).sessions()
    return sessions


async def test_what_an_embedding_takes_is_counted_for_its_agent_and_its_run() -> None:
    async with Mesh() as mesh:
        ref = mesh.add(tutor(Counted()))
        await ref.ask("how are you")

        spending = mesh.statistics().spending

    assert (spending.total.requests, spending.total.input, spending.total.output) == (2, 110, 5)
    assert spending.agents["tutor"] == spending.total
    assert list(spending.runs.values()) == [spending.total]


async def test_an_embedding_that_the_budget_has_no_call_for_is_not_made() -> None:
    embedder = Plain()
    async with Mesh() as mesh:
        ref = mesh.add(tutor(embedder))
        with pytest.raises(BudgetError, match="calls"):
            await ref.using(budget=Budget(calls=0)).ask("how are you")

    assert not embedder.asked


@pytest.mark.parametrize("kind", [Plain, Counted])
async def test_an_embedding_draws_on_the_budget_as_the_answer_does(kind: type[Plain]) -> None:
    embedder = kind()
    async with Mesh() as mesh:
        ref = mesh.add(tutor(embedder))
        with pytest.raises(BudgetError, match="calls"):
            await ref.using(budget=Budget(calls=1)).ask("how are you")
        await ref.using(budget=Budget(calls=2)).ask("how are you")

    assert len(embedder.asked) == 2


async def test_a_long_text_is_held_before_it_is_embedded() -> None:
    embedder = Plain()
    async with Mesh() as mesh:
        ref = mesh.add(tutor(embedder))
        with pytest.raises(BudgetError, match="tokens"):
            await ref.using(budget=Budget(tokens=500)).ask("x" * 2_000)

    assert not embedder.asked


async def test_dollars_need_the_price_of_the_embedder_too_and_own_prices_hold() -> None:
    chat = {"scripted::model": (1.0, 1.0)}
    async with Mesh() as mesh:
        without = mesh.add(tutor(Counted(), prices=chat))
        with pytest.raises(HandlerError, match="openai::plain-embed") as failed:
            await without.using(budget=Budget(usd=1)).ask("how are you")
    assert isinstance(failed.value.root, ModelConfigError)
    async with Mesh() as mesh:
        ref = mesh.add(tutor(Counted(), prices={**chat, "openai::plain-embed": (10.0, 0.0)}))
        await ref.using(budget=Budget(usd=1)).ask("how are you")

        assert mesh.statistics().spending.total.cost == pytest.approx((100 * 10 + 10 + 5) / 1e6)


async def test_a_refused_embedding_is_tried_again() -> None:
    embedder = Plain(ModelRateLimitError("openai::plain-embed", 429, "slow down", retry_after=0.0))
    async with Mesh(settings=impatient()) as mesh:
        assert await mesh.add(tutor(embedder)).ask("how are you") == "yes"

    assert len(embedder.asked) == 2


async def test_many_texts_are_as_many_requests_as_the_server_sees() -> None:
    embedder = Counted()
    async with Mesh() as mesh:
        session = await (await sessions_of(mesh)).embedding(embedder)
        assert len(await session.embed(["a", "b", "c"])) == 3
        assert await session.embed([]) == []
        with pytest.raises(ArgumentError):
            await session.embed(["a", " "])

        assert mesh.statistics().spending.total.requests == 2
    assert embedder.asked == [["a", "b"], ["c"]]


async def test_the_end_of_the_runs_time_ends_an_embedding() -> None:
    async with Mesh() as mesh:
        ref = mesh.add(tutor(Plain(seconds=60)))
        with pytest.raises(BudgetError, match=r"seconds|time"):
            await ref.using(budget=Budget(seconds=0.05)).ask("how are you")


async def test_embedders_of_two_keys_have_a_governor_each_and_of_one_share_it() -> None:
    async with Mesh() as mesh:
        sessions = await sessions_of(mesh)
        one, same, other = (
            sessions.governor(resolve_embedder("openai::text-embedding-3-small", api_key=key))
            for key in ("sk-one", "sk-one", "sk-other")
        )
        chat = sessions.governor(sessions.resolve("local::smollm2"))

        assert one is same
        assert one is not other
        assert chat is not sessions.governor(resolve_embedder("local::smollm2"))
