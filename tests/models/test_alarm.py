"""One timer bounds one wait after the other."""

import math
from typing import Any

import anyio
import pytest

from ceylon.models.alarm import Alarm
from support.loops import chosen_loops
from support.virtual_time import virtual

pytestmark = pytest.mark.anyio

SOON = 0.01
LATE = 60.0


@pytest.fixture(params=chosen_loops("asyncio", "trio"))
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """Run each test in virtual time: between two steps a busy machine may take longer than this."""
    return virtual(request.param)


async def wait(alarm: Alarm, seconds: float, length: float = math.inf) -> bool:
    """Wait *length* seconds, at most *seconds*; say whether the alarm ended it."""
    with alarm.begin(alarm.now() + seconds) as scope:
        await anyio.sleep(length)
    alarm.end()
    return scope.cancelled_caught


async def test_a_wait_ends_at_its_time() -> None:
    alarm = Alarm()

    assert await wait(alarm, SOON)
    assert await wait(alarm, SOON)


async def test_the_timer_of_an_earlier_wait_ends_no_later_one() -> None:
    alarm = Alarm()
    assert not await wait(alarm, SOON, 0)

    assert not await wait(alarm, LATE, 3 * SOON)

    assert await wait(alarm, SOON)
    alarm.close()


async def test_a_wait_may_end_before_the_timer_of_an_earlier_one() -> None:
    alarm = Alarm()
    assert not await wait(alarm, LATE, 0)

    assert await wait(alarm, SOON)


async def test_a_timer_that_rings_between_two_waits_is_set_again() -> None:
    alarm = Alarm()
    assert not await wait(alarm, SOON, 0)
    await anyio.sleep(3 * SOON)  # nobody waits while it rings

    assert await wait(alarm, SOON)


async def test_a_time_that_has_passed_ends_the_wait_at_once() -> None:
    assert await wait(Alarm(), -1.0)


async def test_a_closed_alarm_rings_for_nobody() -> None:
    alarm = Alarm()
    with alarm.begin(alarm.now() + SOON) as scope:
        alarm.close()
        await anyio.sleep(3 * SOON)

    assert not scope.cancel_called
