"""A model that does not begin in time is hedged: another is asked too, the first to begin wins, the other is left."""

import functools
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from ceylon import LlmAgent, Mesh
from ceylon.agents.seat import Seat
from ceylon.agents.sessions import Sessions
from ceylon.errors import (
    ArgumentError,
    HandlerError,
    IncompleteStreamError,
    ModelAuthError,
    ModelError,
    ModelStatusError,
    ModelTimeoutError,
    ModelUnavailableError,
)
from ceylon.models.hedging import Race
from ceylon.models.port import Abilities
from ceylon.models.resolve import resolve
from ceylon.models.scripted import ScriptedModel
from ceylon.models.turns import Reply, Request, ToolCall
from ceylon.testing.model_server import ModelServer
from support.lagging import GAP, USAGE, Lagging
from support.leaps import leaping_when, on_leaping_loops
from support.llm import impatient, llm
from support.sabotaged import replaced
from support.virtual_time import run_virtually

HEDGE = 2.0
LONG = 60.0
ILL = ModelStatusError("m", 500, "ill", should_retry=False)
WRONG = ModelStatusError("m", 400, "no")


@pytest.fixture(params=["asyncio", "trio"])
def virtually(request: pytest.FixtureRequest) -> Callable[[Callable[[], Awaitable[Any]]], Any]:
    """Run something in virtual time."""
    return functools.partial(run_virtually, request.param)


@pytest.fixture(params=[False, True], ids=["whole", "streamed"])
def streamed(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


class Told:
    """What came of a query, and when."""

    def __init__(self, reply: Reply | None, error: Exception | None, seconds: float) -> None:
        self._reply, self.error, self.seconds = reply, error, seconds

    @property
    def reply(self) -> Reply:
        assert self._reply is not None, self.error
        return self._reply

    @property
    def text(self) -> str:
        return self.reply.text


async def ask(model: Any, *others: Any, streamed: bool, **options: Any) -> Told:
    """Ask an agent that hedges once; at the end nobody is asked any more."""
    agent = LlmAgent("tutor", model, fallback=others, hedge=HEDGE, **options)
    async with Mesh(settings=impatient(retry_tries=1)) as mesh:
        mesh.add(agent)
        began = anyio.current_time()
        reply, error = None, None
        try:
            reply = await (agent.stream("hi").result() if streamed else agent.complete("hi"))
        except ModelError as failed:
            error = failed
        told = Told(reply, error, anyio.current_time() - began)
        assert [each.under_way for each in (model, *others)] == [0] * (1 + len(others))
        assert await rooms(mesh, model, *others) == [0] * (1 + len(others))
    return told


async def rooms(mesh: Mesh, *models: Any) -> list[int]:
    """Return how many requests each governor believes to be under way."""
    sessions: Sessions = await Seat(mesh.interior, "nobody", 1).sessions()
    return [sessions.governor(model).under_way for model in models]


def named(name: str, *says: tuple[float, Any]) -> Lagging:
    return Lagging(*says, name=f"openai::{name}")


# -- who wins ----------------------------------------------------------------------------------------------------------


def test_a_model_that_begins_in_time_is_asked_once(virtually: Any, streamed: bool) -> None:  # noqa: FBT001 – a parameter
    first, second = named("first", (HEDGE - 0.1, "from the first")), named("second")

    told = virtually(functools.partial(ask, first, second, streamed=streamed))

    assert (told.text, told.reply.model) == ("from the first", "openai::first")
    assert (len(first.asked), len(second.asked)) == (1, 0)


def test_a_slow_model_is_asked_once_more_and_the_one_that_begins_wins(virtually: Any, streamed: bool) -> None:  # noqa: FBT001 – a parameter
    model = Lagging((LONG, "late"), (1.0, "in time"))

    told = virtually(functools.partial(ask, model, streamed=streamed))

    assert told.text == "in time"
    assert told.seconds == pytest.approx(HEDGE + 1.0 + 2 * GAP * streamed, abs=0.01)
    assert [when - model.asked[0] for when in model.asked] == pytest.approx([0.0, HEDGE])
    assert [when - model.asked[0] for when in model.left] == pytest.approx([HEDGE + 1.0], abs=0.05)


def test_the_next_model_is_the_one_that_is_asked_too(virtually: Any, streamed: bool) -> None:  # noqa: FBT001 – a parameter
    first, second, third = named("first", (LONG, "late")), named("second", (1.0, "from the second")), named("third")

    told = virtually(functools.partial(ask, first, second, third, streamed=streamed))

    assert (told.text, told.reply.model) == ("from the second", "openai::second")
    assert [len(each.asked) for each in (first, second, third)] == [1, 1, 0]
    assert (len(first.left), len(second.left)) == (1, 0)


def test_the_first_may_still_win(virtually: Any, streamed: bool) -> None:  # noqa: FBT001 – a parameter
    first, second = named("first", (HEDGE + 1.0, "from the first")), named("second", (LONG, "later"))

    told = virtually(functools.partial(ask, first, second, streamed=streamed))

    assert (told.text, told.reply.model) == ("from the first", "openai::first")
    assert [when - first.asked[0] for when in second.left] == pytest.approx([HEDGE + 1.0], abs=0.05)
    assert first.left == []


def test_a_stream_that_has_begun_is_never_hedged(virtually: Any) -> None:
    words = " ".join(["word"] * 20)
    first, second = named("first", (HEDGE - 0.1, words)), named("second")

    told = virtually(functools.partial(ask, first, second, streamed=True))

    assert told.seconds > 4 * HEDGE
    assert len(told.text.split()) == 20
    assert second.asked == []


def test_no_request_is_made_more_than_twice_however_slow_both_are(virtually: Any, streamed: bool) -> None:  # noqa: FBT001 – a parameter
    model = Lagging((LONG, "one"), (LONG, "two"))

    told = virtually(functools.partial(ask, model, streamed=streamed))

    assert told.text == "one"
    assert len(model.asked) == 2


# -- who fails ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("both", [(1.0, 2.0), (2.0, 1.0)], ids=["the first before", "the second before"])
def test_if_both_fail_the_first_error_is_told_with_a_note_of_the_other(
    virtually: Any,
    streamed: bool,  # noqa: FBT001 – a parameter
    both: tuple[float, float],
) -> None:
    errors = ModelStatusError("m", 500, "ill", should_retry=False), ModelTimeoutError("m", 7.0)
    model = Lagging((HEDGE + both[0], errors[0]), (both[1], errors[1]))

    told = virtually(functools.partial(ask, model, streamed=streamed))

    assert told.error is errors[0]
    assert told.error.__notes__ == [f"openai::lagging, asked as well after 2 s: ModelTimeoutError: {errors[1]}"]
    assert len(model.asked) == 2


def test_after_both_have_failed_those_are_asked_who_come_next(virtually: Any, streamed: bool) -> None:  # noqa: FBT001 – a parameter
    first, second = named("first", (HEDGE + 1.0, ILL)), named("second", (LONG, ILL))
    third = named("third", (5 * HEDGE, "from the third"))

    told = virtually(functools.partial(ask, first, second, third, streamed=streamed))

    assert told.reply.model == "openai::third"
    assert [len(each.asked) for each in (first, second, third)] == [1, 1, 1]


@pytest.mark.parametrize(
    "error", [ILL, WRONG, ModelAuthError("m", 401, "no"), IncompleteStreamError("m", "")], ids=repr
)
def test_the_failure_of_the_second_does_not_end_the_first(virtually: Any, streamed: bool, error: ModelError) -> None:  # noqa: FBT001 – a parameter
    first, second = named("first", (HEDGE + 5.0, "from the first")), named("second", (1.0, error))

    told = virtually(functools.partial(ask, first, second, streamed=streamed))

    assert told.reply.model == "openai::first"
    assert len(second.asked) == 1


def test_the_failure_of_the_first_does_not_end_the_second(virtually: Any, streamed: bool) -> None:  # noqa: FBT001 – a parameter
    first, second, third = named("first", (HEDGE + 1.0, ILL)), named("second", (5.0, "from the second")), named("third")

    told = virtually(functools.partial(ask, first, second, third, streamed=streamed))

    assert told.reply.model == "openai::second"
    assert told.seconds == pytest.approx(HEDGE + 5.0 + 3 * GAP * streamed, abs=0.01)
    assert third.asked == []


def test_what_no_other_should_answer_ends_both(virtually: Any, streamed: bool) -> None:  # noqa: FBT001 – a parameter
    first, second = named("first", (HEDGE + 1.0, WRONG)), named("second", (LONG, "later"))

    told = virtually(functools.partial(ask, first, second, streamed=streamed))

    assert told.error is WRONG
    assert told.seconds == pytest.approx(HEDGE + 1.0, abs=0.05)
    assert len(second.left) == 1


def test_nobody_comes_after_two_of_which_the_second_should_not_have_been_asked(virtually: Any, streamed: bool) -> None:  # noqa: FBT001 – a parameter
    first, second, third = named("first", (HEDGE + 1.0, ILL)), named("second", (3.0, WRONG)), named("third")

    told = virtually(functools.partial(ask, first, second, third, streamed=streamed))

    assert told.error is ILL
    assert third.asked == []


def test_a_model_that_fails_at_once_is_replaced_and_the_one_that_replaces_it_is_hedged(
    virtually: Any,
    streamed: bool,  # noqa: FBT001 – a parameter
) -> None:
    first, second, third = named("first", (0.5, ILL)), named("second", (LONG, "late")), named("third", (0.5, "third"))

    told = virtually(functools.partial(ask, first, second, third, streamed=streamed))

    assert told.reply.model == "openai::third"
    assert third.asked[0] - second.asked[0] == pytest.approx(HEDGE)


@pytest.mark.parametrize("says", [ILL, "from the first"], ids=["fails", "answers"])
def test_a_race_that_is_over_when_its_time_has_come_asks_nobody(virtually: Any, streamed: bool, says: Any) -> None:  # noqa: FBT001 – a parameter
    """A loop that is late finds both in one moment; the hedge then runs on until it first has to wait."""
    first, second = named("first", (HEDGE, says)), named("second", (1.0, "from the second"), (LONG, "too often"))

    told = virtually(functools.partial(ask, first, second, streamed=streamed))

    assert told.reply.model == ("openai::second" if says is ILL else "openai::first")
    assert second.left == []
    assert len(second.asked) == (says is ILL)


def test_a_second_that_outlives_the_time_of_the_first_may_still_answer(virtually: Any, streamed: bool) -> None:  # noqa: FBT001 – a parameter
    first, second = named("first", (LONG, "never")), named("second", (8.0, "from the second"))

    told = virtually(functools.partial(ask, first, second, streamed=streamed, timeout=12.0))  # the first has 6 of them

    assert told.reply.model == "openai::second"
    assert len(first.left) == 1


async def test_an_engine_that_does_not_start_is_no_reason_to_wait_for_it(anyio_backend: str) -> None:
    class Absent(ScriptedModel):
        async def open(self, client: Any = None) -> Any:
            del client
            await anyio.sleep_forever()

    agent = LlmAgent("tutor", Absent(), fallback=ScriptedModel(["here"], name="scripted::there"), hedge="10ms")
    async with Mesh() as mesh:
        mesh.add(agent)
        assert (await agent.complete("hi")).model == "scripted::there"


# -- leaving -----------------------------------------------------------------------------------------------------------


def test_whoever_gives_up_while_both_run_leaves_nothing(virtually: Any, streamed: bool) -> None:  # noqa: FBT001 – a parameter
    models = named("first", (LONG, "late")), named("second", (LONG, "late"))
    agent = LlmAgent("tutor", models[0], fallback=models[1], hedge=HEDGE)

    async def run() -> tuple[float, list[int], str]:
        async with Mesh() as mesh:
            mesh.add(agent)
            with anyio.move_on_after(HEDGE + 1.0):
                await (agent.stream("hi").result() if streamed else agent.complete("hi"))
            left_at = anyio.current_time()
            await anyio.sleep(0.05)
            assert [each.under_way for each in models] == [0, 0]
            return left_at, await rooms(mesh, *models), (await agent.complete("still there?")).text

    left_at, under_way, text = virtually(run)
    assert [len(each.left) for each in models] == [1, 1]
    assert all(0 <= each.left[0] - left_at <= 0.05 for each in models)
    assert (under_way, text) == ([0, 0], "yes")


def test_a_stream_that_is_left_after_its_hedge_has_won_ends_that_request(virtually: Any) -> None:
    model = Lagging((LONG, "late"), (1.0, "one two three four"))
    agent = LlmAgent("tutor", model, hedge=HEDGE)

    async def run() -> list[int]:
        async with Mesh() as mesh:
            mesh.add(agent)
            async with agent.stream("hi") as stream:
                assert await anext(stream) == "one"
            await anyio.sleep(0.05)
            assert model.under_way == 0
            return await rooms(mesh, model)

    assert virtually(run) == [0]
    assert len(model.left) == 2


@on_leaping_loops
async def test_the_slow_server_is_hung_up_on(server: ModelServer, streamed: bool, anyio_backend: str) -> None:  # noqa: FBT001 – a parameter
    server.hold()
    with ModelServer("other: {}".format) as other:
        fallback = resolve("openai::test-model", api_key="sk-none", base_url=other.openai_url)
        agent = llm(server, fallback=fallback, hedge="30s")
        async with Mesh() as mesh, leaping_when(lambda: server.in_flight, 30.0):
            mesh.add(agent)
            reply = await (agent.stream("hi").result() if streamed else agent.complete("hi"))
            await server.until(lambda: (server.in_flight, server.clients_left) == (0, 1))

        assert reply.text == "other: hi"
        assert (server.answered, other.answered) == (0, 1)


# -- one answer --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wins", ["first", "second"])
def test_effects_happen_once_and_the_conversation_has_one_answer(virtually: Any, streamed: bool, wins: str) -> None:  # noqa: FBT001 – a parameter
    sent: list[str] = []

    def send(text: str) -> str:
        """Send a letter."""
        sent.append(text)
        return "sent"

    call = Reply(text="", calls=(ToolCall("1", "send", {"text": "dear you"}),), finish="tool")
    slow = (HEDGE + 1.0, call) if wins == "first" else (LONG, call)
    first, second = named("first", slow, (0.0, "done")), named("second", (LONG if wins == "first" else 0.5, call))
    agent = LlmAgent("tutor", first, fallback=second, hedge=HEDGE, tools=[send])

    async def run() -> tuple[str, int]:
        async with Mesh() as mesh:
            mesh.add(agent)
            chat = agent.conversation("alice")
            reply = await (chat.stream("send it").result() if streamed else chat.complete("send it"))
            return reply.text, len(await chat.history())

    assert virtually(run) == ("done", 4)  # question, call, result, answer
    assert sent == ["dear you"]
    assert (len(first.asked), len(second.asked)) == (2, 1)


def test_what_is_counted_is_what_was_answered(virtually: Any, streamed: bool) -> None:  # noqa: FBT001 – a parameter
    model = Lagging((LONG, "late"), (1.0, "in time"))
    agent = LlmAgent("tutor", model, hedge=HEDGE, prices={"lagging": (1.0, 2.0)})

    async def run() -> tuple[Reply, Any]:
        async with Mesh() as mesh:
            mesh.add(agent)
            reply = await (agent.stream("hi").result() if streamed else agent.complete("hi"))
            return reply, mesh.statistics().spending.total

    reply, spent = virtually(run)
    assert (reply.usage, reply.requests) == (USAGE, 1)
    assert (spent.requests, spent.input, spent.output) == (1, 100, 10)
    assert reply.cost == pytest.approx(120e-6)
    assert spent.cost == pytest.approx(120e-6)


class Simultaneous(Lagging):
    """Answers two requests in one moment, past the point where one of them could be stopped."""

    abilities = Abilities()

    def __init__(self) -> None:
        super().__init__()
        self._has_both = anyio.Event()

    async def open(self, client: Any = None) -> Any:
        del client
        return self

    async def complete(self, request: Request) -> Reply:
        if self.asked:
            self._has_both.set()
        with self.work(request), anyio.CancelScope(shield=True):
            await self._has_both.wait()
        return Reply(text="yes", usage=USAGE)

    async def aclose(self) -> None:
        """Nothing to give back."""


async def test_two_whole_answers_in_one_moment_are_both_counted(anyio_backend: str) -> None:
    agent = LlmAgent("tutor", Simultaneous(), hedge="10ms", prices={"lagging": (1.0, 2.0)})
    async with Mesh() as mesh:
        mesh.add(agent)
        reply = await agent.complete("hi")
        spent = mesh.statistics().spending.total

    assert (reply.usage, reply.requests) == (USAGE + USAGE, 2)
    assert (spent.requests, spent.input) == (2, 200)
    assert reply.cost == pytest.approx(240e-6)
    assert spent.cost == pytest.approx(240e-6)


def test_a_hedge_is_logged(virtually: Any, caplog: pytest.LogCaptureFixture) -> None:
    first, second = named("first", (LONG, "late")), named("second", (1.0, "from the second"))
    with caplog.at_level(logging.INFO, "ceylon"):
        virtually(functools.partial(ask, first, second, streamed=False))

    [told] = [record.getMessage() for record in caplog.records if "model_hedged" in record.getMessage()]
    assert all(words in told for words in ("openai::first", "openai::second", "2.0"))


# -- settings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hedge", [2.0, 2, "2s", "2000ms"])
def test_a_hedge_is_a_time_in_seconds_or_in_words(virtually: Any, hedge: Any) -> None:
    model = Lagging((LONG, "late"), (1.0, "in time"))
    agents = LlmAgent("tutor", model, hedge=hedge), LlmAgent("tutor", model).with_hedge(hedge).build()

    async def run(agent: LlmAgent) -> str:
        async with Mesh() as mesh:
            mesh.add(agent)
            return await agent.send_message_async("hi")

    for agent in agents:
        model.says = [(LONG, "late"), (1.0, "in time")]
        assert virtually(functools.partial(run, agent)) == "in time"
    assert model.asked[1] - model.asked[0] == pytest.approx(2.0)


@pytest.mark.parametrize("hedge", [0, -1, "soon", "0s", float("inf"), float("nan"), True, [2]])
def test_what_is_no_time_is_found_at_build(hedge: Any) -> None:
    with pytest.raises(ArgumentError, match=r"hedge=.* cannot be; it takes a time to wait"):
        LlmAgent("tutor", "ollama::gemma3", hedge=hedge).build()


def test_without_a_hedge_nothing_of_it_is_there(virtually: Any) -> None:
    model = Lagging((LONG, "late"))
    agent = LlmAgent("tutor", model, hedge=HEDGE).with_hedge(None)

    async def run() -> str:
        async with Mesh() as mesh:
            mesh.add(agent)
            return await agent.send_message_async("hi")

    assert virtually(run) == "late"
    assert len(model.asked) == 1
    assert agent.__ceylon_llm_setup__.model() is model


def test_a_session_is_kept_as_long_as_the_hedge_is_the_same() -> None:
    agent = LlmAgent("tutor", Lagging(), hedge=HEDGE)
    model = agent.__ceylon_llm_setup__.model()

    assert agent.with_temperature(0.5).__ceylon_llm_setup__.model() is model
    assert agent.with_hedge(3.0).__ceylon_llm_setup__.model() is not model


# -- sabotage ----------------------------------------------------------------------------------------------------------


def test_a_loser_that_is_not_left_is_noticed(virtually: Any) -> None:
    async def run(self: Race[Any]) -> Any:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._ask_second)  # pyright: ignore[reportPrivateUsage] – sabotage comes from inside
            with anyio.CancelScope(shield=True):
                await self._ask(self._first)  # pyright: ignore[reportPrivateUsage]
        return await self._outcome()  # pyright: ignore[reportPrivateUsage]

    with replaced(Race, "run", run), pytest.raises(AssertionError):
        test_a_slow_model_is_asked_once_more_and_the_one_that_begins_wins(virtually, streamed=False)


def test_a_hedge_after_the_first_part_is_noticed(virtually: Any) -> None:
    run_race = Race.run

    async def run(self: Race[Any]) -> Any:
        begun = await run_race(self)
        late = await self._ask(self._second)  # pyright: ignore[reportPrivateUsage] – as above
        await late.parts.aclose()
        return begun

    with replaced(Race, "run", run), pytest.raises(AssertionError):
        test_a_stream_that_has_begun_is_never_hedged(virtually)


def test_whatever_stands_behind_the_mesh_sees_the_error_of_the_first(virtually: Any) -> None:
    error = ModelUnavailableError("m", "there", "it is gone")
    model = Lagging((HEDGE + 1.0, error), (0.5, ILL))

    async def run() -> HandlerError:
        async with Mesh(settings=impatient(retry_tries=1)) as mesh:
            ref = mesh.add(LlmAgent("tutor", model, hedge=HEDGE))
            with pytest.raises(HandlerError) as failed:
                await ref.ask("hi")
            return failed.value

    assert virtually(run).root is error
