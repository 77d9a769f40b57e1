"""The time of a block of code in a handler: it ends the block and nothing else, by either way of cancelling."""

import functools
from collections.abc import Awaitable, Callable
from typing import Any, Final

import anyio
import pytest

from ceylon import Agent, Context, Mesh, on
from ceylon.core.clocks import Clock, PlainClock
from ceylon.core.pauses import Pauses
from support.virtual_time import run_virtually

WAYS: Final[dict[str, Callable[[Pauses, Context, float], Clock]]] = {
    "by a scope": Pauses.clock,
    "by the task itself": Pauses.plain_clock,
}

Virtually = Callable[[Callable[[], Awaitable[Any]]], Any]
Way = Callable[[Pauses, Context, float], Clock]


@pytest.fixture(params=["asyncio", "trio"])
def virtually(request: pytest.FixtureRequest) -> Virtually:
    """Run something in virtual time."""
    return functools.partial(run_virtually, request.param)


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Way:
    """Return what makes a clock."""
    return WAYS[request.param]


class Timed(Agent):
    """Does what it is told to, in a clock of ten seconds."""

    def __init__(self, name: str, way: Way, work: Callable[[Context], Awaitable[Any]]) -> None:
        super().__init__(name)
        self._way, self._work = way, work

    @on
    async def work(self, message: str, context: Context) -> Any:
        """Say what the work came to, or when its time was over; both only after one more wait."""
        value: Any = None
        with self._way(context.interior.pauses, context, 10.0):
            value = await self._work(context)
        if value is None:
            value = f"over at {anyio.current_time():.0f}"
        await anyio.sleep(1)
        return value


def ask_in_time(virtually: Virtually, way: Way, work: Callable[[Context], Awaitable[Any]]) -> Any:
    """Return what the agent answers whose *work* is timed; the next message it handles as ever."""

    async def run() -> Any:
        async with Mesh() as mesh:
            timed = mesh.add(Timed("timed", way, work))
            began = anyio.current_time()
            answer = await timed.ask("work", timeout=1_000)
            assert await mesh.add(Timed("other", way, done)).ask("work") == "done"
            return answer, anyio.current_time() - began

    return virtually(run)[0]


async def done(context: Context) -> str:
    """Be done."""
    return "done"


async def never(context: Context) -> None:
    """Wait without end."""
    await anyio.sleep_forever()


def test_a_block_that_is_done_in_time_is_let_be(virtually: Virtually, way: Way) -> None:
    async def work(context: Context) -> str:
        await anyio.sleep(9)
        return "done"

    assert ask_in_time(virtually, way, work) == "done"


def test_a_block_whose_time_is_over_is_left_and_the_handler_goes_on(virtually: Virtually, way: Way) -> None:
    assert ask_in_time(virtually, way, never).startswith("over at 1")


def test_a_block_that_takes_no_notice_is_told_again(virtually: Virtually, way: Way) -> None:
    async def work(context: Context) -> None:
        for _ in range(3):
            try:
                await anyio.sleep_forever()
            except anyio.get_cancelled_exc_class():  # as no code should
                if anyio.current_time() > 1_000:
                    raise
        await anyio.sleep_forever()

    assert ask_in_time(virtually, way, work).startswith("over at 1")


def test_the_time_stands_still_while_the_handler_rests(virtually: Virtually, way: Way) -> None:
    async def work(context: Context) -> None:
        await anyio.sleep(4)
        with context.interior.pauses.rest(context):
            await anyio.sleep(100)
        await anyio.sleep_forever()

    assert ask_in_time(virtually, way, work).startswith("over at 11")


def test_the_inner_of_two_blocks_ends_alone(virtually: Virtually, way: Way) -> None:
    async def work(context: Context) -> str:
        with way(context.interior.pauses, context, 2.0):
            await anyio.sleep_forever()
        await anyio.sleep(3)
        return "went on"

    assert ask_in_time(virtually, way, work) == "went on"


@pytest.mark.parametrize("seconds", [5.0, 10.0])
def test_a_cancellation_from_elsewhere_goes_through(virtually: Virtually, way: Way, seconds: float) -> None:
    """Also one at the same moment, whichever comes first."""

    async def run() -> Any:
        async with Mesh() as mesh:
            timed = mesh.add(Timed("timed", way, never))
            with anyio.move_on_after(seconds):
                await timed.ask("work", timeout=1_000)
            await mesh.drain()
            return mesh.statistics().agents["timed"]

    counts = virtually(run)
    assert counts.completed + counts.cancelled == 1
    assert counts.cancelled == 1 or seconds >= 10


def test_what_another_has_cancelled_is_not_taken_back() -> None:
    """The clock has rung, and so has somebody else: the cancellation is not the clock's to swallow."""

    class Task:
        count = 0

        def cancelling(self) -> int:
            return self.count

        def cancel(self) -> None:
            self.count += 1

        def uncancel(self) -> int:
            self.count -= 1
            return self.count

    def leave(*, by_another: bool) -> tuple[bool, int]:
        async def run() -> tuple[bool, int]:
            async with Mesh() as mesh:
                task, cancelled = Task(), mesh.interior.driver.cancellation
                clock = PlainClock(mesh.interior, 1, 10.0, task)
                clock.__enter__()
                await anyio.sleep(10.15)  # it has rung twice
                if by_another:
                    task.cancel()
                return clock.__exit__(cancelled, cancelled(), None), task.count

        result: tuple[bool, int] = run_virtually("asyncio", run)
        return result

    assert leave(by_another=False) == (True, 0)
    assert leave(by_another=True) == (False, 1)
