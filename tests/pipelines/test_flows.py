"""Flows keep their order where they promise it, and nobody is further ahead than promised: whoever is slow."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Final

import anyio
import pytest
from ceylon.pipelines import Pipeline, each, gather, pipeline, reduce

from ceylon import Agent
from ceylon.testing import Simulation, simulate
from ceylon.testing.fixtures import checked_mesh

FEW: Final = 40
MANY: Final = 500


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Keep what fails on purpose out of the log."""
    caplog.set_level("CRITICAL", "ceylon")


class Flow:
    """A source and steps that take times at random and know where every item is; what is wrong is in `complaints`."""

    def __init__(self, simulation: Simulation, slowest: float = 1.0) -> None:
        self.chance = simulation.random
        self.slowest = slowest
        self.made = 0
        self.begun: dict[str, list[int]] = {}
        self.ended: dict[str, list[int]] = {}
        self.most: dict[str, int] = {}
        self.complaints: list[str] = []
        self._checks: list[Callable[[], str | None]] = []

    def check(self, is_so: Callable[[], bool], words: str) -> None:
        """Ask from now on, whenever something happens, whether it is so."""
        self._checks.append(lambda: None if is_so() else words)

    def look(self) -> None:
        """Ask now."""
        self.complaints += [said for check in self._checks if (said := check()) is not None]

    async def pause(self) -> None:
        """Take a time at random; now and then none, now and then a long one."""
        await anyio.sleep(
            self.slowest * self.chance.choice((0.0, 0.01, self.chance.random(), 10 * self.chance.random()))
        )

    def source(self, count: int, *, waits: bool) -> Callable[[Any], AsyncIterator[int]]:
        """Return a generator stage of *count* numbers."""

        async def numbers(_: Any) -> AsyncIterator[int]:
            for number in range(count):
                if waits:
                    await self.pause()
                self.made += 1
                self.look()
                yield number

        return numbers

    def step(self, name: str, fails_on: int | None = None) -> Callable[[Any], Any]:
        """Return a step that takes a time at random."""
        self.begun[name], self.ended[name], self.most[name] = [], [], 0
        inside = [0]

        async def step(item: int) -> int:
            inside[0] += 1
            self.most[name] = max(self.most[name], inside[0])
            self.begun[name].append(item)
            self.look()
            try:
                await self.pause()
                if item == fails_on:
                    raise ValueError(item)
                self.ended[name].append(item)
                self.look()
            finally:
                inside[0] -= 1
            return item

        step.__name__ = name
        return step


# -- order -------------------------------------------------------------------------------------------------------------


async def check_order(simulation: Simulation) -> None:
    """Send items through ordered and unordered steps."""
    flow, chance = Flow(simulation), simulation.random
    count = simulation.times(chance.randint(1, 25))
    first, second = (each(flow.step(name), concurrency=chance.randint(1, 8)) for name in ("first", "second"))
    seen: list[int] = []

    async def see(item: int) -> int:
        seen.append(item)
        return item

    async with simulation.mesh() as mesh:
        source: Any = flow.source(count, waits=chance.random() < 0.5) if chance.random() < 0.5 else to_list(count)
        stages = pipeline(source) >> first >> second >> each(see, concurrency=1)
        result = await mesh.add(stages).ask(None, timeout=10_000)

    assert result == list(range(count))
    assert seen == list(range(count))
    assert flow.begun["first"] == list(range(count))
    assert flow.begun["second"] == list(range(count))


def to_list(count: int) -> Callable[[Any], Any]:
    """Return a stage that gives *count* numbers at once."""

    async def numbers(_: Any) -> list[int]:
        return list(range(count))

    return numbers


@simulate(seeds=FEW)
async def test_results_leave_in_the_order_of_the_items(simulation: Simulation) -> None:
    await check_order(simulation)


@pytest.mark.slow
@simulate(seeds=range(FEW, MANY))
async def test_so_they_do_many_times(simulation: Simulation) -> None:
    await check_order(simulation)


async def check_unordered(simulation: Simulation) -> None:
    """Let results go as they come: in the order of their ends, each once."""
    flow, chance = Flow(simulation), simulation.random
    count = simulation.times(chance.randint(1, 25))
    seen: list[int] = []

    async def see(items: AsyncIterator[int]) -> list[int]:
        async for item in items:
            seen.append(item)
        return seen

    async with simulation.mesh() as mesh:
        step = each(flow.step("step"), concurrency=chance.randint(1, 8), ordered=False)
        result = await mesh.add(pipeline(flow.source(count, waits=True)) >> step >> see).ask(None, timeout=10_000)

    assert sorted(result) == list(range(count))
    assert result == flow.ended["step"]


@simulate(seeds=FEW)
async def test_without_order_results_leave_as_they_come(simulation: Simulation) -> None:
    await check_unordered(simulation)


@pytest.mark.slow
@simulate(seeds=range(FEW, MANY))
async def test_so_they_leave_many_times(simulation: Simulation) -> None:
    await check_unordered(simulation)


# -- back-pressure -----------------------------------------------------------------------------------------------------


async def check_back_pressure(simulation: Simulation) -> None:
    """Let some of source, steps and consumer be slow."""
    flow, chance = Flow(simulation), simulation.random
    count = simulation.times(60)
    widths = [chance.randint(1, 6) for _ in range(2)]
    ordered = [chance.random() < 0.7 for _ in range(2)]
    steps = ["one", "two"]
    stages: Pipeline = pipeline(flow.source(count, waits=chance.random() < 0.3))
    for name, width, is_ordered in zip(steps, widths, ordered, strict=True):
        stages = stages >> each(flow.step(name), concurrency=width, ordered=is_ordered)
    taken: list[int] = []

    async def take(items: AsyncIterator[int]) -> int:
        async for item in items:
            taken.append(item)
            flow.look()
            await flow.pause()
            await flow.pause()
        return len(taken)

    begun, ended = flow.begun, flow.ended
    flow.check(lambda: flow.made <= len(begun["one"]) + 1, "the source is more than one item ahead")
    for place, (name, width) in enumerate(zip(steps, widths, strict=True)):
        following = begun["two"] if place == 0 else taken
        flow.check(lambda name=name, width=width: flow.most[name] <= width, f"more than {width} in {name}")  # type: ignore[misc]
        # What runs, what waits for a slower one before it, and one that is being handed over.
        flow.check(
            lambda name=name, width=width, following=following: len(begun[name]) <= len(following) + 2 * width + 1,  # type: ignore[misc]
            f"{name} is more than {2 * width + 1} items ahead",
        )
        flow.check(
            lambda name=name, width=width, following=following: len(ended[name]) <= len(following) + 2 * width + 1,  # type: ignore[misc]
            f"more than {2 * width + 1} results of {name} wait",
        )
    async with simulation.mesh() as mesh:
        assert await mesh.add(stages >> take).ask(None, timeout=100_000) == count

    assert flow.complaints[:3] == []
    assert sorted(taken) == list(range(count))


@simulate(seeds=FEW)
async def test_nobody_is_further_ahead_than_promised(simulation: Simulation) -> None:
    await check_back_pressure(simulation)


@pytest.mark.slow
@simulate(seeds=range(FEW, MANY))
async def test_so_it_is_many_times(simulation: Simulation) -> None:
    await check_back_pressure(simulation)


@simulate(seeds=10)
async def test_a_consumer_that_stalls_stops_the_source(simulation: Simulation) -> None:
    flow = Flow(simulation)
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
        source = flow.source(500, waits=False)
        stages = pipeline(source) >> each(flow.step("step"), concurrency=width) >> take
        assert await mesh.add(stages).ask(None, timeout=10_000) == 500

    assert stalled_at[0] <= 3 + 2 * width + 2


@simulate(seeds=10)
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


@simulate(seeds=10)
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
