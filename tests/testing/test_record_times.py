"""Time in a replay: what timed out times out again, at once; and in a simulation, answers take as long as they took."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from ceylon import Agent, Budget, Context, LlmAgent, Mesh, on
from ceylon.errors import AskTimeoutError, BudgetError, HandlerTimeoutError, ModelTimeoutError
from ceylon.models.scripted import ScriptedModel
from ceylon.models.turns import Reply, TextPart, ToolCall
from ceylon.testing import Simulation, Step, record, run_simulation
from ceylon.testing.http_server import Connection, ServerThread
from ceylon.testing.model_server import ModelServer
from support.llm import impatient, llm
from support.recorded import ForbiddenModel
from support.virtual_time import run_virtually

FOR_EVER = 3_600.0  # virtual seconds; who waits for them is found out


def text_of(tape: Path) -> str:
    return tape.read_text(encoding="utf-8")


@pytest.fixture
def tape(tmp_path: Path) -> Path:
    return tmp_path / "times.cassette"


def never() -> Step:
    return Step("late", gate=anyio.sleep_forever)


async def whole(agent: LlmAgent) -> Any:
    return (await agent.complete("one")).text


async def in_parts(agent: LlmAgent) -> Any:
    return [part.text async for part in agent.parts("one") if isinstance(part, TextPart)]


def virtually(backend: str, tape: Path, agent: Callable[[], LlmAgent], talk: Any = whole) -> tuple[Any, float]:
    """Return what came of a talk with an agent, or the error, and the virtual seconds that it took."""

    async def play() -> tuple[Any, float]:
        began, outcome = anyio.current_time(), None
        with record(tape):
            async with Mesh("market") as mesh:
                mesh.add(made := agent())
                try:
                    outcome = await talk(made)
                except Exception as error:  # noqa: BLE001 – it is what came
                    outcome = error
        return outcome, anyio.current_time() - began

    return run_virtually(backend, play)


both_loops = pytest.mark.parametrize("backend", ["asyncio", "trio"])


@both_loops
@pytest.mark.parametrize("talk", [whole, in_parts])
def test_a_turn_that_timed_out_times_out_again_without_the_wait(tape: Path, backend: str, talk: Any) -> None:
    error, seconds = virtually(backend, tape, lambda: LlmAgent("tutor", ScriptedModel([never()]), timeout=5.0), talk)
    assert isinstance(error, ModelTimeoutError)
    assert seconds >= 5.0

    again, seconds = virtually(backend, tape, lambda: LlmAgent("tutor", ForbiddenModel(), timeout=FOR_EVER), talk)
    assert isinstance(again, ModelTimeoutError)
    assert again.timeout == FOR_EVER
    assert seconds < 1.0
    assert "late: turn\n" in text_of(tape)


@both_loops
def test_a_turn_that_timed_out_after_a_call_has_acted_again(tape: Path, backend: str) -> None:
    async def stock(sku: str) -> int:
        """Say how much is left."""
        return len(sku)

    call = Reply(text="", calls=(ToolCall("1", "stock", {"sku": "tea"}),), finish="tool")
    first = ScriptedModel([call, never()])
    error, _ = virtually(backend, tape, lambda: LlmAgent("tutor", first, tools=[stock], timeout=5.0))
    again, seconds = virtually(
        backend, tape, lambda: LlmAgent("tutor", ForbiddenModel(), tools=[stock], timeout=FOR_EVER)
    )

    assert isinstance(error, ModelTimeoutError)
    assert isinstance(again, ModelTimeoutError)
    assert again.acted == error.acted
    assert seconds < 1.0


@both_loops
def test_a_handler_that_timed_out_times_out_again_without_the_wait(tape: Path, backend: str) -> None:
    def limited(seconds: float, model: Any) -> LlmAgent:
        kind: type[LlmAgent] = type("Limited", (LlmAgent,), {"handler_timeout": seconds})
        return kind("tutor", model)

    error, _ = virtually(backend, tape, lambda: limited(5.0, ScriptedModel([never()])))
    again, seconds = virtually(backend, tape, lambda: limited(FOR_EVER, ForbiddenModel()))

    assert isinstance(error, HandlerTimeoutError)
    assert isinstance(again, HandlerTimeoutError)
    assert seconds < 1.0
    assert "late: handler\n" in text_of(tape)


@both_loops
@pytest.mark.parametrize("talk", [whole, in_parts])
def test_a_model_that_was_too_slow_is_replaced_again_without_the_wait(tape: Path, backend: str, talk: Any) -> None:
    first, second = "first::model", "second::model"
    models = ScriptedModel([never()], name=first), ScriptedModel(["yes"], name=second)
    heard, seconds = virtually(
        backend, tape, lambda: LlmAgent("tutor", models[0], fallback=[models[1]], timeout=8.0), talk
    )
    assert "".join(heard) == "yes"
    assert seconds >= 4.0

    forbidden = ForbiddenModel(first), ForbiddenModel(second)
    again, seconds = virtually(
        backend, tape, lambda: LlmAgent("tutor", forbidden[0], fallback=[forbidden[1]], timeout=FOR_EVER), talk
    )
    assert again == heard
    assert seconds < 1.0


@both_loops
@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (lambda seconds: {"budget": Budget(seconds=seconds)}, BudgetError),
        (lambda seconds: {"timeout": seconds}, AskTimeoutError),
    ],
    ids=["budget", "ask"],
)
def test_whoever_did_not_wait_for_a_model_does_not_again_nor_longer_than_his_own_time(
    tape: Path, backend: str, given: Any, kind: type[Exception]
) -> None:
    def within(seconds: float) -> Callable[[LlmAgent], Awaitable[Any]]:
        return lambda agent: agent.complete("one", **given(seconds))

    error, seconds = virtually(backend, tape, lambda: LlmAgent("tutor", ScriptedModel([never()])), within(5.0))
    again, more = virtually(backend, tape, lambda: LlmAgent("tutor", ForbiddenModel()), within(7.0))

    assert isinstance(error, kind)
    assert isinstance(again, kind)
    assert 5.0 <= seconds < 6.0
    assert more < 8.0  # a budget's time may be over for the asker first, or for the model: then nobody waits again


@both_loops
def test_a_turn_that_somebody_left_is_waited_for_like_then(tape: Path, backend: str) -> None:
    """The sabotage: without the note of whose time was over, a replay waits as long as the agent is given."""
    virtually(backend, tape, lambda: LlmAgent("tutor", ScriptedModel([never()]), timeout=5.0))
    tape.write_text(text_of(tape).replace("    late: turn\n", ""), encoding="utf-8")

    again, seconds = virtually(backend, tape, lambda: LlmAgent("tutor", ForbiddenModel(), timeout=60.0))

    assert isinstance(again, ModelTimeoutError)
    assert seconds >= 60.0


async def test_a_server_that_timed_out_is_the_same_error_again(tape: Path) -> None:
    async def hang(connection: Connection) -> None:
        await connection.read_request()
        await anyio.sleep_forever()

    async def ask(url: str) -> ModelTimeoutError:
        settings = impatient(model_first_part_timeout=0.1, retry_tries=1)
        async with Mesh("market", settings=settings) as mesh:
            mesh.add(agent := LlmAgent("tutor", "openai::test", base_url=url, api_key="sk-none"))
            with pytest.raises(ModelTimeoutError) as caught:
                await in_parts(agent)
            return caught.value

    with ServerThread(hang) as server:
        with record(tape):
            recorded = await ask(f"{server.url}/v1")
        with record(tape):
            replayed = await ask(f"{server.url}/v1")
    assert (str(replayed), vars(replayed)) == (str(recorded), vars(recorded))
    assert replayed.timeout == 0.1


# -- as long as it took ------------------------------------------------------------------------------------------------


def slowly(seconds: float) -> Callable[[], Awaitable[None]]:
    async def wait() -> None:
        await anyio.sleep(seconds)

    return wait


class Watch(Agent):
    """Counts how often a second passes while it waits for an answer."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.heard: list[str] = []

    @on
    async def watch(self, patience: int, context: Context) -> list[str]:
        context.every("1s", "tick")
        context.after("2.5s", "half past two")
        try:
            self.heard.append(await context.ask("tutor", "one", timeout=patience))
        except AskTimeoutError:
            self.heard.append("nobody answered")
        return self.heard

    @on
    async def hear(self, what: str) -> None:
        self.heard.append(what)


class Busy(Watch):
    concurrency = 2


async def seconds_of(simulation: Simulation, model: Any, patience: int) -> list[str]:
    async with simulation.mesh() as mesh:
        mesh.add(LlmAgent("tutor", model))
        watch = mesh.add(Busy("watch"))
        heard: list[str] = await watch.ask(patience, timeout=60)
        request = await mesh.submit("tutor", "two", timeout=2)
        (result,) = await mesh.collect()
        await mesh.stop("watch")
        return [*heard, type(result.error).__name__, repr(request.is_done)]


def simulated(tape: Path, model: Callable[[], Any], patience: int, seed: int, **options: Any) -> list[str]:
    heard: list[str] = []

    async def test(simulation: Simulation) -> None:
        with record(tape, allow_unused=True, **options):
            heard.extend(await seconds_of(simulation, model(), patience))

    outcome = run_simulation(test, seed=seed)
    assert outcome.error is None, outcome.error
    return heard


def slow_model() -> ScriptedModel:
    return ScriptedModel([Step("yes", gate=slowly(3.2)), Step("no", gate=slowly(5.0))])


@pytest.mark.parametrize(
    ("patience", "heard"),
    [
        (10, ["tick", "tick", "half past two", "tick", "yes"]),
        (2, ["tick", "nobody answered"]),
    ],
)
def test_in_a_simulation_timers_and_deadlines_see_the_same_again(tape: Path, patience: int, heard: list[str]) -> None:
    recorded = simulated(tape, slow_model, patience, seed=1)
    assert recorded[: len(heard)] == heard
    assert recorded[-2] == "AskTimeoutError"

    for seed in range(1, 6):
        assert simulated(tape, ForbiddenModel, patience, seed=seed, mode="replay") == recorded


def test_a_replay_that_is_not_timed_is_too_fast_for_them(tape: Path) -> None:
    """The sabotage of the test above; and what a replay does by default outside of simulations."""
    recorded = simulated(tape, slow_model, 10, seed=1)

    assert recorded[0] == "tick"
    assert simulated(tape, ForbiddenModel, 10, seed=1, timed=False)[0] == "yes"


@both_loops
def test_a_timed_replay_takes_its_time_anywhere(tape: Path, backend: str) -> None:
    async def parts(agent: LlmAgent) -> list[tuple[str, float]]:
        began, heard = anyio.current_time(), list[tuple[str, float]]()
        async with Mesh("market") as mesh:
            mesh.add(agent)
            async for part in agent.parts("one"):
                if isinstance(part, TextPart):
                    heard.append((part.text, round(anyio.current_time() - began, 1)))
        return heard

    async def play(model: Any, **options: Any) -> list[tuple[str, float]]:
        with record(tape, **options):
            return await parts(LlmAgent("tutor", model))

    recorded = run_virtually(backend, lambda: play(ScriptedModel([Step(["a", "b"], gate=slowly(3.0))])))
    assert recorded == [("a", 3.0), ("b", 3.0)]

    assert run_virtually(backend, lambda: play(ForbiddenModel(), timed=True)) == recorded
    assert run_virtually(backend, lambda: play(ForbiddenModel())) == [("a", 0.0), ("b", 0.0)]


def test_what_was_recorded_of_a_server_in_a_simulation_replays_in_one(tape: Path) -> None:
    """A socket holds the clock of a simulation: what is recorded there takes the time that it takes."""
    heard: list[str] = []

    async def test(simulation: Simulation) -> None:
        with record(tape):
            async with simulation.mesh() as mesh:
                mesh.add(agent := llm(server))
                heard.append(await agent.send_message_async("one"))

    with ModelServer("You asked: {}".format) as server:
        first = run_simulation(test, seed=1)
    again = run_simulation(test, seed=2)

    assert (first.error, again.error) == (None, None)
    assert heard == ["You asked: one"] * 2


def test_seconds_that_were_recorded_outside_pass_in_a_simulation(tape: Path) -> None:
    """Whatever a recording took: here somebody has written it down by hand."""
    virtually("asyncio", tape, lambda: LlmAgent("tutor", ScriptedModel(["yes"])))
    text = text_of(tape)
    assert "seconds:" not in text
    tape.write_text(text.replace("    reply:\n", "    seconds: 3.2\n    reply:\n"), encoding="utf-8")

    async def test(simulation: Simulation) -> None:
        with record(tape, mode="replay"):
            async with simulation.mesh() as mesh:
                mesh.add(LlmAgent("tutor", ForbiddenModel()))
                heard.extend(await mesh.add(Busy("watch")).ask(10, timeout=60))
                await mesh.stop("watch")

    heard: list[str] = []
    outcome = run_simulation(test, seed=3)
    assert outcome.error is None, outcome.error
    assert heard == ["tick", "tick", "half past two", "tick", "yes"]
