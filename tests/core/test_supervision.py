"""What happens after a failure: the agent resumes, begins again, or stops; its mailbox is kept or accounted for."""

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import pytest

from ceylon import Agent, AgentStartError, BlockingContext, Context, HandlerError, Mesh, Message, UnknownAgentError, on
from ceylon.core.ports import AgentOptions, Directive
from ceylon.core.supervision import Supervisor
from ceylon.errors import AgentStoppedError, ArgumentError, DefinitionError
from ceylon.messages import Envelope
from support.leftovers import DEADLINE, eventually, quick, tidy_mesh


class Add(Message[None]):
    """Add *number* to the total."""

    number: int


class Total(Message[int]):
    """What is the total?"""


class Explode(Message[None]):
    """Fail with *word*."""

    word: str = "boom"


class Ledger(Agent):
    """Adds up."""

    def __init__(self, name: str, *, start: int = 0, diary: list[Any] | None = None) -> None:
        super().__init__(name)
        self.total = start
        self.diary = [] if diary is None else diary
        self.diary.append("made")

    @on
    async def add(self, add: Add) -> None:
        self.total += add.number
        self.diary.append(add.number)

    @on
    async def answer(self, total: Total) -> int:
        return self.total

    @on
    async def explode(self, explode: Explode) -> None:
        raise ValueError(explode.word)

    async def on_stop(self) -> None:
        self.diary.append("stop")


class SyncLedger(Ledger):
    """Adds up in a thread."""

    @on
    def add(self, add: Add) -> None:  # type: ignore[override]
        self.total += add.number
        self.diary.append(add.number)

    @on
    def explode(self, explode: Explode) -> None:  # type: ignore[override]
        raise ValueError(explode.word)


class Restarting(Ledger):
    on_failure = "restart"


class SyncRestarting(SyncLedger):
    on_failure = "restart"


class Stopping(Ledger):
    on_failure = "stop"


class SyncStopping(SyncLedger):
    on_failure = "stop"


LEDGERS = [Ledger, SyncLedger]
RESTARTING = [Restarting, SyncRestarting]
STOPPING = [Stopping, SyncStopping]


@pytest.fixture
async def mesh(anyio_backend: str) -> AsyncIterator[Mesh]:
    """A mesh that must end tidily."""
    async with tidy_mesh(restarts=2) as mesh:
        yield mesh


# -- the three directives ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", LEDGERS)
async def test_an_agent_resumes_with_its_state_unless_it_says_otherwise(kind: type[Ledger], mesh: Mesh) -> None:
    ledger = mesh.add(kind("ledger"))
    await ledger.tell(Add(2))

    for _ in range(10):
        await ledger.tell(Explode())
    await ledger.tell(Add(5))

    assert await ledger.ask(Total()) == 7
    assert mesh.statistics().agents["ledger"].restarts == 0


@pytest.mark.parametrize("kind", RESTARTING)
async def test_restart_forgets_state_but_keeps_the_mailbox(kind: type[Ledger], mesh: Mesh) -> None:
    ledger = mesh.add(kind("ledger"))

    await ledger.tell(Add(2))
    await ledger.tell(Explode())
    await ledger.tell(Add(5))

    assert await ledger.ask(Total()) == 5
    statistics = mesh.statistics()
    assert statistics.agents["ledger"].restarts == 1
    assert statistics.dead_letters == {"handler_failed": 1}


@pytest.mark.parametrize("kind", RESTARTING)
async def test_messages_behind_the_failing_one_keep_their_order(kind: type[Ledger], mesh: Mesh) -> None:
    diary: list[Any] = []
    ledger = mesh.add(kind("ledger", diary=diary))

    ledger.tell_nowait(Add(-1))
    ledger.tell_nowait(Explode())
    for number in range(200):
        ledger.tell_nowait(Add(number))
    assert await ledger.ask(Total()) == sum(range(200))

    assert diary == ["made", -1, "stop", "made", *range(200)]


async def test_a_new_instance_is_made_as_the_first_one_was(mesh: Mesh) -> None:
    ledger = mesh.add(Restarting("ledger", start=100))

    await ledger.tell(Add(1))
    await ledger.tell(Explode())

    assert await ledger.ask(Total()) == 100


async def test_the_old_object_stays_a_working_handle(mesh: Mesh) -> None:
    first = Restarting("ledger")
    mesh.add(first)
    await first.ref.tell(Explode())
    await first.ref.tell(Add(3))

    assert await first.ref.ask(Total()) == 3

    current = mesh.agent("ledger")
    assert isinstance(current, Restarting)
    assert current is not first
    assert (current.total, first.total) == (3, 0)


async def test_the_old_object_may_join_another_mesh_when_its_own_has_closed() -> None:
    first = Restarting("ledger", start=1)
    async with tidy_mesh() as mesh:
        ledger = mesh.add(first)
        await ledger.tell(Explode())
        await ledger.ask(Total())

    async with tidy_mesh() as mesh:
        assert await mesh.add(first).ask(Total()) == 1


@pytest.mark.parametrize("kind", RESTARTING)
async def test_the_asker_of_a_failing_message_hears_of_it_at_once(kind: type[Ledger]) -> None:
    async with tidy_mesh(backoff_first=1e9, backoff_most=1e9, drain_timeout=0.05) as mesh:
        ledger = mesh.add(kind("ledger"))  # with jitter, a pause of a minute may well be none

        with anyio.fail_after(DEADLINE), pytest.raises(HandlerError, match="boom"):
            await ledger.ask(Explode())

        assert mesh.statistics().agents["ledger"].state == "restarting"


@pytest.mark.parametrize("kind", STOPPING)
async def test_stop_stops_the_agent_and_accounts_for_its_mail(kind: type[Ledger], mesh: Mesh) -> None:
    diary: list[Any] = []
    ledger = mesh.add(kind("ledger", diary=diary))
    other = mesh.add(Ledger("other"))

    ledger.tell_nowait(Explode())
    for number in range(5):
        ledger.tell_nowait(Add(number))
    with pytest.raises(AgentStoppedError):
        await ledger.ask(Total())
    await eventually(lambda: "ledger" not in mesh.agents)

    assert diary == ["made", "stop"]
    assert mesh.statistics().dead_letters == {"handler_failed": 1, "agent_failed": 6}
    with pytest.raises(UnknownAgentError):
        await ledger.tell(Add(1))
    assert await other.ask(Total()) == 0


@pytest.mark.parametrize("kind", RESTARTING)
async def test_too_many_restarts_stop_the_agent_for_good(
    kind: type[Ledger], mesh: Mesh, caplog: pytest.LogCaptureFixture
) -> None:
    diary: list[Any] = []
    ledger = mesh.add(kind("ledger", diary=diary))

    for word in ("one", "two", "three"):
        ledger.tell_nowait(Explode(word))
    ledger.tell_nowait(Add(1))
    with pytest.raises(AgentStoppedError):
        await ledger.ask(Total())
    await eventually(lambda: mesh.agents == [])

    statistics = mesh.statistics()
    assert statistics.dead_letters == {"handler_failed": 3, "agent_failed": 2}
    assert (statistics.stopped_agents.restarts, statistics.stopped_agents.dead_lettered) == (2, 2)
    assert diary.count("made") == 3
    with pytest.raises(UnknownAgentError):
        await ledger.ask(Total())
    assert "agent_failed_for_good" in caplog.text


@pytest.mark.parametrize("kind", RESTARTING)
async def test_every_instance_is_stopped_once(kind: type[Ledger], mesh: Mesh) -> None:
    diary: list[Any] = []
    ledger = mesh.add(kind("ledger", diary=diary))

    for _ in range(3):
        ledger.tell_nowait(Explode())
    await eventually(lambda: mesh.agents == [])

    assert diary == ["made", "stop"] * 3


# -- functions that decide ---------------------------------------------------------------------------------------------


class Deciding(Ledger):
    """Asks a function, which sees the error and the envelope."""

    def __init__(self, name: str, decide: Callable[[BaseException, Envelope], Any], diary: list[Any]) -> None:
        super().__init__(name, diary=diary)
        self.on_failure = decide


async def test_a_function_decides_by_error_and_envelope(mesh: Mesh) -> None:
    seen: list[tuple[str, str, str]] = []

    def decide(error: BaseException, envelope: Envelope) -> Directive:
        word = envelope.message.word
        seen.append((str(error), word, envelope.recipient))
        return "restart" if word == "again" else "resume"

    diary: list[Any] = []
    ledger = mesh.add(Deciding("ledger", decide, diary))
    await ledger.tell(Add(1))
    await ledger.tell(Explode("whatever"))
    before = await ledger.ask(Total())
    await ledger.tell(Explode("again"))
    after = await ledger.ask(Total())

    assert (before, after) == (1, 0)
    assert seen == [("whatever", "whatever", "ledger"), ("again", "again", "ledger")]


def _refuse(error: BaseException, envelope: Envelope) -> Any:
    raise LookupError("undecided")


def _exit(error: BaseException, envelope: Envelope) -> Any:
    raise SystemExit(3)


def _mumble(error: BaseException, envelope: Envelope) -> Any:
    return "perhaps"


def _say_nothing(error: BaseException, envelope: Envelope) -> Any:
    return None


@pytest.mark.parametrize("decide", [_refuse, _exit, _mumble, _say_nothing])
async def test_who_cannot_decide_is_stopped_with_a_word_about_it(
    decide: Any, mesh: Mesh, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = mesh.add(Deciding("ledger", decide, []))

    with pytest.raises(HandlerError, match="boom"):
        await ledger.ask(Explode())

    await eventually(lambda: mesh.agents == [])
    assert "supervision_failed" in caplog.text


def test_a_bad_directive_names_the_good_ones() -> None:
    supervisor = Supervisor(quick(), random.Random(1))  # noqa: S311 – jitter
    envelope = Envelope(1, "tell", "", "ledger", Explode())
    options = AgentOptions(concurrency=1, mailbox_capacity=None, ask_timeout=None, on_failure=_mumble, takes_keys=False)

    with pytest.raises(DefinitionError, match="resume, restart, stop") as caught:
        supervisor.decide(options, envelope, ValueError())

    assert "'perhaps'" in str(caught.value)


# -- how often, how soon -----------------------------------------------------------------------------------------------


def test_failures_count_within_their_period_only() -> None:
    supervisor = Supervisor(quick(restarts=2, restart_period=30.0), random.Random(1))  # noqa: S311 – jitter
    failures: deque[float] = deque()

    said = [supervisor.may_restart(failures, now) for now in (0.0, 10.0, 30.0, 40.0, 59.999)]

    assert said == [True, True, True, True, False]


def test_pauses_grow_with_jitter_up_to_the_most() -> None:
    supervisor = Supervisor(quick(backoff_first=0.1, backoff_most=1.0), random.Random(7))  # noqa: S311 – jitter

    pauses = [[supervisor.pause(deque([0.0] * failures)) for _ in range(200)] for failures in (1, 2, 3, 9)]

    for drawn, most in zip(pauses, (0.1, 0.2, 0.4, 1.0), strict=True):
        assert 0.0 <= min(drawn) < most / 4
        assert most * 3 / 4 < max(drawn) <= most


# -- restarts in detail ------------------------------------------------------------------------------------------------


class Telling(Restarting):
    async def on_start(self) -> None:
        self.diary.append("start")

    async def on_restart(self, error: BaseException, context: Context) -> None:
        self.diary.append((str(error), context.address))


class SyncTelling(Restarting):
    def on_start(self) -> None:
        self.diary.append("start")

    def on_restart(self, error: BaseException, context: BlockingContext) -> None:
        self.diary.append((str(error), context.address))


@pytest.mark.parametrize("kind", [Telling, SyncTelling])
async def test_a_restart_goes_from_the_old_instance_to_the_new_one(kind: type[Ledger], mesh: Mesh) -> None:
    diary: list[Any] = []
    ledger = mesh.add(kind("ledger", diary=diary))

    await ledger.tell(Explode("bang"))
    await ledger.tell(Add(1))
    await ledger.ask(Total())

    assert diary == ["made", "start", "stop", "made", "start", ("bang", "ledger"), 1]


class BareTelling(Restarting):
    async def on_restart(self) -> None:
        self.diary.append("restart")


async def test_on_restart_may_take_nothing(mesh: Mesh) -> None:
    diary: list[Any] = []
    ledger = mesh.add(BareTelling("ledger", diary=diary))

    await ledger.tell(Explode())
    await ledger.ask(Total())

    assert diary[-1] == "restart"


class BadRestart(Restarting):
    """Its `on_restart` fails as often as it is told."""

    def __init__(self, name: str, *, times: int, diary: list[Any]) -> None:
        super().__init__(name, diary=diary)
        self.times = times

    async def on_restart(self, error: BaseException) -> None:
        self.diary.append(str(error))
        if len([word for word in self.diary if word == "boom"]) <= self.times:
            raise OSError("and the restart fails, too")


async def test_a_failing_on_restart_is_tried_again(mesh: Mesh) -> None:
    diary: list[Any] = []
    ledger = mesh.add(BadRestart("ledger", times=1, diary=diary))

    await ledger.tell(Explode())
    await ledger.tell(Add(4))

    assert await ledger.ask(Total()) == 4
    assert diary == ["made", "stop", "made", "boom", "stop", "made", "boom", 4]


async def test_an_on_restart_that_fails_for_ever_is_a_failure_for_good(mesh: Mesh) -> None:
    ledger = mesh.add(BadRestart("ledger", times=100, diary=[]))

    await ledger.tell(Explode())
    with pytest.raises((AgentStoppedError, AgentStartError)):
        await ledger.ask(Total(), timeout=60)

    await eventually(lambda: mesh.agents == [])


class OnceOnly(Restarting):
    """Cannot be made a second time."""

    def __init__(self, name: str, *, diary: list[Any]) -> None:
        super().__init__(name, diary=diary)
        if diary.count("made") > 1:
            raise OSError("no more of these")


async def test_an_agent_that_cannot_be_made_again_says_why(mesh: Mesh) -> None:
    diary: list[Any] = []
    ledger = mesh.add(OnceOnly("ledger", diary=diary))

    ledger.tell_nowait(Explode())
    with pytest.raises(AgentStartError, match="no more of these"):
        await ledger.ask(Total())
    await eventually(lambda: mesh.agents == [])

    assert diary == ["made", "stop", "made"]


async def test_an_agent_may_be_stopped_while_it_pauses_before_a_restart() -> None:
    async with tidy_mesh(backoff_first=1e9, backoff_most=1e9, drain_timeout=0.05) as mesh:
        ledger = mesh.add(Restarting("ledger"))
        ledger.tell_nowait(Explode())
        ledger.tell_nowait(Add(1))
        await eventually(lambda: mesh.statistics().agents["ledger"].state == "restarting")

        with anyio.fail_after(DEADLINE):
            await mesh.stop(ledger)

        assert mesh.agents == []
        assert mesh.statistics().dead_letters == {"handler_failed": 1, "stopped": 1}


async def test_a_mesh_may_be_closed_while_an_agent_pauses_before_a_restart() -> None:
    with anyio.fail_after(DEADLINE):
        async with tidy_mesh(backoff_first=1e9, backoff_most=1e9, drain_timeout=0.05) as mesh:
            ledger = mesh.add(Restarting("ledger"))  # with jitter, a pause of a minute may well be none
            ledger.tell_nowait(Explode())
            ledger.tell_nowait(Add(1))

    assert mesh.statistics().dead_letters == {"handler_failed": 1, "stopped": 1}


class Pair(Restarting):
    """Handles two messages at one time."""

    concurrency = 2

    def __init__(self, name: str, *, diary: list[Any], may_go: anyio.Event) -> None:
        super().__init__(name, diary=diary)
        self.may_go = may_go

    @on
    async def wait(self, word: str) -> str:
        await self.may_go.wait()
        self.diary.append(word)
        return word


async def test_a_restart_waits_for_the_agents_other_handlers(mesh: Mesh) -> None:
    diary: list[Any] = []
    may_go = anyio.Event()
    pair = mesh.add(Pair("pair", diary=diary, may_go=may_go))
    answers: list[str] = []

    async def ask() -> None:
        answers.append(await pair.ask("unharmed"))

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await eventually(lambda: mesh.statistics().agents["pair"].accepted)
        await pair.tell(Explode())
        await eventually(lambda: mesh.statistics().agents["pair"].state == "restarting")
        may_go.set()
    await pair.ask(Total())

    assert answers == ["unharmed"]
    assert diary == ["made", "unharmed", "stop", "made"]


@pytest.mark.parametrize(
    "error", [SystemExit(3), GeneratorExit(), MemoryError(), BaseExceptionGroup("g", [KeyError()])]
)
@pytest.mark.parametrize("colour", ["async", "sync"])
async def test_what_is_no_exception_is_supervised_all_the_same(error: BaseException, colour: str, mesh: Mesh) -> None:
    class Raising(Ledger):
        on_failure = "restart"

        @on
        async def raise_on_loop(self, word: str) -> None:
            raise error

        @on
        def raise_in_thread(self, word: bytes) -> None:
            raise error

    ledger = mesh.add(Raising("ledger", start=1))

    await ledger.tell(Add(1))
    await ledger.tell("now" if colour == "async" else b"now")

    assert await ledger.ask(Total()) == 1
    assert mesh.statistics().agents["ledger"].restarts == 1


def _resume(error: BaseException, envelope: Envelope) -> Directive:
    assert isinstance(error, ValueError)
    assert envelope.message == "boom"
    return "resume"


class Failing(Agent):
    async def on_message(self, message: str) -> None:
        raise ValueError(message)


class ByFunction(Failing):
    on_failure = _resume  # type: ignore[assignment]


class ByStaticMethod(Failing):
    on_failure = staticmethod(_resume)


class ByMethod(Failing):
    def on_failure(self, error: BaseException, envelope: Envelope) -> Directive:  # pyright: ignore[reportIncompatibleVariableOverride]
        return _resume(error, envelope)


@pytest.mark.parametrize("kind", [ByFunction, ByStaticMethod, ByMethod])
async def test_a_function_decides_however_the_class_names_it(kind: type[Failing], mesh: Mesh) -> None:
    agent = mesh.add(kind("agent"))

    for _ in range(2):
        with pytest.raises(HandlerError, match="boom"):
            await agent.ask("boom")


def test_a_function_of_something_else_is_refused_before_anything_fails() -> None:
    class OfOne(Failing):
        def on_failure(self, error: BaseException) -> Directive:  # type: ignore[override]
            return "resume"

    with pytest.raises(DefinitionError, match="it is called with two arguments, the error and the envelope"):
        OfOne("of_one").__ceylon_options__()


@pytest.mark.parametrize("said", ["retry", None, 3])
def test_a_directive_that_is_none_is_refused_before_anything_fails(said: Any) -> None:
    class Odd(Agent):
        on_failure = said

    with pytest.raises(ArgumentError, match="it is one of resume, restart, stop, escalate, or a function that returns"):
        Odd("odd").__ceylon_options__()


@pytest.mark.parametrize("kind", [SystemExit, GeneratorExit, asyncio.CancelledError, MemoryError])
@pytest.mark.parametrize("in_pool", [False, True])
async def test_an_agent_whose_constructor_raises_anything_on_a_restart_is_given_up(
    mesh: Mesh, *, kind: type[BaseException], in_pool: bool
) -> None:
    made: list[str] = []

    class Once(Agent):
        on_failure = "restart"

        def __init__(self, name: str) -> None:
            super().__init__(name)
            if made:
                raise kind(name)
            made.append(name)

        async def on_message(self, message: Any) -> Any:
            raise ValueError(message)

    once = mesh.pool(Once, size=1) if in_pool else mesh.add(Once("once"))
    with pytest.raises(HandlerError):
        await once.ask("hello")
    await eventually(lambda: not mesh.agents)

    with pytest.raises(UnknownAgentError):
        await once.ask("hello")
