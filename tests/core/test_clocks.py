"""The time of a block of code in a handler: it ends the block and nothing else."""

import functools
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from ceylon import Agent, Context, Mesh, on
from support.virtual_time import run_virtually

Virtually = Callable[[Callable[[], Awaitable[Any]]], Any]


@pytest.fixture(params=["asyncio", "trio"])
def virtually(request: pytest.FixtureRequest) -> Virtually:
    """Run something in virtual time."""
    return functools.partial(run_virtually, request.param)


class Timed(Agent):
    """Does what it is told to, in a clock of ten seconds."""

    def __init__(self, name: str, work: Callable[[Context], Awaitable[Any]]) -> None:
        super().__init__(name)
        self._work = work

    @on
    async def work(self, message: str, context: Context) -> Any:
        """Say what the work came to, or when its time was over; both only after one more wait."""
        value: Any = None
        with context.interior.pauses.clock(context, 10.0):
            value = await self._work(context)
        if value is None:
            value = f"over at {anyio.current_time():.0f}"
        await anyio.sleep(1)
        return value


def ask_in_time(virtually: Virtually, work: Callable[[Context], Awaitable[Any]]) -> Any:
    """Return what the agent answers whose *work* is timed; the next message it handles as ever."""

    async def run() -> Any:
        async with Mesh() as mesh:
            timed = mesh.add(Timed("timed", work))
            began = anyio.current_time()
            answer = await timed.ask("work", timeout=1_000)
            assert await mesh.add(Timed("other", done)).ask("work") == "done"
            return answer, anyio.current_time() - began

    return virtually(run)[0]


async def done(context: Context) -> str:
    """Be done."""
    return "done"


async def never(context: Context) -> None:
    """Wait without end."""
    await anyio.sleep_forever()


def test_a_block_that_is_done_in_time_is_let_be(virtually: Virtually) -> None:
    async def work(context: Context) -> str:
        await anyio.sleep(9)
        return "done"

    assert ask_in_time(virtually, work) == "done"


def test_a_block_whose_time_is_over_is_left_and_the_handler_goes_on(virtually: Virtually) -> None:
    assert ask_in_time(virtually, never).startswith("over at 1")


def test_a_block_that_takes_no_notice_is_told_again(virtually: Virtually) -> None:
    async def work(context: Context) -> None:
        for _ in range(3):
            try:
                await anyio.sleep_forever()
            except anyio.get_cancelled_exc_class():  # as no code should
                if anyio.current_time() > 1_000:
                    raise
        await anyio.sleep_forever()

    assert ask_in_time(virtually, work).startswith("over at 1")


def test_the_time_stands_still_while_the_handler_rests(virtually: Virtually) -> None:
    async def work(context: Context) -> None:
        await anyio.sleep(4)
        with context.interior.pauses.rest(context):
            await anyio.sleep(100)
        await anyio.sleep_forever()

    assert ask_in_time(virtually, work).startswith("over at 11")


def test_the_inner_of_two_blocks_ends_alone(virtually: Virtually) -> None:
    async def work(context: Context) -> str:
        with context.interior.pauses.clock(context, 2.0):
            await anyio.sleep_forever()
        await anyio.sleep(3)
        return "went on"

    assert ask_in_time(virtually, work) == "went on"


@pytest.mark.parametrize("seconds", [5.0, 10.0])
def test_a_cancellation_from_elsewhere_goes_through(virtually: Virtually, seconds: float) -> None:
    """Also one at the same moment, whichever comes first."""

    async def run() -> Any:
        async with Mesh() as mesh:
            timed = mesh.add(Timed("timed", never))
            with anyio.move_on_after(seconds):
                await timed.ask("work", timeout=1_000)
            await mesh.drain()
            return mesh.statistics().agents["timed"]

    counts = virtually(run)
    assert counts.completed + counts.cancelled == 1
    assert counts.cancelled == 1 or seconds >= 10


def test_what_a_block_does_at_its_end_behind_a_shield_is_not_cut_off(virtually: Virtually) -> None:
    put_away: list[float] = []

    async def work(context: Context) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(3)
                put_away.append(anyio.current_time())

    assert ask_in_time(virtually, work).startswith("over at 13")
    assert len(put_away) == 1
