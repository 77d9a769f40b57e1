"""Submit now, collect later: requests, whoever waits for them, and what becomes of results nobody fetches."""

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any

import anyio
import msgspec
import pytest

from ceylon import (
    Agent,
    AgentStoppedError,
    ArgumentError,
    AskTimeoutError,
    BlockingCallError,
    BlockingContext,
    BlockingMesh,
    Budget,
    BudgetError,
    CeylonError,
    Context,
    DeadlockError,
    HandlerError,
    MailboxFullError,
    Mesh,
    MeshClosedError,
    Request,
    RequestCancelledError,
    RequestResult,
    RequestTimeoutError,
    UnhandledMessageError,
    UnknownAgentError,
    UnknownRequestError,
    on,
)
from ceylon.settings import DEFAULTS
from support.core_agents import Counter, Echo, Held, HeldInAThread, Keeper, until
from support.law import lawful_mesh
from support.virtual_time import run_virtually


class Failing(Agent):
    """Answers by failing."""

    async def on_message(self, message: Any) -> None:
        raise ValueError(message)


class Waiting(Agent):
    """Waits for whatever request it is handed; `begun` says how often."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.begun = 0

    @on
    async def text(self, text: str, context: Context) -> Any:
        return await (await context.submit(self.name, len(text)))

    @on
    async def number(self, number: int) -> int:
        return number

    @on
    async def any_request(self, request: Request) -> Any:  # type: ignore[type-arg]
        self.begun += 1
        return await request


class WaitingInAThread(Agent):
    """The same in a worker thread."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.begun = 0

    @on
    def text(self, text: str, context: BlockingContext) -> Any:
        return context.submit(self.name, len(text)).wait()

    @on
    def number(self, number: int) -> int:
        return number

    @on
    def any_request(self, request: Request) -> Any:  # type: ignore[type-arg]
        self.begun += 1
        return request.wait()


every_waiter = pytest.mark.parametrize("waiter", [Waiting, WaitingInAThread])


# -- one request -------------------------------------------------------------------------------------------------------


async def test_submitting_returns_when_the_message_is_in_the_mailbox(mesh: Mesh) -> None:
    held = Held("held")
    ref = mesh.add(held)

    request = await ref.submit("tea")

    assert not request.is_done
    assert (request.recipient, request.message_type) == ("held", "str")
    assert repr(request) == f"<Request {request.id} str to 'held' pending>"
    assert mesh.pending() == [request]
    assert mesh.results() == []
    assert mesh.why(request.id).recipient == "held"
    held.gate.set()
    assert await request == "tea"
    assert repr(request).endswith("done>")


async def test_a_request_says_when_it_was_submitted(mesh: Mesh) -> None:
    before = mesh.interior.sources.now("")
    request = await mesh.add(Echo("echo")).submit("tea")

    assert before <= request.submitted_at <= mesh.interior.sources.now("")
    await request


async def test_awaiting_twice_gives_the_same_value(mesh: Mesh) -> None:
    request = await mesh.submit(mesh.add(Echo("echo")), ["tea"])

    first = await request

    assert await request is first
    assert await mesh.wait_for(request) is first


async def test_awaiting_a_failure_twice_raises_it_twice_and_its_traceback_does_not_grow(mesh: Mesh) -> None:
    request = await mesh.add(Failing("failing")).submit("tea")
    lengths = []

    for _ in range(3):
        with pytest.raises(HandlerError) as raised:
            await request
        assert isinstance(raised.value.root, ValueError)
        lengths.append(len(raised.traceback))

    assert lengths[1] == lengths[2]
    assert repr(request).endswith("failed>")


async def test_many_may_wait_for_one_request(mesh: Mesh) -> None:
    held = Held("held")
    request = await mesh.add(held).submit("tea")
    got: list[str] = []

    async def wait() -> None:
        got.append(await request)

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(wait)
        await until(lambda: len(mesh.waits()) == 5)
        held.gate.set()

    assert got == ["tea"] * 5
    assert mesh.waits() == []


async def test_a_waiter_that_is_cancelled_does_not_cancel_the_request(mesh: Mesh) -> None:
    held = Held("held")
    request = await mesh.add(held).submit("tea")

    with anyio.move_on_after(0.01) as scope:
        await request

    assert scope.cancelled_caught
    assert mesh.pending() == [request]
    held.gate.set()
    assert await request == "tea"


async def test_a_wait_may_end_before_the_request_does(mesh: Mesh) -> None:
    held = Held("held")
    request = await mesh.add(held).submit("tea")

    with pytest.raises(RequestTimeoutError, match="goes on") as raised:
        await mesh.wait_for(request, timeout=0.01)

    assert (raised.value.address, raised.value.request_id) == ("held", request.id)
    held.gate.set()
    assert await mesh.wait_for(request.id, timeout=60) == "tea"


async def test_a_request_can_be_fetched_by_its_id_once(mesh: Mesh) -> None:
    request = await mesh.add(Echo("echo")).submit("tea")

    assert await mesh.wait_for(request.id) == "tea"
    with pytest.raises(UnknownRequestError) as raised:
        await mesh.wait_for(request.id)

    assert raised.value.request_id == request.id
    assert await request == "tea"  # the handle has it for good


@pytest.mark.parametrize("seconds", [-1.0, float("inf"), float("nan")])
async def test_no_time_to_wait_is_an_error(mesh: Mesh, seconds: float) -> None:
    held = Held("held")
    request = await mesh.add(held).submit("tea")

    for verb in (mesh.wait_for(request, timeout=seconds), mesh.collect(timeout=seconds)):
        with pytest.raises(ArgumentError):
            await verb
    with pytest.raises(ArgumentError):
        _ = await mesh.submit("held", "tea", timeout=seconds)
    held.gate.set()
    await request


async def test_a_generator_handler_answers_with_the_list_of_its_parts(mesh: Mesh) -> None:
    request = await mesh.add(Counter("counter")).submit(3)

    assert await request == [0, 1, 2]


# -- cancelling --------------------------------------------------------------------------------------------------------


async def test_a_running_request_can_be_cancelled(mesh: Mesh) -> None:
    held = Held("held")
    request = await mesh.add(held).submit("tea")
    await until(lambda: held.begun)

    request.cancel()

    with pytest.raises(RequestCancelledError):
        await request
    await until(lambda: held.cancelled)
    assert (mesh.pending(), mesh.results()) == ([], [])
    assert mesh.statistics().agents["held"].cancelled == 1
    request.cancel()  # and again, which does nothing


async def test_a_request_in_the_mailbox_can_be_cancelled(mesh: Mesh) -> None:
    held = Held("held")
    ref = mesh.add(held)
    first, second = await ref.submit("first"), await ref.submit("second")
    await until(lambda: held.begun)

    second.cancel()
    held.gate.set()

    assert await first == "first"
    await mesh.drain()
    assert held.begun == ["first"]


async def test_a_request_can_be_cancelled_from_a_thread(mesh: Mesh) -> None:
    held = Held("held")
    request = await mesh.add(held).submit("tea")

    await anyio.to_thread.run_sync(request.cancel)

    with pytest.raises(RequestCancelledError):
        await request


async def test_a_handler_in_a_thread_runs_to_its_end_though_its_request_was_cancelled(mesh: Mesh) -> None:
    held = HeldInAThread("held")
    request = await mesh.add(held).submit("tea")
    await until(lambda: held.begun)

    request.cancel()
    held.gate.set()

    await until(lambda: mesh.statistics().late_replies == 1)
    assert mesh.statistics().agents["held"].completed == 1


# -- deadlines ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_request_has_an_hour_by_default(backend: str) -> None:
    async def program() -> float:
        async with lawful_mesh() as mesh:
            began = mesh.interior.driver.now()
            request = await mesh.add(Held("held")).submit("tea")
            with pytest.raises(AskTimeoutError):
                await request
            return mesh.interior.driver.now() - began

    assert run_virtually(backend, program) == pytest.approx(DEFAULTS.submit_timeout, abs=1)


async def test_a_request_may_have_less_time(mesh: Mesh) -> None:
    held = Held("held")
    request = await mesh.add(held).submit("tea", timeout=0.01)

    with pytest.raises(AskTimeoutError):
        await request
    assert mesh.statistics().timers == 0
    await until(lambda: held.cancelled == held.begun)  # on a busy machine it may have expired before it was begun


async def test_a_ref_has_a_time_for_its_requests_too(mesh: Mesh) -> None:
    request = await mesh.add(Held("held")).using(timeout=0.01).submit("tea")

    with pytest.raises(AskTimeoutError):
        await request


async def test_a_handler_s_request_inherits_its_deadline(mesh: Mesh) -> None:
    class Submitting(Agent):
        async def on_message(self, message: Any, context: Context) -> tuple[float | None, Any]:
            return context.deadline, await context.submit("keeper", message, timeout=100)

    class Deadlines(Agent):
        async def on_message(self, message: Any, context: Context) -> float | None:
            return context.deadline

    mesh.add(Deadlines("keeper"))
    deadline, request = await mesh.add(Submitting("submitting")).ask("tea", timeout=60)

    assert await request == pytest.approx(deadline)


async def test_a_handler_waits_for_a_request_no_longer_than_it_is_waited_for_itself(mesh: Mesh) -> None:
    held = Held("held")
    request = await mesh.add(held).submit("tea")
    waiting = mesh.add(WaitingInAThread("waiting"))

    with pytest.raises(AskTimeoutError):
        await waiting.ask(request, timeout=0.05)

    await until(lambda: mesh.statistics().threads.blocked == 0)
    assert mesh.pending() == [request]
    held.gate.set()
    await request


async def test_a_request_goes_on_when_the_handler_that_submitted_it_has_ended(mesh: Mesh) -> None:
    class Submitting(Agent):
        async def on_message(self, message: Any, context: Context) -> str:
            return (await context.submit("held", message)).id

    held = Held("held")
    mesh.add(held)

    await mesh.add(Submitting("submitting")).tell("tea")
    await until(lambda: held.begun)
    held.gate.set()

    assert [result.value for result in await mesh.collect()] == ["tea"]


async def test_a_budget_is_asked_for_requests_too(mesh: Mesh) -> None:
    class Submitting(Agent):
        async def on_message(self, message: Any, context: Context) -> Any:
            return await (await context.submit("echo", message))

    mesh.add(Echo("echo"))
    ref = mesh.add(Submitting("submitting"))

    assert await ref.using(budget=Budget(depth=1)).ask("tea") == "tea"
    with pytest.raises(BudgetError):
        await ref.using(budget=Budget(depth=0)).ask("tea")


# -- mailboxes without room --------------------------------------------------------------------------------------------


class Narrow(Held):
    """Has room for one."""

    mailbox_capacity: int | None = 1


async def test_submitting_waits_for_room(mesh: Mesh) -> None:
    narrow = Narrow("narrow")
    ref = mesh.add(narrow)
    first = await ref.submit(1)
    await until(lambda: narrow.begun)
    second = await ref.submit(2)
    got: list[Request[Any]] = []

    async def submit() -> None:
        got.append(await ref.submit(3))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(submit)
        await until(lambda: [wait.kind for wait in mesh.waits()] == ["room"])
        assert mesh.pending() == [first, second]
        narrow.gate.set()

    assert [await request for request in (first, second, *got)] == [1, 2, 3]


async def test_whoever_submits_gives_up_when_there_is_no_room_for_long(anyio_backend: Any) -> None:
    settings = msgspec.structs.replace(DEFAULTS, tell_timeout=0.02)
    async with lawful_mesh(settings=settings) as mesh:
        narrow = Narrow("narrow")
        ref = mesh.add(narrow)
        await ref.tell(1)
        await until(lambda: narrow.begun)
        await ref.tell(2)

        with pytest.raises(MailboxFullError):
            _ = await ref.submit(3)

        assert (mesh.pending(), mesh.results(), mesh.waits()) == ([], [], [])
        assert mesh.statistics().dead_letters == {"full": 1}
        narrow.gate.set()
        await mesh.drain()
        assert narrow.ended == [1, 2]


async def test_whoever_leaves_before_there_is_room_has_submitted_nothing(mesh: Mesh) -> None:
    narrow = Narrow("narrow")
    ref = mesh.add(narrow)
    await ref.tell(1)
    await until(lambda: narrow.begun)
    await ref.tell(2)

    with anyio.move_on_after(0.02):
        _ = await ref.submit(3)

    assert mesh.pending() == []
    narrow.gate.set()
    await mesh.drain()
    assert narrow.ended == [1, 2]
    assert mesh.statistics().timers == 0


async def test_an_agent_that_stops_says_so_to_who_waits_for_room(mesh: Mesh) -> None:
    narrow = Narrow("narrow")
    ref = mesh.add(narrow)
    await ref.tell(1)
    await until(lambda: narrow.begun)
    await ref.tell(2)
    errors: list[BaseException] = []

    async def submit() -> None:
        try:
            _ = await ref.submit(3)
        except CeylonError as error:
            errors.append(error)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(submit)
        await until(lambda: len(mesh.waits()) == 1)
        await mesh.stop("narrow", at_once=True)

    assert [type(error) for error in errors] == [AgentStoppedError]


async def test_submitting_to_one_s_own_full_mailbox_fails_at_once(mesh: Mesh) -> None:
    class Own(Agent):
        mailbox_capacity: int | None = 1

        async def on_message(self, message: Any, context: Context) -> Any:
            _ = await context.submit(self.name, 0)
            with pytest.raises(MailboxFullError):
                _ = await context.submit(self.name, 0)

        @on
        async def number(self, number: int) -> None:
            pass

    await mesh.add(Own("own")).ask("tea")


async def test_nobody_there_is_an_error_of_submitting(mesh: Mesh) -> None:
    with pytest.raises(UnknownAgentError):
        _ = await mesh.submit("nobody", "tea")

    assert mesh.pending() == []


async def test_a_message_that_no_handler_takes_is_an_error_of_the_request(mesh: Mesh) -> None:
    request = await mesh.add(Waiting("waiting")).submit(1.5)

    with pytest.raises(UnhandledMessageError):
        await request


# -- waiting for oneself -----------------------------------------------------------------------------------------------


@every_waiter
async def test_a_handler_that_awaits_a_request_to_itself_is_told(mesh: Mesh, waiter: type[Agent]) -> None:
    ref = mesh.add(waiter("waiter"))

    with pytest.raises(DeadlockError, match="waiter → waiter"):
        await ref.ask("tea", timeout=60)
    assert [result.value for result in await mesh.collect(timeout=60)] == [3]  # which nobody waits for now


@every_waiter
async def test_a_chain_of_handlers_that_await_requests_is_no_circle(mesh: Mesh, waiter: type[Any]) -> None:
    first, second = waiter("first"), waiter("second")
    ref = mesh.add(first)
    held = Held("held")
    blocker = await mesh.add(held).submit("tea")
    waits_for_held = await ref.submit(blocker)
    await until(lambda: first.begun)
    waits_for_first = await mesh.add(second).submit(waits_for_held)
    await until(lambda: second.begun)
    behind = await ref.submit(waits_for_first)  # in the mailbox of `first`: it waits for `second`, that for `first`

    held.gate.set()

    assert await waits_for_first == "tea"
    assert await behind == "tea"


async def test_what_a_thread_has_ended_and_not_yet_said_closes_no_circle(mesh: Mesh) -> None:
    first, second = mesh.add(WaitingInAThread("first")), mesh.add(WaitingInAThread("second"))
    held = mesh.add(Held("held"))
    for _ in range(20):
        blocker = await held.submit("tea")
        inner = await first.submit(blocker)
        outer = await second.submit(inner)
        behind = await first.submit(outer)  # its thread goes on with this as soon as `inner` has ended
        agent = mesh.agent("held")
        assert isinstance(agent, Held)
        agent.gate.set()

        assert await behind == "tea"
        agent.gate = anyio.Event()


async def test_a_request_awaited_by_its_own_handler_is_refused(mesh: Mesh) -> None:
    class Own(Agent):
        async def on_message(self, message: Any, context: Context) -> Any:
            (own,) = [request for request in mesh.pending() if request.id == context.message_id]
            return await own

    request = await mesh.add(Own("own")).submit("tea")

    with pytest.raises(DeadlockError, match="own → own"):
        await request


async def test_two_handlers_that_await_each_other_s_requests_are_told(mesh: Mesh) -> None:
    class Crossing(Agent):
        def __init__(self, name: str, other: str) -> None:
            super().__init__(name)
            self.other = other

        async def on_message(self, message: Any, context: Context) -> Any:
            if message == "back":
                return message
            request = await context.submit(self.other, "back")
            crossing.append(self.name)
            await until(lambda: len(crossing) == 2)
            return await request

    crossing: list[str] = []
    left, right = mesh.add(Crossing("left", "right")), mesh.add(Crossing("right", "left"))
    requests = [await left.submit("go"), await right.submit("go")]
    outcomes: list[Any] = []

    for request in requests:
        try:
            outcomes.append(await mesh.wait_for(request, timeout=60))
        except DeadlockError as error:
            outcomes.append(sorted({*error.path}))

    assert sorted(outcomes, key=str) == [["left", "right"], "back"]
    assert mesh.waits() == []


async def test_a_handler_may_not_collect_its_own_request(mesh: Mesh) -> None:
    class Collecting(Agent):
        async def on_message(self, message: Any) -> Any:
            return await mesh.collect()

    request = await mesh.add(Collecting("collecting")).submit("tea")

    with pytest.raises(DeadlockError):
        await request


async def test_a_handler_may_wait_for_a_request_that_another_slot_handles(mesh: Mesh) -> None:
    class Two(Waiting):
        concurrency = 2

    assert await mesh.add(Two("two")).ask("tea", timeout=60) == 3


async def test_inspection_says_who_waits_for_a_request(mesh: Mesh) -> None:
    held = Held("held")
    request = await mesh.add(held).submit("tea")
    outer = await mesh.add(Waiting("waiting")).submit(request)
    await until(mesh.waits)

    (wait,) = mesh.waits()
    assert (wait.kind, wait.waiter, wait.on, wait.message_id) == ("reply", "waiting", "held", request.id)
    assert mesh.why(outer.id).blocked_by == ("held",)
    assert mesh.why(outer.id).waits_for[0].message_id == request.id
    assert mesh.statistics().pending_asks == 2
    held.gate.set()
    assert await outer == "tea"


# -- collecting --------------------------------------------------------------------------------------------------------


async def test_collecting_waits_for_all_and_takes_all(mesh: Mesh) -> None:
    echo, failing = mesh.add(Echo("echo")), mesh.add(Failing("failing"))
    first = await echo.submit("tea")
    second = await failing.submit("boom")
    third = await echo.submit("milk")

    results = {result.id: result for result in await mesh.collect()}

    assert results.keys() == {first.id, second.id, third.id}
    assert results[first.id].get() == results[first.id].value == "tea"
    assert isinstance(results[second.id].error, HandlerError)
    with pytest.raises(HandlerError):
        results[second.id].get()
    assert all(result.seconds >= 0 for result in results.values())
    assert (results[third.id].recipient, results[third.id].message_type) == ("echo", "str")
    assert await mesh.collect() == []


async def test_looking_at_results_leaves_them_there(mesh: Mesh) -> None:
    request = await mesh.add(Echo("echo")).submit("tea")
    await until(lambda: request.is_done)

    assert [result.value for result in mesh.results()] == ["tea"]
    assert [result.value for result in mesh.results()] == ["tea"]
    assert mesh.statistics().requests.results == 1
    assert [result.value for result in await mesh.collect()] == ["tea"]


async def test_collecting_for_no_time_takes_what_is_ready(mesh: Mesh) -> None:
    held = Held("held")
    ready, running = await mesh.add(Echo("echo")).submit("tea"), await mesh.add(held).submit("milk")
    await until(lambda: ready.is_done)

    assert [result.value for result in await mesh.collect(timeout=0)] == ["tea"]

    assert mesh.pending() == [running]
    held.gate.set()
    assert [result.value for result in await mesh.collect()] == ["milk"]


async def test_collecting_does_not_wait_for_what_is_submitted_later(mesh: Mesh) -> None:
    early, late = Held("early"), Held("late")
    _ = await mesh.add(early).submit("tea")
    got: list[RequestResult] = []
    later: list[Request[Any]] = []

    async def collect() -> None:
        got.extend(await mesh.collect())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(collect)
        await until(mesh.waits)
        later.append(await mesh.add(late).submit("milk"))
        early.gate.set()

    assert [result.value for result in got] == ["tea"]
    late.gate.set()
    assert await later[0] == "milk"


async def test_whoever_stops_collecting_has_taken_nothing(mesh: Mesh) -> None:
    held = Held("held")
    _ = await mesh.add(Echo("echo")).submit("tea")
    _ = await mesh.add(held).submit("milk")

    with anyio.move_on_after(0.01):
        await mesh.collect()
    held.gate.set()

    assert sorted(result.value for result in await mesh.collect()) == ["milk", "tea"]


def test_results_that_arrive_as_the_collector_is_cancelled_are_not_lost() -> None:
    async def program() -> None:
        async with lawful_mesh() as mesh:
            ready, running = await mesh.add(Echo("echo")).submit("tea"), await mesh.add(Held("held")).submit("milk")
            await until(lambda: ready.is_done)
            collecting = asyncio.ensure_future(mesh.collect())
            await until(mesh.waits)

            running.cancel()  # the collector has all now, and has not heard of it
            assert mesh.results() == []
            collecting.cancel()

            with pytest.raises(asyncio.CancelledError):
                await collecting
            assert [result.value for result in mesh.results()] == ["tea"]

    asyncio.run(program())


# -- what nobody fetches -----------------------------------------------------------------------------------------------


def in_virtual_time(function: Callable[[Mesh], Any], **settings: Any) -> Any:
    """Run ``await function(mesh)`` where an hour takes no time."""

    async def program() -> Any:
        async with lawful_mesh(settings=msgspec.structs.replace(DEFAULTS, **settings)) as mesh:
            return await function(mesh)

    return run_virtually("asyncio", program)


@pytest.mark.parametrize("kind", [Echo, Failing])
def test_results_expire_after_an_hour(kind: type[Agent], caplog: pytest.LogCaptureFixture) -> None:
    async def program(mesh: Mesh) -> None:
        request = await mesh.add(kind("agent")).submit("tea")
        await anyio.sleep(DEFAULTS.kept_results_seconds - 1)
        assert len(mesh.results()) == 1
        await anyio.sleep(2)
        assert mesh.results() == []
        assert mesh.statistics().requests.expired == 1
        assert mesh.statistics().timers == 0
        assert request.is_done

    with caplog.at_level(logging.WARNING, "ceylon"):
        in_virtual_time(program)

    event = "request_failed" if kind is Failing else "result_expired"
    assert caplog.text.count(event) == 1


def test_of_very_many_results_the_oldest_go_first() -> None:
    async def program(mesh: Mesh) -> None:
        ref = mesh.add(Echo("echo"))
        for number in range(8):
            _ = await ref.submit(number)
        await mesh.drain()
        assert [result.value for result in mesh.results()] == [3, 4, 5, 6, 7]
        assert mesh.statistics().requests.expired == 3

    in_virtual_time(program, kept_results=5)


def test_what_a_collector_has_left_behind_keeps_to_the_limit() -> None:
    async def program(mesh: Mesh) -> None:
        ref, kept = mesh.add(Echo("echo")), mesh.interior.requests.kept
        for number in range(3):
            _ = await ref.submit(number)
        await mesh.drain()
        taken = kept.tickets()
        assert len(kept.take_all()) == 3
        for number in range(3, 6):
            _ = await ref.submit(number)
        await mesh.drain()

        kept.put_back(taken)

        assert [result.value for result in mesh.results()] == [3, 4, 5]
        assert mesh.statistics().requests.expired == 3

    in_virtual_time(program, kept_results=3)


def test_a_failure_that_nobody_has_fetched_is_in_the_log_once(caplog: pytest.LogCaptureFixture) -> None:
    async def program(mesh: Mesh) -> None:
        ref = mesh.add(Failing("failing"))
        fetched, _ = await ref.submit("fetched"), await ref.submit("left")
        await mesh.drain()
        with pytest.raises(HandlerError):
            await fetched

    with caplog.at_level(logging.WARNING, "ceylon"):
        in_virtual_time(program)

    assert caplog.text.count("request_failed") == 1
    assert "left" in caplog.text


# -- the end of the mesh -----------------------------------------------------------------------------------------------


async def test_requests_under_way_end_with_the_mesh(anyio_backend: Any) -> None:
    mesh = Mesh("test")
    async with mesh:
        held = Held("held")
        ref = mesh.add(held)
        running, waiting = await ref.submit(1), await ref.submit(2)
        await until(lambda: held.begun)
        await mesh.stop(at_once=True)

    for request in (running, waiting):
        assert request.is_done
        for _ in range(2):
            with pytest.raises(MeshClosedError):
                await request
    assert mesh.pending() == []
    assert mesh.statistics().requests.pending == 0


async def test_whoever_awaits_a_request_hears_of_the_mesh_s_end(anyio_backend: Any) -> None:
    errors: list[BaseException] = []

    async def wait(request: Request[Any]) -> None:
        try:
            await request
        except CeylonError as error:
            errors.append(error)

    async with anyio.create_task_group() as tasks, Mesh("test") as mesh:
        tasks.start_soon(wait, await mesh.add(Held("held")).submit("tea"))
        await until(mesh.waits)
        await mesh.stop(at_once=True)

    assert [type(error) for error in errors] == [MeshClosedError]


async def test_leaving_a_mesh_finishes_requests_and_keeps_their_results(anyio_backend: Any) -> None:
    async with Mesh("test") as mesh:
        request = await mesh.add(Echo("echo")).submit("tea")
        other = await mesh.submit("echo", "milk")
        third = await mesh.submit("echo", "sugar")

    assert await request == "tea"
    assert await mesh.wait_for(other.id) == "milk"
    assert [result.value for result in await mesh.collect()] == ["sugar"]
    assert mesh.results() == []
    assert await third == "sugar"
    with pytest.raises(MeshClosedError):
        _ = await mesh.submit("echo", "tea")


async def test_a_mesh_that_was_never_started_has_no_requests() -> None:
    mesh = Mesh("test")

    assert (mesh.pending(), mesh.results()) == ([], [])
    for verb in (mesh.submit("echo", "tea"), mesh.wait_for("id"), mesh.collect()):
        with pytest.raises(MeshClosedError, match="not been started"):
            await verb
    assert mesh.statistics().requests.pending == 0


async def test_an_agent_that_stops_or_begins_again_ends_its_requests(anyio_backend: Any) -> None:
    class Restarting(Held):
        on_failure = "restart"
        concurrency = 2

        @on
        async def fail(self, message: None) -> None:
            raise ValueError

    async with lawful_mesh(settings=msgspec.structs.replace(DEFAULTS, stop_grace=0.05, backoff_first=0.001)) as mesh:
        held = Restarting("held")
        ref = mesh.add(held)
        request = await ref.submit("tea")
        await until(lambda: held.begun)
        await ref.tell(None)

        with pytest.raises(AgentStoppedError, match="began again"):
            await request
        again = await ref.submit("milk")
        await mesh.stop("held", at_once=True)
        with pytest.raises(AgentStoppedError):
            await again


# -- threads and other loops -------------------------------------------------------------------------------------------


def test_the_blocking_twins_do_the_same() -> None:
    with BlockingMesh("test") as mesh:
        echo, failing = mesh.add(Echo("echo")), mesh.add(Failing("failing"))
        request = echo.submit("tea")

        assert request.wait() == request.wait(timeout=60) == "tea"
        assert mesh.wait_for(mesh.submit("echo", "milk").id) == "milk"
        _ = mesh.submit(failing, "boom")
        (result,) = mesh.collect(timeout=60)
        assert isinstance(result.error, HandlerError)
        held = mesh.add(Held("held")).submit("tea")
        assert mesh.pending() == [held]
        with pytest.raises(RequestTimeoutError):
            held.wait(timeout=0.01)
        held.cancel()
        with pytest.raises(RequestCancelledError):
            held.wait()
        assert mesh.results() == []
        left = echo.submit("left")

    assert left.wait() == "left"
    assert mesh.collect() == []


async def test_a_request_may_be_awaited_on_another_loop(mesh: Mesh) -> None:
    held = Held("held")
    request = await mesh.add(held).submit("tea")
    got: list[Any] = []

    async def elsewhere() -> None:
        got.append(await request)
        got.append([result.value for result in await mesh.collect()])
        got.append(await (await mesh.submit("held", "milk")))

    def run() -> None:
        anyio.run(elsewhere)
        anyio.run(elsewhere, backend="trio")

    thread = threading.Thread(target=run)
    thread.start()
    await until(mesh.waits)
    held.gate.set()
    await until(lambda: not thread.is_alive())

    assert got == ["tea", [], "milk"] * 2


async def test_waiting_blocks_no_loop_of_the_mesh_s_own(mesh: Mesh) -> None:
    request = await mesh.add(Echo("echo")).submit("tea")

    with pytest.raises(BlockingCallError, match="await"):
        request.wait()
    assert await request == "tea"


async def test_keepers_get_requests_in_the_order_they_were_submitted(mesh: Mesh) -> None:
    keeper = Keeper("keeper")
    ref = mesh.add(keeper)

    for number in range(20):
        _ = await ref.submit(number)

    assert [result.value for result in await mesh.collect()] == list(range(1, 21))
    assert keeper.kept == list(range(20))
