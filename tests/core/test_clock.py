"""The simulated loop: what it needs of asyncio, anyio and trio that is not public, and what it promises itself."""
# ruff: noqa: SLF001 – what is not public is what is looked at here

import asyncio
import random
import threading
import time
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
import trio

from ceylon.core.backends.simulated import SimulatedLoop
from ceylon.core.clock import Clock, run_simulated


class Seeded:
    """Decides by a seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 – repeatable is the point

    def below(self, count: int) -> int:
        return self._random.randrange(count)

    def chance(self, rate: float) -> bool:
        return self._random.random() < rate


class Usual:
    """Decides as a loop without a simulation does."""

    def below(self, count: int) -> int:
        return 0

    def chance(self, rate: float) -> bool:
        return False


def run(function: Callable[[Clock], Any], seed: int | None = 1, backend: str = "asyncio") -> None:
    chooser = Usual() if seed is None else Seeded(seed)
    run_simulated(function, backend, chooser, seed=seed or 0, hold_back=0.2)


# -- canaries: these fail when a release of somebody else's moves what we lean on --------------------------------------


def test_asyncio_keeps_its_queues_where_the_loop_looks() -> None:
    loop: Any = SimulatedLoop(Usual())
    try:
        assert loop._ready is loop._inside._ready
        assert loop._scheduled == []
        assert callable(asyncio.BaseEventLoop._run_once)  # type: ignore[attr-defined]
        handle: Any = loop.call_soon(print)
        assert handle._callback is print
    finally:
        loop.close()


def test_a_task_step_knows_its_task() -> None:
    steps: list[bool] = []

    async def wait(_: Clock) -> None:
        loop: Any = asyncio.get_running_loop()
        task = loop.create_task(asyncio.sleep(0))
        steps.extend(getattr(handle._callback, "__self__", None) is task for handle in loop._ready)
        await task

    run(wait, seed=None)

    assert any(steps)


def test_anyio_tells_which_of_its_threads_are_at_work() -> None:
    gate = threading.Event()

    async def look(_: Clock) -> None:
        loop: Any = asyncio.get_running_loop()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: anyio.to_thread.run_sync(gate.wait))
            while not any(map(loop._is_busy, threading.enumerate())):
                await anyio.lowlevel.checkpoint()
            assert loop.is_held()
            gate.set()
        assert not loop.is_held()

    run(look)


def test_anyio_cancels_in_an_order_that_does_not_depend_on_addresses() -> None:
    async def see(_: Clock) -> None:
        with anyio.CancelScope() as scope:  # noqa: ASYNC100 – only looked at
            assert "__hash__" in vars(type(scope))
            assert hash(scope) == hash(asyncio.current_task())

    run(see)

    async def see_outside() -> None:
        with anyio.CancelScope() as scope:  # noqa: ASYNC100 – only looked at
            assert hash(scope) == object.__hash__(scope)

    asyncio.run(see_outside())


def test_trio_can_still_be_made_deterministic() -> None:
    scheduler: Any = trio._core._run

    assert isinstance(scheduler._ALLOW_DETERMINISTIC_SCHEDULING, bool)
    assert isinstance(scheduler._r, random.Random)


# -- promises ----------------------------------------------------------------------------------------------------------


def steps_of(seed: int | None, backend: str = "asyncio") -> list[str]:
    said: list[str] = []

    async def take_turns(_: Clock) -> None:
        async def step(name: str) -> None:
            for _again in range(4):
                await anyio.lowlevel.checkpoint()
                said.append(name)

        async with anyio.create_task_group() as tasks:
            for name in "abcd":
                tasks.start_soon(step, name)

    run(take_turns, seed, backend)
    return said


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_order_of_task_steps_is_the_seeds(backend: str) -> None:
    orders = {tuple(steps_of(seed, backend)) for seed in range(50)}

    assert len(orders) >= 45
    assert steps_of(7, backend) == steps_of(7, backend)


def test_without_choices_tasks_take_turns_as_on_any_loop() -> None:
    assert steps_of(None) == list("abcd") * 4


def test_callbacks_that_are_no_task_steps_keep_their_order() -> None:
    said: list[int] = []

    async def call(_: Clock) -> None:
        loop = asyncio.get_running_loop()
        tasks: list[asyncio.Task[None]] = []
        for number in range(20):
            loop.call_soon(said.append, number)
            tasks.append(loop.create_task(asyncio.sleep(0)))
        await asyncio.gather(*tasks)

    for seed in range(20):
        said.clear()
        run(call, seed)

        assert said == list(range(20))


def test_siblings_are_cancelled_in_the_same_order_every_time() -> None:
    def order(seed: int) -> list[int]:
        said: list[int] = []

        async def cancel(_: Clock) -> None:
            async def wait(number: int) -> None:
                try:
                    with anyio.CancelScope():
                        await anyio.sleep_forever()
                finally:
                    said.append(number)

            async with anyio.create_task_group() as tasks:
                for number in range(10):
                    tasks.start_soon(wait, number)
                await anyio.sleep(1)
                tasks.cancel_scope.cancel()

        run(cancel, seed)
        return said

    for seed in range(20):
        clutter = [object() for _ in range(seed * 100)]  # or the same addresses might be used again
        assert order(seed) == order(seed)
        assert len({*map(id, clutter)}) == len(clutter)


def test_time_jumps_exactly_to_the_next_timer() -> None:
    seen: list[float] = []

    async def wait(_: Clock) -> None:
        for seconds in (0.1, 0.2, 1e6, 1e-9):
            await anyio.sleep(seconds)
            seen.append(anyio.current_time())

    run(wait)

    assert seen == [0.1, 0.1 + 0.2, 0.1 + 0.2 + 1e6, 0.1 + 0.2 + 1e6 + 1e-9]


def test_the_executor_of_the_loop_holds_the_clock() -> None:
    async def wait(_: Clock) -> None:
        loop = asyncio.get_running_loop()
        before = time.monotonic()
        sleeper = loop.create_task(asyncio.sleep(1000))
        await loop.run_in_executor(None, time.sleep, 0.05)
        assert loop.time() <= time.monotonic() - before
        sleeper.cancel()

    run(wait)


def test_a_loop_that_would_wait_for_ever_says_so() -> None:
    async def wait(_: Clock) -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(RuntimeError, match="nothing can ever happen again"):
        run(wait)
