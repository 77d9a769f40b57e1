"""Timers of a loop that stood still: they are all due at one time, and still fire in the order of their times."""

import anyio
import pytest

from ceylon.core.backend import current_driver
from support.leaps import leap, on_leaping_loops
from support.leftovers import eventually

ROUNDS = 30  # trio takes either order by chance: all of them come right by it once in 1e9
NUMBERS = 20


@on_leaping_loops
async def test_timers_that_are_late_together_keep_their_order(anyio_backend: str) -> None:
    driver = current_driver()
    seen: list[int] = []
    for _ in range(ROUNDS):
        seen.clear()
        now = driver.now() + 60.0
        for number in sorted(range(NUMBERS), key=lambda number: number * 7 % NUMBERS):
            driver.call_at(now + number, lambda number=number: seen.append(number))  # type: ignore[misc]
        await anyio.wait_all_tasks_blocked()

        leap(60.0 + NUMBERS)
        await eventually(lambda: len(seen) == NUMBERS)

        assert seen == sorted(seen)
    driver.close()


@pytest.mark.parametrize("taken_back", [1, NUMBERS - 1])
@on_leaping_loops
async def test_the_first_of_them_can_take_back_another(anyio_backend: str, taken_back: int) -> None:
    driver = current_driver()
    seen: list[int] = []
    for _ in range(ROUNDS):
        seen.clear()
        now = driver.now() + 60.0
        takes = [
            driver.call_at(now + number, lambda number=number: seen.append(number))  # type: ignore[misc]
            for number in range(1, NUMBERS)
        ]
        driver.call_at(now, takes[taken_back - 1])
        await anyio.wait_all_tasks_blocked()

        leap(60.0 + NUMBERS)
        await eventually(lambda: len(seen) == NUMBERS - 2)
        await anyio.wait_all_tasks_blocked()

        assert seen == [number for number in range(1, NUMBERS) if number != taken_back]
    driver.close()
