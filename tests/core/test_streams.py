"""Many replies to one message: credit, order, and how a stream ends from either side."""

import gc
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from typing import Any

import anyio
import msgspec
import pytest

from ceylon import (
    Agent,
    BlockingContext,
    BlockingStream,
    Context,
    HandlerError,
    Mesh,
    Stream,
    UnhandledMessageError,
    UnknownAgentError,
    on,
)
from ceylon.errors import StreamTimeoutError
from ceylon.settings import DEFAULTS
from support.core_agents import SECONDS, Counter, Echo, Failing, Held, until
from support.law import lawful_mesh
from support.leaps import leap, leap_when_all_wait, on_leaping_loops

CREDIT = DEFAULTS.stream_credit

every_producer = pytest.mark.parametrize("message", [10_000, "10000"], ids=["on the loop", "in a thread"])


# -- parts -------------------------------------------------------------------------------------------------------------


async def test_ten_thousand_parts_come_in_order(mesh: Mesh) -> None:
    ref = mesh.add(Counter("counter"))

    assert [part async for part in ref.stream(10_000)] == list(range(10_000))


async def test_many_parts_of_a_plain_generator_come_in_order(mesh: Mesh) -> None:
    ref = mesh.add(Counter("counter"))

    assert [part async for part in ref.stream("1000")] == list(range(1_000))


async def test_ten_thousand_parts_come_in_order_to_a_thread(mesh: Mesh) -> None:
    ref = mesh.add(Counter("counter"))

    parts = await anyio.to_thread.run_sync(lambda: list(ref.blocking.stream(10_000)))

    assert parts == list(range(10_000))


async def test_result_reads_to_the_end(mesh: Mesh) -> None:
    ref = mesh.add(Counter("counter"))

    assert await ref.stream(5).result() == [0, 1, 2, 3, 4]
    assert await anyio.to_thread.run_sync(lambda: ref.blocking.stream(5).result()) == [0, 1, 2, 3, 4]


async def test_result_has_the_parts_that_were_not_taken_yet(mesh: Mesh) -> None:
    stream = mesh.add(Counter("counter")).stream(5)

    assert await anext(stream) == 0
    assert await stream.result() == [1, 2, 3, 4]
    assert await stream.result() == []


async def test_a_stream_that_is_over_stays_over(mesh: Mesh) -> None:
    stream = mesh.add(Counter("counter")).stream(1)
    await stream.result()

    for _ in range(2):
        with pytest.raises(StopAsyncIteration):
            await anext(stream)


async def test_nothing_is_sent_before_the_first_part_is_wanted(mesh: Mesh) -> None:
    counter = Counter("counter")
    stream = mesh.add(counter).stream(5)

    await mesh.drain()

    assert mesh.statistics().agents["counter"].accepted == 0
    assert await stream.result() == [0, 1, 2, 3, 4]


async def test_every_stream_is_a_message_of_its_own(mesh: Mesh) -> None:
    counter = Counter("counter")
    ref = mesh.add(counter)

    assert [await ref.stream(2).result() for _ in range(3)] == [[0, 1]] * 3
    assert mesh.statistics().agents["counter"].completed == 3


async def test_streams_of_a_concurrent_agent_flow_side_by_side(mesh: Mesh) -> None:
    class Wide(Counter):
        concurrency = 3

    ref = mesh.add(Wide("counter"))
    streams = [ref.stream(200) for _ in range(3)]

    parts = [[await anext(stream) for stream in streams] for _ in range(200)]

    assert parts == [[number] * 3 for number in range(200)]
    for stream in streams:
        await stream.aclose()


# -- credit ------------------------------------------------------------------------------------------------------------


@every_producer
async def test_a_producer_is_never_more_than_the_credit_ahead(mesh: Mesh, message: Any) -> None:
    counter = Counter("counter")

    async with mesh.add(counter).stream(message) as stream:
        assert await anext(stream) == 0
        await until(lambda: counter.made >= CREDIT)
        await anyio.sleep(0.05)  # time enough for a producer that does not stop
        ahead = counter.made

    assert ahead <= 2 * CREDIT + 2  # what was pulled in one go, and what waits for the next pull


async def test_the_credit_is_a_setting(anyio_backend: str) -> None:
    async with lawful_mesh(settings=msgspec.structs.replace(DEFAULTS, stream_credit=4)) as mesh:
        counter = Counter("counter")

        async with mesh.add(counter).stream(1_000) as stream:
            for number in range(20):
                assert await anext(stream) == number
            await anyio.wait_all_tasks_blocked()
            assert counter.made <= 20 + 2 * 4 + 2


async def test_a_slow_consumer_gets_every_part(anyio_backend: str) -> None:
    async with lawful_mesh(settings=msgspec.structs.replace(DEFAULTS, stream_credit=1)) as mesh:
        ref = mesh.add(Counter("counter"))
        taken = []

        async for part in ref.stream(50):
            await anyio.lowlevel.checkpoint()
            taken.append(part)

        assert taken == list(range(50))


async def test_no_thread_is_held_while_a_plain_generator_waits_for_credit(mesh: Mesh) -> None:
    counter = Counter("counter")

    async with mesh.add(counter).stream("1000") as stream:
        await anext(stream)
        await until(lambda: mesh.statistics().threads.running == 0 and counter.made >= CREDIT)

    assert counter.made < 1_000


class Passing(Agent):
    """Passes the parts of another agent on."""

    def __init__(self, name: str, source: str) -> None:
        super().__init__(name)
        self.source = source
        self.passed = 0
        self.closed = 0

    async def on_message(self, message: Any, context: Context) -> AsyncIterator[Any]:
        try:
            async with context.stream(self.source, message) as stream:
                async for part in stream:
                    self.passed += 1
                    yield part
        finally:
            self.closed += 1


class PassingInAThread(Agent):
    """The same in a thread."""

    def __init__(self, name: str, source: str) -> None:
        super().__init__(name)
        self.source = source
        self.passed = 0
        self.closed = 0

    def on_message(self, message: Any, context: BlockingContext) -> Iterator[Any]:
        try:
            with context.stream(self.source, message) as stream:
                for part in stream:
                    self.passed += 1
                    yield part
        finally:
            self.closed += 1


@pytest.mark.parametrize("kind", [Passing, PassingInAThread])
async def test_parts_pass_through_three_agents(mesh: Mesh, kind: Callable[[str, str], Agent]) -> None:
    mesh.add(Counter("counter"))
    mesh.add(kind("second", "counter"))
    first = mesh.add(kind("first", "second"))

    assert await first.stream(300).result() == list(range(300))


async def test_credit_holds_over_three_agents(mesh: Mesh) -> None:
    counter = Counter("counter")
    mesh.add(counter)
    mesh.add(Passing("second", "counter"))

    async with mesh.add(Passing("first", "second")).stream(100_000) as stream:
        await anext(stream)
        await anyio.wait_all_tasks_blocked()
        await anyio.wait_all_tasks_blocked()
        ahead = counter.made

    assert ahead <= 3 * (2 * CREDIT + 2)


@pytest.mark.parametrize("kind", [Passing, PassingInAThread])
async def test_a_consumer_that_leaves_stops_every_agent_on_the_way(
    mesh: Mesh, kind: type[Passing] | type[PassingInAThread]
) -> None:
    counter, second, first = Counter("counter"), kind("second", "counter"), kind("first", "second")
    for agent in (counter, second, first):
        mesh.add(agent)

    async with mesh.stream("first", 100_000) as stream:
        await anext(stream)

    await until(lambda: counter.closed == second.closed == first.closed == 1)
    await mesh.drain()


# -- the consumer leaves -----------------------------------------------------------------------------------------------


async def by_break(stream: Stream) -> None:
    async for _ in stream:
        break


async def by_aclose(stream: Stream) -> None:
    await anext(stream)
    await stream.aclose()


async def by_the_end_of_its_block(stream: Stream) -> None:
    async with stream:
        await anext(stream)


async def by_aclosing(stream: Stream) -> None:
    async with aclosing(stream):
        await anext(stream)


async def by_an_error(stream: Stream) -> None:
    with pytest.raises(ValueError, match="enough"):
        async with stream:
            async for _ in stream:
                raise ValueError("enough")


async def by_cancelling(stream: Stream) -> None:
    with anyio.CancelScope() as scope:
        async for _ in stream:
            scope.cancel()
            await anyio.lowlevel.checkpoint()


async def by_dropping_it(stream: Stream) -> None:
    await anext(stream)


@every_producer
@pytest.mark.parametrize(
    "leave",
    [by_break, by_aclose, by_the_end_of_its_block, by_aclosing, by_an_error, by_cancelling, by_dropping_it],
    ids=lambda leave: leave.__name__,
)
async def test_a_consumer_that_leaves_stops_the_producer(mesh: Mesh, leave: Any, message: Any) -> None:
    counter = Counter("counter")

    await leave(mesh.add(counter).stream(message))
    gc.collect()

    await until(lambda: counter.closed == 1)
    await mesh.drain()
    statistics = mesh.statistics().agents["counter"]
    assert (statistics.cancelled, statistics.completed, statistics.failed) == (1, 0, 0)
    assert counter.made < 10_000


async def test_a_consumer_cancelled_while_it_waits_for_a_part_stops_the_producer(mesh: Mesh) -> None:
    held = Held("held")
    ref = mesh.add(held)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ref.stream("tea").result)
        await until(lambda: held.begun)
        tasks.cancel_scope.cancel()

    await until(lambda: held.cancelled == ["tea"])


async def test_a_thread_that_leaves_stops_the_producer(mesh: Mesh) -> None:
    counter = Counter("counter")
    ref = mesh.add(counter)

    def take() -> int:
        for part in ref.blocking.stream(10_000):
            return int(part)
        return -1

    assert await anyio.to_thread.run_sync(take) == 0
    await until(lambda: counter.closed == 1)


async def test_a_thread_may_close_its_stream(mesh: Mesh) -> None:
    counter = Counter("counter")
    ref = mesh.add(counter)

    def take() -> BlockingStream:
        with ref.blocking.stream(10_000) as stream:
            assert next(stream) == 0
        return stream

    stream = await anyio.to_thread.run_sync(take)
    await until(lambda: counter.closed == 1)

    assert await anyio.to_thread.run_sync(stream.result) == []


async def test_a_stream_closed_before_its_first_part_sends_nothing(mesh: Mesh) -> None:
    counter = Counter("counter")
    stream = mesh.add(counter).stream(5)

    await stream.aclose()

    assert await stream.result() == []
    assert mesh.statistics().agents["counter"].accepted == 0


async def test_closing_twice_or_after_the_end_does_nothing(mesh: Mesh) -> None:
    stream = mesh.add(Counter("counter")).stream(1)
    await stream.result()

    await stream.aclose()
    await stream.aclose()

    await mesh.drain()
    assert mesh.statistics().agents["counter"].completed == 1


async def test_a_stream_that_waits_in_the_mailbox_is_taken_back(mesh: Mesh) -> None:
    held = Held("held")
    ref = mesh.add(held)
    await ref.tell("first")

    async def take() -> None:
        async with ref.stream("second") as stream:
            await anext(stream)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(take)
        await until(lambda: mesh.statistics().agents["held"].pending == 2)
        tasks.cancel_scope.cancel()

    await until(lambda: mesh.statistics().agents["held"].cancelled == 1)
    held.gate.set()
    await mesh.drain()
    assert held.begun == ["first"]


async def test_the_next_message_is_handled_after_a_consumer_left(mesh: Mesh) -> None:
    ref = mesh.add(Counter("counter"))

    await by_aclose(ref.stream(10_000))

    assert await ref.stream(2).result() == [0, 1]


async def test_a_producer_that_ignores_its_consumers_leaving_keeps_nothing_for_it(mesh: Mesh) -> None:
    class Part:
        alive = 0

        def __init__(self) -> None:
            Part.alive += 1

        def __del__(self) -> None:
            Part.alive -= 1

    class Careful(Agent):
        @on(shielded=True)
        async def make(self, message: int) -> AsyncIterator[Part]:
            for _ in range(message):
                yield Part()
            self.most = Part.alive

    careful = Careful("careful")
    ref = mesh.add(careful)

    await by_aclose(ref.stream(5_000))
    await mesh.drain()

    assert mesh.statistics().agents["careful"].completed == 1
    assert careful.most <= 2 * CREDIT


# -- the producer ends it ----------------------------------------------------------------------------------------------


class Breaking(Agent):
    """Fails after some parts."""

    @on
    async def on_loop(self, message: int) -> AsyncIterator[int]:
        for number in range(message):
            yield number
        raise ValueError("broken")

    @on
    def in_thread(self, message: str) -> Iterator[int]:
        yield from range(int(message))
        raise ValueError("broken")


@pytest.mark.parametrize("message", [3, "3", 0, "0", 200, "200"])
async def test_an_error_comes_after_the_parts_before_it(mesh: Mesh, message: Any) -> None:
    ref = mesh.add(Breaking("breaking"))
    taken = []

    with pytest.raises(HandlerError) as caught:
        async for part in ref.stream(message):
            taken.append(part)  # noqa: PERF401 – the parts before the error are the point

    assert taken == list(range(int(message)))
    assert isinstance(caught.value.root, ValueError)
    assert caught.value.path == ("breaking",)
    assert mesh.statistics().agents["breaking"].failed == 1


async def test_an_error_is_raised_once_and_the_stream_is_over(mesh: Mesh) -> None:
    stream = mesh.add(Breaking("breaking")).stream(0)

    with pytest.raises(HandlerError):
        await anext(stream)
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_an_error_passes_through_agents_with_the_whole_path(mesh: Mesh) -> None:
    mesh.add(Breaking("breaking"))
    mesh.add(Passing("second", "breaking"))
    first = mesh.add(Passing("first", "second"))
    taken = []

    with pytest.raises(HandlerError) as caught:
        async for part in first.stream(3):
            taken.append(part)  # noqa: PERF401 – the parts before the error are the point

    assert taken == [0, 1, 2]
    assert caught.value.path == ("first", "second", "breaking")


async def test_result_raises_what_the_stream_ended_with(mesh: Mesh) -> None:
    ref = mesh.add(Breaking("breaking"))

    with pytest.raises(HandlerError):
        await ref.stream(3).result()


async def test_a_stream_of_a_failing_handler_fails(mesh: Mesh) -> None:
    ref = mesh.add(Failing("failing"))

    with pytest.raises(HandlerError):
        await ref.stream(ValueError("no tea")).result()


async def test_a_stream_to_nobody_fails_at_its_first_part(mesh: Mesh) -> None:
    stream = mesh.stream("nobody", "tea")

    with pytest.raises(UnknownAgentError):
        await anext(stream)
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_a_stream_of_what_nobody_handles_fails(mesh: Mesh) -> None:
    ref = mesh.add(Failing("failing"))

    with pytest.raises(UnhandledMessageError):
        await ref.stream("tea").result()


# -- idle --------------------------------------------------------------------------------------------------------------


@on_leaping_loops
async def test_a_stream_whose_next_part_does_not_come_ends(mesh: Mesh) -> None:
    class Stalling(Agent):
        def __init__(self, name: str) -> None:
            super().__init__(name)
            self.closed = False

        async def on_message(self, message: Any) -> AsyncIterator[int]:
            try:
                yield 1
                await anyio.sleep_forever()
            finally:
                self.closed = True

    stalling = Stalling("stalling")
    stream = mesh.add(stalling).stream("tea", idle_timeout=10)

    assert await anext(stream) == 1
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(leap_when_all_wait, 10)
        with pytest.raises(StreamTimeoutError, match=r"'stalling' sent nothing for 10 s") as caught:
            await anext(stream)
        assert isinstance(caught.value, TimeoutError)
    await until(lambda: stalling.closed)
    await mesh.drain()
    assert mesh.statistics().agents["stalling"].cancelled == 1


@on_leaping_loops
async def test_the_idle_time_is_between_parts_and_not_for_the_whole(mesh: Mesh) -> None:
    class Steady(Agent):
        async def on_message(self, message: int) -> AsyncIterator[int]:
            for number in range(message):
                leap(4)
                await anyio.sleep(0.001)
                yield number

    ref = mesh.add(Steady("steady"))

    assert await ref.stream(8, idle_timeout=20).result() == list(range(8))


@on_leaping_loops
async def test_a_consumer_may_take_its_time(mesh: Mesh) -> None:
    ref = mesh.add(Counter("counter"))
    stream = ref.stream(3, idle_timeout=10)

    taken = [await anext(stream)]
    leap(12)  # longer than the producer may
    await anyio.sleep(0.01)
    taken += await stream.result()

    assert taken == [0, 1, 2]


async def test_the_idle_time_is_a_setting(anyio_backend: str) -> None:
    async with lawful_mesh(settings=msgspec.structs.replace(DEFAULTS, stream_idle_timeout=0.2)) as mesh:
        held = Held("held")
        ref = mesh.add(held)

        with pytest.raises(StreamTimeoutError):
            await ref.stream("tea").result()

        await until(lambda: held.cancelled)


async def test_a_blocking_stream_ends_when_it_idles_too(mesh: Mesh) -> None:
    held = Held("held")
    ref = mesh.add(held)

    with pytest.raises(StreamTimeoutError):
        await anyio.to_thread.run_sync(lambda: list(ref.blocking.stream("tea", idle_timeout=0.2)))

    await until(lambda: held.cancelled)


# -- where a plain producer runs ---------------------------------------------------------------------------------------


async def test_a_plain_handler_that_blocks_holds_up_no_stream_of_another(mesh: Mesh) -> None:
    class Blocking(Agent):
        def __init__(self, name: str) -> None:
            super().__init__(name)
            self.gate = threading.Event()

        def on_message(self, message: Any) -> Any:
            assert self.gate.wait(SECONDS)
            return message

    blocking = Blocking("blocking")
    ref = mesh.add(blocking)
    echo = mesh.add(Echo("echo"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ref.stream("tea").result)
        with anyio.fail_after(20):
            await until(lambda: mesh.statistics().agents["blocking"].pending == 1)
            assert await echo.stream("coffee").result() == ["coffee"]
        blocking.gate.set()


async def test_a_plain_generator_may_use_the_verbs_of_its_context(mesh: Mesh) -> None:
    class Asking(Agent):
        def on_message(self, message: int, context: BlockingContext) -> Iterator[Any]:
            for number in range(message):
                yield context.ask("echo", number)

    mesh.add(Echo("echo"))

    assert await mesh.add(Asking("asking")).stream(5).result() == [0, 1, 2, 3, 4]
