"""Items on their way: no barrier between two steps, order, back-pressure, and how generators end."""

import functools
import operator
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import anyio
import pytest

from ceylon import Mesh
from ceylon.pipelines import Failed, Pipeline, each, gather, pipeline, reduce
from support.core_agents import until
from support.virtual_time import run_virtually


async def double(number: int) -> int:
    return 2 * number


def numbers(most: int) -> Iterator[int]:
    yield from range(most)


async def async_numbers(most: int) -> AsyncIterator[int]:
    for number in range(most):
        yield number


def there(mesh: Mesh, built: Pipeline) -> Pipeline:
    """Let *built* run in the test's own mesh."""
    mesh.add(built)
    return built


class Gates:
    """A step whose items each wait until they are let go."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.open: set[int] = set()
        self._changed = anyio.Event()

    async def step(self, number: int) -> int:
        self.begun.append(number)
        while number not in self.open:
            await self._changed.wait()
        return number

    def let(self, *numbers: int) -> None:
        """Let these go on."""
        self.open.update(numbers)
        changed, self._changed = self._changed, anyio.Event()
        changed.set()


@pytest.mark.parametrize(
    "source",
    [
        numbers,
        async_numbers,
        lambda most: list(range(most)),
        range,
        lambda most: iter(range(most)),
        lambda most: map(int, range(most)),
    ],
    ids=["generator", "async generator", "list", "range", "iterator", "map"],
)
async def test_items_come_from_whatever_has_some(source: Callable[[int], Any], mesh: Mesh) -> None:
    assert await mesh.add(pipeline(source, each(double))).ask(4) == [0, 2, 4, 6]


async def test_each_gather_and_reduce_mean_what_python_means(mesh: Mesh) -> None:
    built = pipeline(numbers, each(double), gather(), each(str), reduce(operator.add, ""))

    assert await mesh.add(built).ask(5) == functools.reduce(operator.add, [str(2 * number) for number in range(5)], "")


async def test_every_run_folds_into_a_value_of_its_own(mesh: Mesh) -> None:
    def keep(kept: list[int], item: int) -> list[int]:
        kept.append(item)
        return kept

    ref = mesh.add(pipeline(numbers, reduce(keep, [])))

    assert [await ref.ask(2), await ref.ask(3)] == [[0, 1], [0, 1, 2]]


async def test_what_has_no_items_is_an_error_that_names_the_stage(mesh: Mesh) -> None:
    for step in (each(double), gather(), reduce(operator.add, 0)):
        with pytest.raises(TypeError, match="not iterable") as caught:
            await step.run(5)  # type: ignore[call-overload]
        assert "(at 0) of pipeline" in caught.value.__notes__[0]


async def test_an_item_is_in_the_second_step_while_another_is_in_the_first(mesh: Mesh) -> None:
    first, second = Gates(), Gates()
    ref = mesh.add(pipeline(each(first.step), each(second.step)))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ref.ask, [0, 1, 2])
        await until(lambda: len(first.begun) == 3)
        first.let(0)
        await until(lambda: second.begun == [0])
        assert 1 not in first.open
        first.let(1, 2)
        second.let(0, 1, 2)
    assert sorted(second.begun) == [0, 1, 2]


async def test_ordered_results_wait_for_the_slow_one_but_not_too_many(mesh: Mesh) -> None:
    gates = Gates()
    out: list[int] = []
    ref = mesh.add(pipeline(each(gates.step, concurrency=3), each(out.append, concurrency=1)))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ref.ask, range(20))
        await until(lambda: len(gates.begun) == 3)
        gates.let(*range(1, 20))
        await until(lambda: len(gates.begun) == 4)
        await anyio.wait_all_tasks_blocked()
        assert (sorted(gates.begun), out) == ([0, 1, 2, 3], [])
        gates.let(0)
    assert out == list(range(20))


async def test_unordered_results_leave_as_they_end(mesh: Mesh) -> None:
    gates = Gates()
    out: list[int] = []
    ref = mesh.add(pipeline(each(gates.step, concurrency=3, ordered=False), each(out.append, concurrency=1)))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ref.ask, range(4))
        await until(lambda: len(gates.begun) == 3)
        gates.let(2)
        await until(lambda: out == [2])
        gates.let(1)
        await until(lambda: out == [2, 1])
        gates.let(0, 3)
    assert sorted(out) == [0, 1, 2, 3]


async def test_unfinished_results_leave_too(mesh: Mesh) -> None:
    async def unfinished(number: int) -> Any:
        return double(number) if number % 2 else async_numbers(number)

    built = pipeline(each(unfinished, concurrency=2, ordered=False))
    result = await mesh.add(built).ask(range(5), timeout=60)

    assert sorted(result, key=str) == sorted([[], 2, [0, 1], 6, [0, 1, 2, 3]], key=str)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_no_more_items_are_in_a_step_than_it_takes(backend: str) -> None:
    inside = most = 0

    async def step(number: int) -> int:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await anyio.sleep(1)
        inside -= 1
        return number

    async def run() -> float:
        async with Mesh() as mesh:
            began = anyio.current_time()
            assert await mesh.add(pipeline(each(step, concurrency=4))).ask(range(10)) == list(range(10))
            return round(anyio.current_time() - began, 6)

    assert (run_virtually(backend, run), most) == (3.0, 4)


@pytest.mark.parametrize("kind", ["plain", "async"])
async def test_a_generator_is_at_most_one_item_ahead(kind: str, mesh: Mesh) -> None:
    yielded: list[int] = []
    gates = Gates()

    def plain(most: int) -> Iterator[int]:
        for number in range(most):
            yielded.append(number)
            yield number

    async def on_loop(most: int) -> AsyncIterator[int]:
        for number in range(most):
            yielded.append(number)
            yield number

    source: Any = plain if kind == "plain" else on_loop
    ref = mesh.add(pipeline(source, each(gates.step, concurrency=2)))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ref.ask, 10)
        await until(lambda: len(gates.begun) == 2)
        await until(lambda: len(yielded) == 3)
        await anyio.wait_all_tasks_blocked()
        assert (sorted(gates.begun), yielded) == ([0, 1], [0, 1, 2])
        gates.let(*range(10))
    assert yielded == list(range(10))


async def test_an_async_generator_is_closed_by_the_task_that_ran_it(mesh: Mesh) -> None:
    tasks: list[Any] = []
    ended = anyio.Event()

    async def source(_: Any) -> AsyncIterator[int]:
        tasks.append(anyio.get_current_task().id)
        with anyio.CancelScope():  # which may be left only where it was entered
            try:
                while True:
                    yield 1
            finally:
                tasks.append(anyio.get_current_task().id)
                ended.set()

    async def fail(_: int) -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await there(mesh, pipeline(source, each(fail))).run(None)
    with anyio.fail_after(60):
        await ended.wait()
    assert tasks[0] == tasks[1]


async def test_what_a_generator_does_at_its_end_may_wait(mesh: Mesh) -> None:
    begun, done = anyio.Event(), anyio.Event()

    async def source(_: Any) -> AsyncIterator[int]:
        try:
            yield 1
            begun.set()
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.01)
            done.set()

    ref = mesh.add(pipeline(source, each(double)))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ref.ask, None)
        await begun.wait()
        tasks.cancel_scope.cancel()
    with anyio.fail_after(60):
        await done.wait()


async def test_a_plain_generator_that_nobody_reads_to_its_end_is_closed_in_a_thread(mesh: Mesh) -> None:
    closed = threading.Event()
    where: list[int] = []

    def source(_: Any) -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            where.append(threading.get_ident())
            closed.set()

    async def fail(_: int) -> None:
        raise ValueError("no")

    with pytest.raises(Exception, match="no"):
        await mesh.add(pipeline(source, each(fail))).ask(None)
    await until(closed.is_set)
    assert where != [threading.get_ident()]


async def test_a_failing_generator_is_named_and_not_the_stage_that_reads_it(mesh: Mesh) -> None:
    def bad(_: Any) -> Iterator[int]:
        yield 1
        raise ValueError("half-way")

    with pytest.raises(ValueError, match="half-way") as caught:
        await pipeline(bad, each(double), len).run(None)
    assert caught.value.__notes__ == ["in stage 'bad' (at 0) of pipeline 'pipeline'"]


# -- functions that take a flow ----------------------------------------------------------------------------------------


async def test_a_function_that_takes_an_async_iterator_gets_items_as_they_come(mesh: Mesh) -> None:
    gates = Gates()
    seen: list[int] = []

    async def total(items: AsyncIterator[int]) -> int:
        async for item in items:
            seen.append(item)  # noqa: PERF401 – each as it comes
        return sum(seen)

    ref = mesh.add(pipeline(each(gates.step), total))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ref.ask, [0, 1, 2])
        gates.let(0)
        await until(lambda: seen == [0])
        gates.let(1, 2)
    assert seen == [0, 1, 2]


async def test_an_async_generator_may_pass_a_flow_on(mesh: Mesh) -> None:
    async def pairs(items: AsyncIterator[int]) -> AsyncIterator[tuple[int, int]]:
        async for item in items:
            yield item, await anext(items)

    assert await mesh.add(pipeline(numbers, pairs, each(sum))).ask(4) == [1, 5]
    assert await mesh.add(pipeline(pairs).named("of-a-list")).ask([1, 2]) == [(1, 2)]


async def test_whoever_takes_only_some_items_ends_their_source(mesh: Mesh) -> None:
    closed = anyio.Event()

    async def source(_: Any) -> AsyncIterator[int]:
        try:
            for number in range(1_000_000):
                yield number
        finally:
            closed.set()

    async def first(items: AsyncIterator[int]) -> int:
        return await anext(items)

    assert await mesh.add(pipeline(source, first)).ask(None) == 0
    assert closed.is_set()


# -- failures ----------------------------------------------------------------------------------------------------------


async def test_failed_items_may_stay_in_their_places(mesh: Mesh) -> None:
    async def invert(number: int) -> float:
        return 1 / number

    result = await mesh.add(pipeline(each(invert, on_failure="keep"))).ask([1, 0, 2])

    assert (result[0], result[2]) == (1.0, 0.5)
    assert isinstance(result[1], Failed)
    assert result[1].stage == "invert"
    assert isinstance(result[1].error, ZeroDivisionError)


async def test_the_others_may_finish_before_the_first_failure_in_order_is_raised(mesh: Mesh) -> None:
    finished: list[int] = []

    async def step(number: int) -> int:
        await anyio.sleep(0.01 * (3 - number))
        if number:
            raise ValueError(number)
        finished.append(number)
        return number

    with pytest.raises(ValueError, match="1"):
        await there(mesh, pipeline(each(step, on_failure="wait"))).run([0, 1, 2])
    assert finished == [0]


async def test_a_failure_behind_a_step_is_not_kept_by_it(mesh: Mesh) -> None:
    async def fail(_: object) -> None:
        raise ValueError("behind")

    with pytest.raises(ValueError, match="behind"):
        await pipeline(each(double, on_failure="keep"), each(fail)).run([1, 2])
    with pytest.raises(ValueError, match="behind"):
        await pipeline(each(double, on_failure="keep"), reduce(lambda _, __: fail_now(), 0)).run([1, 2])


def fail_now() -> None:
    raise ValueError("behind")
