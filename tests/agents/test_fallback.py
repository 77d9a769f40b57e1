"""When a model cannot answer, the next one is asked; when none should, the error is told."""

import functools
from collections.abc import AsyncGenerator
from typing import Any

import anyio
import pytest

from ceylon import Budget, LlmAgent, Mesh
from ceylon.errors import (
    ArgumentError,
    BudgetError,
    IncompleteStreamError,
    ModelAuthError,
    ModelConfigError,
    ModelError,
    ModelNotFoundError,
    ModelProtocolError,
    ModelRateLimitError,
    ModelRefusalError,
    ModelStatusError,
    ModelSuspendedError,
    ModelTimeoutError,
    ModelUnavailableError,
)
from ceylon.models.port import Abilities
from ceylon.models.scripted import ScriptedModel, Step
from ceylon.models.stand_ins import stand_ins
from ceylon.models.turns import Part, Reply, Request, TextPart, Usage
from ceylon.settings import DEFAULTS
from ceylon.testing.faults import Fault
from ceylon.testing.model_server import ModelServer
from support.lagging import Lagging
from support.llm import impatient
from support.providers import Provider
from support.virtual_time import run_virtually

FALLS: list[ModelError] = [
    ModelUnavailableError("m", "there", "no engine"),
    ModelSuspendedError("m", 5, 30.0, "ill"),
    ModelAuthError("m", 401, "no"),
    ModelRateLimitError("m", 429, "no", retry_after=100.0),
    ModelRateLimitError("m", 429, "no", code="insufficient_quota"),
    ModelStatusError("m", 402, "pay"),
    ModelStatusError("m", 500, "ill", should_retry=False),
    ModelStatusError("m", 529, "busy", should_retry=False),
    ModelNotFoundError("m", (), "pull it"),
    ModelTimeoutError("m", 1.0),
    ModelProtocolError("m: nonsense"),
    IncompleteStreamError("m", ""),
]
STAYS: list[ModelError] = [
    ModelStatusError("m", 400, "no"),
    ModelStatusError("m", 413, "too long"),
    ModelStatusError("m", 422, "no"),
    ModelRefusalError("m", "policy"),
    ModelConfigError("no"),
]


def pair(*first: Any, **options: Any) -> tuple[LlmAgent, ScriptedModel, ScriptedModel]:
    """Return an agent, its model, which says *first*, and the one that stands in, which says "second"."""
    models = ScriptedModel(first, name="scripted::first"), ScriptedModel(["second"] * 4, name="scripted::second")
    return LlmAgent("tutor", models[0], fallback=[models[1]], **options), *models


async def ask(agent: LlmAgent, *, streamed: bool, **options: Any) -> Reply:
    async with Mesh(settings=impatient(retry_tries=1)) as mesh:
        mesh.add(agent)
        return await (agent.stream("hi", **options).result() if streamed else agent.complete("hi", **options))


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("error", FALLS, ids=repr)
async def test_another_answers_where_one_cannot(error: ModelError, streamed: bool, anyio_backend: str) -> None:  # noqa: FBT001 – a parameter
    agent, first, _ = pair(error)

    reply = await ask(agent, streamed=streamed)

    assert (reply.text, reply.model) == ("second", "scripted::second")
    assert len(first.requests) == 1


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("error", STAYS, ids=repr)
async def test_what_no_other_should_answer_is_told(error: ModelError, streamed: bool, anyio_backend: str) -> None:  # noqa: FBT001 – a parameter
    agent, _, second = pair(error)

    with pytest.raises(type(error)) as failed:
        await ask(agent, streamed=streamed)

    assert failed.value is error
    assert second.requests == []


@pytest.mark.parametrize("streamed", [False, True])
async def test_the_first_answers_as_long_as_it_can(streamed: bool, anyio_backend: str) -> None:  # noqa: FBT001 – a parameter
    agent, _, second = pair("first")

    reply = await ask(agent, streamed=streamed)

    assert (reply.text, reply.model) == ("first", "scripted::first")
    assert second.requests == []
    assert agent.model == "scripted::first"


async def test_nobody_else_goes_on_where_one_broke_off(anyio_backend: str) -> None:
    def breaking(_: Any) -> Any:
        yield TextPart("I th")
        raise IncompleteStreamError("scripted::first", "I th")

    class Breaking(ScriptedModel):
        async def open(self, client: Any = None) -> Any:
            session = await super().open(client)

            async def stream(request: Any) -> Any:
                for part in breaking(request):
                    yield part

            session.stream = stream  # type: ignore[method-assign]
            return session

    second = ScriptedModel(["second"])
    agent = LlmAgent("tutor", Breaking(), fallback=[second])

    with pytest.raises(IncompleteStreamError):
        await ask(agent, streamed=True)
    assert second.requests == []


@pytest.mark.parametrize("streamed", [False, True])
def test_a_model_that_does_not_begin_leaves_half_of_the_time_to_the_next(streamed: bool) -> None:  # noqa: FBT001 – a parameter
    async def run() -> tuple[Reply, float]:
        agent, *_ = pair(Step("late", gate=lambda: anyio.sleep(999)), timeout=60)
        began = anyio.current_time()
        return await ask(agent, streamed=streamed), anyio.current_time() - began

    reply, seconds = run_virtually("asyncio", run)
    assert reply.text == "second"
    assert seconds == pytest.approx(30.0, abs=0.5)


async def test_the_last_one_s_error_is_told_when_none_can(anyio_backend: str) -> None:
    models = [ScriptedModel([ModelStatusError(name, 503, "ill")], name=f"scripted::{name}") for name in "abc"]
    agent = LlmAgent("tutor", models[0]).with_fallback(*models[1:])

    with pytest.raises(ModelStatusError) as failed:
        await ask(agent, streamed=False)

    assert failed.value.model == "c"
    assert [len(model.requests) for model in models] == [1, 1, 1]


async def test_further_tries_come_before_the_next_model_and_an_open_breaker_skips_them(anyio_backend: str) -> None:
    failing = [ModelStatusError("m", 503, "ill")] * 100
    agent, first, second = pair(*failing)
    second.add(*["second"] * 20)
    async with Mesh(settings=impatient()) as mesh:
        mesh.add(agent)
        for _ in range(DEFAULTS.breaker_failures):
            await agent.complete("hi")
        asked = len(first.requests)
        await agent.complete("hi")

    assert asked > DEFAULTS.breaker_failures
    assert len(first.requests) == asked


async def test_a_budget_holds_for_all_of_them(anyio_backend: str) -> None:
    agent, _, second = pair(ModelAuthError("m", 401, "no"))

    with pytest.raises(BudgetError):
        await ask(agent, streamed=False, budget=Budget(calls=1))

    assert second.requests == []


async def test_prices_are_those_of_who_answered(anyio_backend: str) -> None:
    usage = Reply(text="second", usage=Usage(input=1_000_000, output=0))
    first = ScriptedModel([ModelAuthError("m", 401, "no")], name="scripted::first")
    second = ScriptedModel([usage], name="scripted::second")
    agent = LlmAgent("tutor", first, fallback=second, prices={"first": (1, 1), "scripted::second": (3, 0)})

    assert (await ask(agent, streamed=False)).cost == pytest.approx(3.0)


async def test_what_stands_in_for_models_in_tests_stands_in_for_each_of_them(anyio_backend: str) -> None:
    agent, *models = pair(ModelAuthError("m", 401, "no"), prices={"second": (1, 1)})
    others = {id(model): ScriptedModel([f"for {model.name}"] * 2, name=model.name) for model in models}
    others[id(models[0])] = models[0]
    stand_ins.append(lambda model: others[id(model)])
    try:
        async with Mesh(settings=impatient(retry_tries=1)) as mesh:
            mesh.add(agent)
            reply = await agent.complete("hi")
    finally:
        stand_ins.pop()

    assert reply.text == "for scripted::second"
    assert agent.model == "scripted::first"


async def test_real_servers_stand_in_for_each_other(server: ModelServer, anyio_backend: str) -> None:
    with ModelServer("other: {}".format) as other:
        from ceylon.models.resolve import resolve  # noqa: PLC0415 – loads the adapters

        model = functools.partial(resolve, "openai::test-model", api_key="sk-none")
        agent = LlmAgent("tutor", model(base_url=server.openai_url), fallback=[model(base_url=other.openai_url)])
        server.fail(Fault(status=401), Fault(reset=True))
        async with Mesh(settings=impatient(retry_tries=1)) as mesh:
            mesh.add(agent)
            texts = [await agent.send_message_async("hi") for _ in range(3)]

    assert texts == ["other: hi", "other: hi", "echo: hi"]


@pytest.mark.parametrize(
    ("wrong", "kind", "words"),
    [
        ({"fallback": 5}, ArgumentError, "fallback=(5,) cannot be; it takes model strings, or models"),
        ({"fallback": ["olama::x"]}, ModelConfigError, "did you mean 'ollama'"),
        ({"fallback": ["openai::gpt-4.1"]}, ModelConfigError, "OPENAI_API_KEY"),
        ({"prices": 5}, ArgumentError, "prices=5 cannot be"),
        ({"prices": {"m": 5}}, ArgumentError, "dollars for a million tokens"),
        ({"prices": {"m": (-1, 2)}}, ArgumentError, "dollars for a million tokens"),
        ({"prices": {"m": (1, 2, 3)}}, ArgumentError, "dollars for a million tokens"),
    ],
)
def test_what_cannot_be_is_found_at_build(wrong: dict[str, Any], kind: type[Exception], words: str) -> None:
    agent = LlmAgent("tutor", "ollama::gemma3", **wrong)
    with pytest.raises(kind) as refused:
        agent.build()

    assert words in str(refused.value)


class Silent(Provider):
    """Ends its streams before they have begun."""

    async def open(self, client: Any = None) -> Any:
        del client
        return self

    abilities = Abilities()

    async def stream(self, request: Request) -> AsyncGenerator[Part, None]:
        await self.serve(request)
        parts: tuple[Part, ...] = ()
        for part in parts:
            yield part

    async def aclose(self) -> None:
        """Nothing to give back."""


async def test_a_stream_that_ends_without_a_part_falls_back_and_the_last_one_is_a_typed_error(
    anyio_backend: str,
) -> None:
    silent, second = Silent(), ScriptedModel(["second"], name="scripted::second")

    reply = await ask(LlmAgent("tutor", silent, fallback=[second]), streamed=True)
    with pytest.raises(IncompleteStreamError):
        await ask(LlmAgent("tutor", silent, fallback=[silent]), streamed=True)

    assert reply.text == "second"
    assert len(silent.asked) == 3


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("hedge", [None, 1.0])
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_what_is_opened_after_the_session_was_given_back_is_closed(
    backend: str,
    streamed: bool,  # noqa: FBT001 – a parameter
    hedge: float | None,
) -> None:
    """An agent that is set otherwise has another session, while the query before it still comes to its second model."""
    opened: list[str] = []
    closed: list[str] = []

    class Noted(Lagging):
        async def open(self, client: Any = None) -> Any:
            session = await super().open(client)

            async def aclose() -> None:
                closed.append(self.name)

            session.aclose = aclose
            opened.append(self.name)
            return session

    ill = ModelStatusError("m", 500, "ill", should_retry=False)
    first, second = Noted((5.0, ill), name="openai::first"), Noted((1.0, "second"), name="openai::second")
    agent = LlmAgent("tutor", first, fallback=second, hedge=hedge)
    texts: list[str] = []

    async def ask_first() -> None:
        texts.append((await (agent.stream("hi").result() if streamed else agent.complete("hi"))).text)

    async def run() -> None:
        async with Mesh() as mesh, anyio.create_task_group() as tasks:
            mesh.add(agent)
            tasks.start_soon(ask_first)
            await anyio.sleep(0.5)
            for number in range(6):  # more sessions than are kept
                await agent.with_prices({f"openai::{number}": (1.0, 1.0)}).complete("hi")

    run_virtually(backend, run)
    assert texts == ["second"]
    assert "openai::second" in opened
    assert sorted(opened) == sorted(closed)
