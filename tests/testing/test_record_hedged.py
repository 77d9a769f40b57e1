"""What a cassette sees of hedged requests: the question and the one answer to it, whoever gave that."""

from pathlib import Path
from typing import Any

import anyio
import pytest

from ceylon import Budget, LlmAgent, Mesh
from ceylon.errors import ModelStatusError
from ceylon.models.hedging import HedgedModel
from ceylon.models.openai import OpenAIModel
from ceylon.models.port import Abilities
from ceylon.models.scripted import ScriptedModel, Step
from ceylon.models.secret import Secret
from ceylon.models.stand_ins import stand_ins
from ceylon.models.turns import Reply, Usage
from ceylon.testing import block_models, record
from ceylon.testing.seclusion import BlockedModelError
from support.recorded import ForbiddenModel

USAGE = Usage(input=100, output=10)
SLOW: Any = anyio.sleep_forever
ILL = ModelStatusError("m", 500, "ill", should_retry=False)
WAYS: dict[str, tuple[list[Any], list[Any]]] = {
    "the first in time": ([Reply(text="told", usage=USAGE)], []),
    "the second": ([Step("never", gate=SLOW)], [Reply(text="told", usage=USAGE)]),
    "the second, as the first has failed": (
        [Step(ILL, gate=lambda: anyio.sleep(0.03))],
        [Step("told", gate=lambda: anyio.sleep(0.06))],
    ),
    "the one that replaces the first": ([ILL], [Reply(text="told", usage=USAGE)]),
}


@pytest.fixture
def tape(tmp_path: Path) -> Path:
    return tmp_path / "tea.cassette"


def text_of(tape: Path) -> str:
    return tape.read_text(encoding="utf-8")


async def talk(first: Any, *others: Any, streamed: bool, **options: Any) -> tuple[Any, Any]:
    """Return the last part, or the reply, and what was spent."""
    agent = LlmAgent("tutor", first, fallback=others, hedge="10ms", prices={"second": (1.0, 2.0)}, **options)
    async with Mesh() as mesh:
        mesh.add(agent)
        reply = await (agent.stream("hi").result() if streamed else agent.complete("hi"))
        return reply, mesh.statistics().spending.total


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("streamed", [False, True])
async def test_whoever_wins_is_replayed_at_once(tape: Path, anyio_backend: str, way: str, streamed: bool) -> None:  # noqa: FBT001 – a parameter
    first, second = WAYS[way]
    with record(tape) as recording:
        models = ScriptedModel(first, name="scripted::first"), ScriptedModel(second, name="scripted::second")
        recorded = await talk(*models, streamed=streamed)
    with record(tape):
        replayed = await talk(ForbiddenModel("scripted::first"), ForbiddenModel("scripted::second"), streamed=streamed)

    assert replayed == recorded
    assert recorded[0].text == "told"
    assert len(recording.cassette.exchanges) == 1


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_model_that_is_its_own_hedge_is_replayed_too(tape: Path, anyio_backend: str, streamed: bool) -> None:  # noqa: FBT001 – a parameter
    with record(tape):
        model = ScriptedModel([Step("never", gate=SLOW), "told"], name="scripted::only")
        recorded = await talk(model, streamed=streamed)
    with record(tape):
        assert await talk(ForbiddenModel("scripted::only"), streamed=streamed) == recorded


async def test_what_is_found_out_of_a_model_on_the_way_changes_no_question(tape: Path, anyio_backend: str) -> None:
    """That it takes no stop texts is known with its first answer; a replay would never find out."""

    def look(city: str) -> str:
        """Look at a city."""
        return city

    async def talk_twice(model: Any) -> list[str]:
        agent = LlmAgent("tutor", model, hedge="1h", tools=[look], react=True)
        async with Mesh() as mesh:
            mesh.add(agent)
            return [await agent.send_message_async("hi") for _ in range(2)]

    with record(tape):
        answers = ["Final Answer: one", "Final Answer: two"]
        recorded = await talk_twice(ScriptedModel(answers, abilities=Abilities(stop=False), name="scripted::first"))
    with record(tape):
        assert await talk_twice(ForbiddenModel("scripted::first")) == recorded == ["one", "two"]


async def test_the_keys_of_all_models_are_masked(tape: Path, anyio_backend: str) -> None:
    class Leaky(ScriptedModel):
        api_key = None

        def __init__(self, key: str, *says: Any) -> None:
            super().__init__(says, name=f"scripted::{key[:3]}")
            self.api_key = Secret.of(key)

    with record(tape):
        models = (
            Leaky("one-9f2c7d1e", Step("never", gate=SLOW)),
            Leaky("two-4b8a6c3d", "one-9f2c7d1e two-4b8a6c3d told"),
        )
        await talk(*models, streamed=False)

    text = text_of(tape)
    assert "told" in text
    assert "9f2c7d1e" not in text
    assert "4b8a6c3d" not in text


async def test_a_budget_is_drawn_on_when_it_is_replayed(tape: Path, anyio_backend: str) -> None:
    async def left(*models: Any) -> Any:
        agent = LlmAgent("tutor", models[0], fallback=models[1:], hedge="10ms", max_tokens=100)
        async with Mesh() as mesh:
            mesh.add(agent)
            reply = await agent.complete("hi", budget=Budget(tokens=10_000))
            return reply.usage, mesh.statistics().spending.total.requests

    with record(tape):
        recorded = await left(ScriptedModel([Step("never", gate=SLOW)]), ScriptedModel([Reply(text="a", usage=USAGE)]))
    with record(tape):
        assert await left(ForbiddenModel("scripted::model"), ForbiddenModel("scripted::model")) == recorded


def test_a_block_on_real_models_is_one_on_those_behind_a_hedge() -> None:
    real = OpenAIModel(model="gpt-4.1", api_key=Secret.of("sk-none"))
    agent = LlmAgent("tutor", ScriptedModel(["told"]), fallback=real, hedge=1.0)

    with block_models(), pytest.raises(BlockedModelError):
        agent.build()


@pytest.mark.parametrize("mode", ["record", "replay"])
async def test_a_block_on_real_models_lets_replays_through_and_records_nothing_real(
    tape: Path, anyio_backend: str, mode: str
) -> None:
    with record(tape):
        await talk(ScriptedModel(["told"], name="openai::gpt-4.1"), streamed=False)
    real = OpenAIModel(model="gpt-4.1", api_key=Secret.of("sk-none"))

    with block_models(), record(tape, mode=mode):  # type: ignore[arg-type]
        if mode == "replay":
            assert (await talk(real, streamed=False))[0].text == "told"
        else:
            with pytest.raises(BlockedModelError):
                await talk(real, streamed=False)


async def test_without_a_listener_each_of_the_models_is_replaced(anyio_backend: str) -> None:
    model = ScriptedModel(["told"], name="scripted::there")
    stand_ins.append(lambda _: model)
    try:
        reply, _ = await talk(ForbiddenModel("a"), ForbiddenModel("b"), streamed=False)
    finally:
        stand_ins.pop()

    assert reply.text == "told"


async def test_a_cassette_that_hears_both_sides_of_a_race_is_noticed(
    tape: Path, anyio_backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HedgedModel, "is_heard_as_one", False)

    with pytest.raises(AssertionError):
        await test_whoever_wins_is_replayed_at_once(tape, anyio_backend, "the second", streamed=False)
