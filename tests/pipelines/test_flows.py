"""Flows keep their order where they promise it, and nobody is further ahead than promised: whoever is slow."""

from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import anyio
import pytest

from ceylon import Agent
from ceylon.pipelines import each, gather, pipeline, reduce
from ceylon.testing import Simulation, simulate
from ceylon.testing.fixtures import checked_mesh
from support.pipe_flows import Flow, check_back_pressure, check_order, check_unordered, to_list

FEW: Final = 40
MANY: Final = 500


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Keep what fails on purpose out of the log."""
    caplog.set_level("CRITICAL", "ceylon")


# -- order -------------------------------------------------------------------------------------------------------------


@simulate(seeds=FEW)
async def test_results_leave_in_the_order_of_the_items(simulation: Simulation) -> None:
    await check_order(simulation)


@pytest.mark.slow
@simulate(seeds=range(FEW, MANY))
async def test_so_they_do_many_times(simulation: Simulation) -> None:
    await check_order(simulation)


@simulate(seeds=FEW)
async def test_without_order_results_leave_as_they_come(simulation: Simulation) -> None:
    await check_unordered(simulation)


@pytest.mark.slow
@simulate(seeds=range(FEW, MANY))
async def test_so_they_leave_many_times(simulation: Simulation) -> None:
    await check_unordered(simulation)


# -- back-pressure -----------------------------------------------------------------------------------------------------


@simulate(seeds=FEW)
async def test_nobody_is_further_ahead_than_promised(simulation: Simulation) -> None:
    await check_back_pressure(simulation)


@pytest.mark.slow
@simulate(seeds=range(FEW, MANY))
async def test_so_it_is_many_times(simulation: Simulation) -> None:
    await check_back_pressure(simulation)


@simulate(seeds=6)
async def test_a_consumer_that_stalls_stops_the_source(simulation: Simulation) -> None:
    flow = Flow(simulation, slowest=0.01)
    width = simulation.random.randint(1, 5)
    stalled_at: list[int] = []

    async def take(items: AsyncIterator[int]) -> int:
        count = 0
        async for _ in items:
            count += 1
            if count == 3:
                await anyio.sleep(200)
                stalled_at.append(flow.made)
        return count

    async with simulation.mesh() as mesh:
        source = flow.source(150, waits=False)
        stages = pipeline(source) >> each(flow.step("step"), concurrency=width) >> take
        assert await mesh.add(stages).ask(None, timeout=10_000) == 150

    assert stalled_at[0] <= 3 + 2 * width + 2


@simulate(seeds=6)
async def test_a_slow_item_holds_back_no_more_than_its_neighbours(simulation: Simulation) -> None:
    """The first item takes an hour: with *concurrency* 4 and order, four run and four wait, and no more are begun."""
    begun: list[int] = []

    async def step(item: int) -> int:
        begun.append(item)
        await anyio.sleep(100 if item == 0 else simulation.random.random())
        if item == 0:
            assert 4 <= len(begun) <= 8
        return item

    async with simulation.mesh() as mesh:
        assert await mesh.add(pipeline(to_list(50)) >> each(step, concurrency=4)).ask(None, timeout=1_000) == [
            *range(50)
        ]


@simulate(seeds=6)
async def test_a_watcher_that_stalls_slows_the_run(simulation: Simulation) -> None:
    flow = Flow(simulation, slowest=0.001)
    async with simulation.mesh() as mesh:
        stages = pipeline(flow.source(1_000, waits=False)) >> each(flow.step("step"), concurrency=4)
        mesh.add(stages)
        async with stages.stream(None) as events:
            await anext(events)
            await anyio.sleep(20)
            made = flow.made
            assert made < 200
            await anyio.sleep(20)
            assert flow.made == made

    assert flow.made < 1_000


# -- generators --------------------------------------------------------------------------------------------------------


async def test_a_generator_is_closed_when_the_flow_fails_behind_it() -> None:
    ends: list[str] = []

    async def numbers(_: Any) -> AsyncIterator[int]:
        try:
            for number in range(1_000):
                yield number
        finally:
            ends.append("async")

    def numbers_in_a_thread(_: Any) -> Iterator[int]:
        try:
            yield from range(1_000)
        finally:
            ends.append("sync")

    async def fail(item: int) -> int:
        if item == 5:
            raise ValueError(item)
        return item

    async with checked_mesh() as mesh:
        for source in (numbers, numbers_in_a_thread):
            stages = mesh.add(pipeline(source, each(fail), name=source.__name__))
            with pytest.raises(Exception, match="5"):
                await stages.ask(None)

    assert ends == ["async", "sync"]


async def test_what_is_not_for_flows_gets_a_list() -> None:
    async def numbers(_: Any) -> AsyncIterator[int]:
        for number in range(3):
            yield number

    async def show(items: list[int]) -> str:
        return repr(items)

    async with checked_mesh() as mesh:
        assert await mesh.add(pipeline(numbers, show)).ask(None) == "[0, 1, 2]"
        assert await mesh.add(pipeline(numbers, name="bare")).ask(None) == [0, 1, 2]
        assert await mesh.add(pipeline(numbers, gather(), show, name="gathered")).ask(None) == "[0, 1, 2]"


class Numbers(Agent):
    """Its handler is a generator."""

    async def on_message(self, count: int) -> AsyncIterator[int]:
        for number in range(count):
            yield number


async def test_an_iterator_of_the_users_is_a_flow_for_each() -> None:
    async def double(item: int) -> int:
        return 2 * item

    async def numbers() -> AsyncIterator[int]:
        for number in range(5):
            yield number

    async with checked_mesh() as mesh:
        ref = mesh.add(pipeline(each(double), reduce(lambda one, other: one + other, 0)))
        for items in ([0, 1, 2, 3, 4], (0, 1, 2, 3, 4), range(5), iter(range(5)), numbers(), {0, 1, 2, 3, 4}):
            assert await ref.ask(items) == 20


async def test_an_agent_that_answers_by_a_generator_gives_its_list() -> None:
    async def double(item: int) -> int:
        return 2 * item

    async with checked_mesh() as mesh:
        assert await mesh.add(pipeline(Numbers("numbers"), each(double))).ask(4) == [0, 2, 4, 6]
