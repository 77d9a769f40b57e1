"""A handler that takes too long: its message fails, its slot is free, and what goes on all the same is counted."""

import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any, ClassVar

import anyio
import pytest

from ceylon import Agent, BlockingContext, Context, HandlerError, HandlerTimeoutError, on
from ceylon.core.limits import limit_of
from ceylon.errors import ArgumentError
from support.core_agents import until
from support.hostile_agents import Stubborn, Wait
from support.leaps import leap, leaping, leaping_when
from support.leftovers import DEADLINE, eventually, tidy_mesh
from support.loops import chosen_loops

SHORT = 0.02  # for what never ends
LONG = 10.0  # for what has to begin first, or to end in time: no busy machine takes so long, and a leap takes no time
BEGUN: list[Any] = []
"""What has begun to hang in a thread."""


@pytest.fixture(params=chosen_loops("asyncio", "trio"))
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """Run each test on loops whose time can leap."""
    return leaping(request.param)


class Sleeper(Agent):
    """Waits for ever when it is told to, on the loop."""

    handler_timeout: float | None = SHORT

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.kept: list[Any] = []

    @on
    async def hang(self, seconds: float) -> None:
        await anyio.sleep(seconds)

    @on
    async def clean_up_badly(self, word: bytes) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise ValueError("while it was cancelled")

    @on
    async def keep(self, word: str) -> list[Any]:
        self.kept.append(word)
        return self.kept


class ThreadSleeper(Agent):
    """The same in a thread, until its gate is opened."""

    handler_timeout: float | None = LONG
    gate = threading.Event()

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.kept: list[Any] = []

    @on
    def hang(self, seconds: float) -> str:
        BEGUN.append(seconds)
        assert self.gate.wait(DEADLINE)
        return "too late"

    @on
    def keep(self, word: str) -> list[Any]:
        self.kept.append(word)
        return self.kept


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Hold the threads of `ThreadSleeper` until the test's end."""
    ThreadSleeper.gate = threading.Event()
    BEGUN.clear()
    yield ThreadSleeper.gate
    ThreadSleeper.gate.set()


async def test_the_asker_of_a_handler_that_takes_too_long_learns_which_and_how_long() -> None:
    async with tidy_mesh() as mesh:
        sleeper = mesh.add(Sleeper("sleeper"))

        with pytest.raises(HandlerError) as caught:
            await sleeper.ask(60.0)

        root = caught.value.root
        assert isinstance(root, HandlerTimeoutError)
        assert isinstance(root, TimeoutError)
        assert (root.address, root.message_type, root.seconds, root.still_runs) == ("sleeper", "float", SHORT, False)
        assert "handler_timeout" in str(root)


async def test_an_agent_whose_async_handler_timed_out_resumes_with_its_state() -> None:
    async with tidy_mesh() as mesh:
        sleeper = mesh.add(Sleeper("sleeper"))
        await sleeper.ask("before")

        await sleeper.tell(60.0)

        assert await sleeper.ask("after") == ["before", "after"]
        statistics = mesh.statistics().agents["sleeper"]
        assert (statistics.failed, statistics.cancelled, statistics.restarts) == (1, 0, 0)
        assert mesh.statistics().dead_letters == {"handler_failed": 1}


async def test_an_error_of_the_cancelled_handler_is_the_cause_and_the_timeout_the_failure() -> None:
    async with tidy_mesh() as mesh:
        sleeper = mesh.add(Sleeper("sleeper"))

        with pytest.raises(HandlerError) as caught:
            await sleeper.ask(b"raise")

        assert isinstance(caught.value.root, HandlerTimeoutError)
        assert isinstance(caught.value.root.__cause__, ValueError)


async def test_the_supervisor_decides_after_a_timeout_as_after_any_failure() -> None:
    class Fresh(Sleeper):
        on_failure = "restart"

    async with tidy_mesh() as mesh:
        sleeper = mesh.add(Fresh("sleeper"))
        await sleeper.ask("before")

        await sleeper.tell(60.0)

        assert await sleeper.ask("after") == ["after"]
        assert mesh.statistics().agents["sleeper"].restarts == 1


async def test_waiting_in_the_mailbox_is_not_the_handlers_time() -> None:
    class Slow(Sleeper):
        handler_timeout = LONG

        @on
        async def hang(self, seconds: float) -> None:
            leap(LONG / 4)
            await anyio.sleep(0.001)

    async with tidy_mesh() as mesh:
        sleeper = mesh.add(Slow("sleeper"))

        for _ in range(5):
            sleeper.tell_nowait(1.0)
        await sleeper.ask("after")

        assert mesh.statistics().agents["sleeper"].failed == 0


async def test_waiting_for_an_ask_is_the_handlers_time() -> None:
    class Asker(Agent):
        handler_timeout = SHORT

        async def on_message(self, message: Any, context: Context) -> Any:
            return await context.ask("other", 60.0)

    class Other(Sleeper):
        handler_timeout = None

    async with tidy_mesh() as mesh:
        mesh.add(Other("other"))
        asker = mesh.add(Asker("asker"))

        with pytest.raises(HandlerError) as caught:
            await asker.ask("go")

        assert isinstance(caught.value.root, HandlerTimeoutError)
        assert caught.value.root.address == "asker"
        await until(lambda: mesh.statistics().agents["other"].cancelled == 1)


async def test_a_mesh_may_set_the_limit_for_every_agent_that_sets_none() -> None:
    class Patient(Sleeper):
        handler_timeout = 30.0

    class Plain(Sleeper):
        handler_timeout = None

    async with tidy_mesh(handler_timeout=SHORT) as mesh:
        patient, plain = mesh.add(Patient("patient")), mesh.add(Plain("plain"))

        await patient.ask(2 * SHORT)
        with pytest.raises(HandlerError):
            await plain.ask(60.0)

        assert mesh.statistics().agents["patient"].failed == 0


async def test_handlers_in_time_leave_no_timer_behind() -> None:
    class Quick(Sleeper):
        handler_timeout = LONG

    async with tidy_mesh() as mesh:
        sleeper = mesh.add(Quick("sleeper"))

        for _ in range(100):
            await sleeper.ask("quick")
        await sleeper.ask(0.001)

        assert mesh.statistics().timers == 0
        assert not mesh.interior.dispatcher.limits


async def test_a_handler_that_ignores_its_cancellation_is_given_up_and_the_agent_begins_again() -> None:
    class Deaf(Stubborn):
        handler_timeout = SHORT
        instances: ClassVar[list[Any]] = []

        def __init__(self, name: str) -> None:
            super().__init__(name)
            self.instances.append(self)

        @on
        async def answer(self, word: str) -> str:
            return word

    async with tidy_mesh(stop_grace=SHORT) as mesh:
        deaf = mesh.add(Deaf("deaf"))

        with pytest.raises(HandlerError) as caught:
            await deaf.ask(Wait())

        assert isinstance(caught.value.root, HandlerTimeoutError)
        assert caught.value.root.still_runs
        assert await deaf.ask("after") == "after"
        statistics = mesh.statistics()
        assert (statistics.agents["deaf"].failed, statistics.agents["deaf"].restarts) == (1, 1)
        assert statistics.abandoned_handlers == 1
        assert len(Deaf.instances) == 2
        Deaf.instances[0].may_end.set()
        await Deaf.instances[0].has_ended.wait()
        assert mesh.statistics().agents["deaf"].pending == 0
    assert mesh.statistics().abandoned_handlers == 1


async def test_what_a_given_up_handler_returns_at_last_goes_nowhere() -> None:
    class Deaf(Stubborn):
        handler_timeout = SHORT
        on_failure = "stop"

    async with tidy_mesh(stop_grace=SHORT) as mesh:
        agent = Deaf("deaf")
        deaf = mesh.add(agent)
        await deaf.tell(Wait())
        await until(lambda: not mesh.agents)

        agent.may_end.set()
        await agent.has_ended.wait()

    gone = mesh.statistics().stopped_agents
    assert (gone.failed, gone.completed, gone.cancelled) == (1, 0, 0)


async def test_a_thread_that_takes_too_long_is_abandoned_counted_and_its_agent_gets_a_new_instance(
    gate: threading.Event,
) -> None:
    async with tidy_mesh() as mesh:
        sleeper = mesh.add(ThreadSleeper("sleeper"))
        await sleeper.ask("before")

        async with leaping_when(lambda: BEGUN, LONG):
            with pytest.raises(HandlerError) as caught:
                await sleeper.ask(1.0)

        assert isinstance(caught.value.root, HandlerTimeoutError)
        assert caught.value.root.still_runs
        assert await sleeper.ask("after") == ["after"]
        statistics = mesh.statistics()
        assert (statistics.agents["sleeper"].failed, statistics.agents["sleeper"].restarts) == (1, 1)
        assert (statistics.threads.abandoned, statistics.threads.stuck) == (1, 1)
        gate.set()
        await eventually(lambda: not mesh.statistics().threads.stuck)
        assert mesh.statistics().threads.abandoned == 1
        assert mesh.statistics().agents["sleeper"].completed == 2


async def test_each_message_of_a_lease_has_its_own_time(gate: threading.Event) -> None:
    class Paced(ThreadSleeper):
        @on
        def hang(self, seconds: float) -> str:
            leap(LONG / 4)
            threading.Event().wait(0.004)  # which lets the loop look
            return "in time"

    async with tidy_mesh(lease_seconds=60.0) as mesh:
        paced = mesh.add(Paced("paced"))

        for _ in range(8):
            paced.tell_nowait(1.0)
        await paced.ask("last")

        assert mesh.statistics().agents["paced"].failed == 0


async def test_the_messages_before_and_behind_a_stuck_one_are_handled(gate: threading.Event) -> None:
    async with tidy_mesh(lease_seconds=60.0) as mesh:
        sleeper = mesh.add(ThreadSleeper("sleeper"))

        for message in ("a", "b", 1.0, "c"):
            sleeper.tell_nowait(message)

        async with leaping_when(lambda: BEGUN, LONG):
            assert await sleeper.ask("d") == ["c", "d"]
        gate.set()
        statistics = mesh.statistics().agents["sleeper"]
        assert (statistics.completed, statistics.failed) == (4, 1)


async def test_stuck_threads_keep_no_other_agent_from_threads(gate: threading.Event) -> None:
    async with tidy_mesh(threads=2) as mesh:
        for number in range(3):
            await mesh.add(ThreadSleeper(f"sleeper-{number}")).tell(1.0)
        other = mesh.add(ThreadSleeper("other"))
        await eventually(lambda: len(BEGUN) == 2)

        leap(LONG)
        assert await other.ask("still here") == ["still here"]

        await eventually(lambda: len(BEGUN) == 3)
        leap(LONG)
        await until(lambda: mesh.statistics().threads.stuck == 3)
        await eventually(lambda: not mesh.statistics().threads.running)  # the other's reports before it rests
        gate.set()


async def test_a_stuck_thread_may_go_on_with_blocking_verbs_and_disturbs_nobody(gate: threading.Event) -> None:
    class Asker(Agent):
        handler_timeout = LONG
        answers: ClassVar[list[Any]] = []

        def on_message(self, message: Any, context: BlockingContext) -> None:
            BEGUN.append(message)
            assert gate.wait(DEADLINE)
            self.answers.append(context.ask("other", "from beyond"))

    class Other(ThreadSleeper):
        handler_timeout = None

    async with tidy_mesh(threads=1) as mesh:
        mesh.add(Other("other"))
        asker = mesh.add(Asker("asker"))
        async with leaping_when(lambda: BEGUN, LONG):
            with pytest.raises(HandlerError):
                await asker.ask(1)

        gate.set()

        await until(lambda: Asker.answers == [["from beyond"]])
        await eventually(lambda: not mesh.statistics().threads.stuck)
        await eventually(lambda: not mesh.statistics().threads.running)  # the other thread reports before it rests
        assert not mesh.statistics().threads.blocked


async def test_a_thread_whose_time_is_over_in_a_blocking_verb_is_given_up_too(gate: threading.Event) -> None:
    class Asker(Agent):
        handler_timeout = LONG

        def on_message(self, message: Any, context: BlockingContext) -> Any:
            return context.ask("other", 1.0)

    class Other(ThreadSleeper):
        handler_timeout = None

    async with tidy_mesh(threads=2) as mesh:
        mesh.add(Other("other"))
        asker = mesh.add(Asker("asker"))

        async with leaping_when(lambda: BEGUN, LONG):
            with pytest.raises(HandlerError) as caught:
                await asker.ask(1)

        assert isinstance(caught.value.root, HandlerTimeoutError)
        assert mesh.statistics().threads.stuck == 1
        gate.set()
        await eventually(lambda: not mesh.statistics().threads.stuck)
        await eventually(lambda: not mesh.statistics().threads.running)
        assert mesh.statistics().threads.blocked == 0


async def test_a_threaded_handler_asked_for_a_stream_is_given_up_as_well(gate: threading.Event) -> None:
    async with tidy_mesh() as mesh:
        sleeper = mesh.add(ThreadSleeper("sleeper"))

        async with leaping_when(lambda: BEGUN, LONG):
            with pytest.raises(HandlerError) as caught:
                await sleeper.stream(1.0).result()

        assert isinstance(caught.value.root, HandlerTimeoutError)
        assert caught.value.root.still_runs
        assert await sleeper.ask("after") == ["after"]
        assert (mesh.statistics().threads.abandoned, mesh.statistics().threads.stuck) == (1, 1)
        gate.set()
        await eventually(lambda: not mesh.statistics().threads.stuck)


class Parts(Agent):
    """Gives parts slowly, ten of them in more than its time, and stops giving any when it is asked for more."""

    handler_timeout = LONG

    @on
    async def count(self, most: int) -> AsyncIterator[int]:
        for number in range(most):
            if number < 10:
                leap(LONG / 8)
                await anyio.sleep(0.001)
            else:
                BEGUN.append(number)
                await anyio.sleep_forever()
            yield number

    @on
    def count_in_a_thread(self, most: str) -> Iterator[int]:
        for number in range(int(most)):
            if number < 10:
                leap(LONG / 8)
                threading.Event().wait(0.004)  # which lets the loop look
            else:
                BEGUN.append(number)
                assert ThreadSleeper.gate.wait(DEADLINE)
            yield number


@pytest.mark.parametrize("most", [10, "10"], ids=["async", "sync"])
async def test_a_generator_has_its_time_for_each_part(most: Any, gate: threading.Event) -> None:
    async with tidy_mesh() as mesh:
        parts = mesh.add(Parts("parts"))

        assert await parts.stream(most).result() == list(range(10))
        assert await parts.ask(most) == list(range(10))
        assert mesh.statistics().agents["parts"].failed == 0


@pytest.mark.parametrize("most", [12, "12"], ids=["async", "sync"])
async def test_a_generator_that_stalls_fails(most: Any, gate: threading.Event) -> None:
    async with tidy_mesh() as mesh:
        parts = mesh.add(Parts("parts"))
        taken = []

        async with leaping_when(lambda: BEGUN, LONG):
            with pytest.raises(HandlerError) as caught:
                async for part in parts.stream(most):
                    taken.append(part)  # noqa: PERF401 – what came before the failure counts

        assert taken == list(range(10))
        assert isinstance(caught.value.root, HandlerTimeoutError)
        assert caught.value.root.still_runs == isinstance(most, str)
        assert mesh.statistics().agents["parts"].failed == 1
        gate.set()
        await eventually(lambda: not mesh.statistics().threads.stuck)


@pytest.mark.parametrize("most", [10, "10"], ids=["async", "sync"])
async def test_a_slow_consumer_is_not_the_generators_fault(most: Any, gate: threading.Event) -> None:
    class Quick(Parts):
        handler_timeout = LONG

        @on
        async def count(self, most: int) -> AsyncIterator[int]:
            for number in range(most):
                BEGUN.append(number)
                yield number

        @on
        def count_in_a_thread(self, most: str) -> Iterator[int]:
            for number in range(int(most)):
                BEGUN.append(number)
                yield number

    async with tidy_mesh(stream_credit=2) as mesh:
        quick = mesh.add(Quick("quick"))
        taken = []

        async for part in quick.stream(most):
            taken.append(part)
            if part == 4:
                await eventually(lambda: len(BEGUN) > 6)  # as many as may be under way
                await anyio.sleep(0.1)  # time enough to wait for leave to go on
                leap(1.5 * LONG)
                await anyio.sleep(0.01)

        assert taken == list(range(10))
        assert mesh.statistics().agents["quick"].failed == 0


async def test_one_conversation_that_hangs_frees_its_slot_for_others() -> None:
    class Pair(Sleeper):
        concurrency = 2

    async with tidy_mesh() as mesh:
        pair = mesh.add(Pair("pair"))
        for _ in range(4):
            pair.tell_nowait(60.0)

        assert await pair.ask("after") == ["after"]
        await mesh.drain()

        statistics = mesh.statistics().agents["pair"]
        assert (statistics.failed, statistics.completed, statistics.pending) == (4, 1, 0)


async def test_leaving_the_mesh_while_a_thread_is_stuck_counts_it_once(gate: threading.Event) -> None:
    async with tidy_mesh(drain_timeout=0.01) as mesh:
        sleeper = mesh.add(ThreadSleeper("sleeper"))
        await sleeper.tell(1.0)
        await eventually(lambda: BEGUN)
        leap(LONG)
        await until(lambda: mesh.statistics().threads.stuck == 1)
        await mesh.stop()
        assert mesh.statistics().threads.abandoned == 1
        gate.set()


async def test_a_limit_is_not_wound_up_again_after_its_handlers_end() -> None:
    class Keeper(Agent):
        handler_timeout = LONG
        limit: Any = None

        async def on_message(self, message: int, context: Context) -> int:
            self.limit = limit_of(context)
            return message

    async with tidy_mesh() as mesh:
        keeper = Keeper("keeper")
        await mesh.add(keeper).ask(1)

        keeper.limit.begin()  # as a thread's last parts do, which are heard of later

        assert mesh.statistics().timers == 0


async def test_what_a_stop_has_given_up_leaves_no_timer_to_the_mesh(gate: threading.Event) -> None:
    class Patient(ThreadSleeper):
        handler_timeout = 3600.0

    class PatientOnTheLoop(Stubborn):
        handler_timeout = 3600.0

    async with tidy_mesh(drain_timeout=0.01, stop_grace=0.01) as mesh:
        thread, stubborn = mesh.add(Patient("thread")), PatientOnTheLoop("loop")
        await thread.tell(1.0)
        await mesh.add(stubborn).tell(Wait())
        await eventually(lambda: BEGUN)
        await stubborn.is_waiting.wait()
        try:
            await mesh.stop(thread, at_once=True)
            await mesh.stop("loop", at_once=True)

            assert mesh.statistics().timers == 0
        finally:
            gate.set()
            stubborn.may_end.set()
        await stubborn.has_ended.wait()


@pytest.mark.parametrize("seconds", [0, -1.0, float("inf"), float("nan"), "5"])
def test_a_limit_that_is_no_time_is_refused(seconds: float) -> None:
    class Odd(Agent):
        handler_timeout = seconds

    with pytest.raises(ArgumentError):
        Odd("odd").__ceylon_options__()
