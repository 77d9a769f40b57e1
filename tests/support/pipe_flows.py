"""Flows under simulation: sources and steps that take times at random, and know where every item is."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio

from ceylon.pipelines import Pipeline, each, pipeline
from ceylon.testing import Simulation

__all__ = ["Flow", "check_back_pressure", "check_order", "check_unordered", "to_list"]


class Flow:
    """A source and steps that take times at random and know where every item is; what is wrong is in `complaints`."""

    def __init__(self, simulation: Simulation, slowest: float = 0.25) -> None:
        self.chance = simulation.random
        self.slowest = slowest
        self.made = 0
        self.begun: dict[str, list[int]] = {}
        self.ended: dict[str, list[int]] = {}
        self.most: dict[str, int] = {}
        self.complaints: list[str] = []
        self._checks: list[Callable[[], str | None]] = []

    def check(self, is_so: Callable[[], bool], words: str) -> None:
        """Ask from now on whether it is so, at moments at random: never amid what happens at one moment."""
        self._checks.append(lambda: None if is_so() else words)

    def look(self) -> None:
        """Ask now."""
        self.complaints += [said for check in self._checks if (said := check()) is not None]

    async def watch(self) -> None:
        """Ask again and again."""
        while True:
            await anyio.sleep(self.slowest * self.chance.uniform(0.01, 1.5))
            self.look()

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
            try:
                await self.pause()
                if item == fails_on:
                    raise ValueError(item)
                self.ended[name].append(item)
            finally:
                inside[0] -= 1
            return item

        step.__name__ = name
        return step


async def check_order(simulation: Simulation) -> None:
    """Send items through ordered and unordered steps."""
    flow, chance = Flow(simulation), simulation.random
    count = simulation.times(chance.randint(1, 10))
    first, second = (each(flow.step(name), concurrency=chance.randint(1, 8)) for name in ("first", "second"))
    seen: list[int] = []

    async def see(item: int) -> int:
        seen.append(item)
        return item

    async with simulation.mesh() as mesh:
        source: Any = flow.source(count, waits=chance.random() < 0.5) if chance.random() < 0.5 else to_list(count)
        stages = pipeline(source) >> first >> second >> each(see, concurrency=1)
        result = await mesh.add(stages).ask(None, timeout=10_000)

    assert result == list(range(count)), result
    assert seen == list(range(count)), seen


def to_list(count: int) -> Callable[[Any], Any]:
    """Return a stage that gives *count* numbers at once."""

    async def numbers(_: Any) -> list[int]:
        return list(range(count))

    return numbers


async def check_unordered(simulation: Simulation) -> None:
    """Let results go as they come: in the order of their ends, each once."""
    flow, chance = Flow(simulation), simulation.random
    count = simulation.times(chance.randint(1, 10))
    seen: list[int] = []

    async def see(items: AsyncIterator[int]) -> list[int]:
        seen.extend([item async for item in items])
        return seen

    async with simulation.mesh() as mesh:
        step = each(flow.step("step"), concurrency=chance.randint(1, 8), ordered=False)
        result = await mesh.add(pipeline(flow.source(count, waits=True)) >> step >> see).ask(None, timeout=10_000)

    assert sorted(result) == list(range(count)), result
    assert result == flow.ended["step"], (result, flow.ended["step"])


async def check_back_pressure(simulation: Simulation) -> None:
    """Let some of source, steps and consumer be slow."""
    flow, chance = Flow(simulation), simulation.random
    count = simulation.times(18)
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
    async with simulation.mesh() as mesh, anyio.create_task_group() as tasks:
        tasks.start_soon(flow.watch)
        assert await mesh.add(stages >> take).ask(None, timeout=100_000) == count
        tasks.cancel_scope.cancel()

    assert not flow.complaints, flow.complaints[:3]
    assert sorted(taken) == list(range(count)), taken
