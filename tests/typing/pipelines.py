# pyright: reportUnnecessaryTypeIgnoreComment=true
"""What the type checkers know of pipelines: what goes in, what comes out; never run."""

import json
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from typing import Any, TypeAlias, TypeVar, assert_type

from ceylon import Agent, BlockingContext, Context, Failed, Mesh, Pipeline, Ref, StageEvent, action
from ceylon.pipelines import (
    branch,
    call,
    each,
    fallback,
    gather,
    loop,
    parallel,
    pipeline,
    race,
    reduce,
    retry,
    tap,
    timeout,
)
from ceylon.pipelines.streams import BlockingPipelineStream, PipelineStream

T = TypeVar("T")
Words: TypeAlias = Iterable[str] | AsyncIterable[str]
Numbers: TypeAlias = Iterable[int] | AsyncIterable[int]


class Shop(Agent):
    """Has actions."""

    @action
    def stock(self, sku: str, *, most: int = 100) -> int:
        return most

    @action
    async def refill(self, sku: str, context: Context) -> list[str]:
        return [sku]

    @action
    def order(self, sku: str, quantity: int) -> float:
        return 1.5 * quantity


def split(text: str) -> list[str]:
    return text.split()


async def count(line: str) -> int:
    return len(line)


def half(number: int) -> float:
    return number / 2


async def show(number: float, context: Context) -> str:
    return str(number)


def price(sku: str, context: BlockingContext) -> float:
    return 1.5


def numbers(most: int) -> Iterator[int]:
    yield from range(most)


async def letters(text: str) -> AsyncIterator[str]:
    for letter in text:
        yield letter


async def pairs(items: AsyncIterator[int]) -> AsyncIterator[tuple[int, int]]:
    async for item in items:
        yield item, await anext(items)


async def total(items: AsyncIterator[int]) -> float:
    return sum([item async for item in items])


def mean(all_of_them: list[int]) -> float:
    return sum(all_of_them) / len(all_of_them)


def next_of(items: Iterator[int]) -> int:
    return next(items)


def same(value: T) -> T:
    return value


def add(so_far: int, number: int) -> int:
    return so_far + number


async def add_later(so_far: float, number: int) -> float:
    return so_far + number


def is_long(text: str) -> bool:
    return len(text) > 20


def twice(text: str) -> str:
    return text + text


def a_stage_of_any_kind_begins_a_pipeline(ref: Ref, agent: Agent, shop: Shop) -> None:
    assert_type(pipeline(split), Pipeline[str, list[str]])
    assert_type(pipeline(count), Pipeline[str, int])
    assert_type(pipeline(show), Pipeline[float, str])
    assert_type(pipeline(price, name="price"), Pipeline[str, float])
    assert_type(pipeline(numbers), Pipeline[int, list[int]])
    assert_type(pipeline(letters), Pipeline[str, list[str]])
    assert_type(pipeline(pairs), Pipeline[AsyncIterator[int], list[tuple[int, int]]])
    assert_type(pipeline(shop.stock), Pipeline[str, int])
    assert_type(pipeline(shop.refill), Pipeline[str, list[str]])
    assert_type(pipeline(str), Pipeline[object, str])
    assert_type(pipeline(pipeline(count)), Pipeline[str, int])
    assert_type(pipeline(ref), Pipeline[Any, Any])
    assert_type(pipeline(agent), Pipeline[Any, Any])
    assert_type(call(shop, "stock", most=5), Pipeline[Any, Any])


def stages_in_a_row_are_checked_at_every_joint(ref: Ref, shop: Shop) -> None:
    assert_type(pipeline(count, half), Pipeline[str, float])
    assert_type(pipeline(count, half, show), Pipeline[str, str])
    assert_type(pipeline(count, half, show, split), Pipeline[str, list[str]])
    assert_type(pipeline(count, half, show, count, numbers), Pipeline[str, list[int]])
    assert_type(pipeline(count, half, show, count, half, show, twice, count), Pipeline[str, int])
    assert_type(pipeline(split, len), Pipeline[str, int])
    assert_type(pipeline(split, sorted), Pipeline[str, list[str]])
    assert_type(pipeline(count, same), Pipeline[str, int])
    assert_type(pipeline(twice, shop.stock), Pipeline[str, int])
    assert_type(pipeline(numbers, sorted), Pipeline[int, list[int]])
    assert_type(pipeline(numbers, mean), Pipeline[Any, Any])  # a list, in one call: nobody can say
    assert_type(pipeline(ref, shop.order), Pipeline[Any, Any])  # from a mapping
    assert_type(pipeline(ref, half), Pipeline[Any, float])
    assert_type(pipeline(half, ref), Pipeline[int, Any])
    assert_type(pipeline(split, each(count)), Pipeline[str, list[int]])


def arrows_are_checked_too(ref: Ref, agent: Agent, shop: Shop, mesh: Mesh) -> None:
    counted = pipeline(count)
    assert_type(counted >> half, Pipeline[str, float])
    assert_type(counted >> half >> show >> twice, Pipeline[str, str])
    assert_type(counted >> pipeline(half), Pipeline[str, float])
    assert_type(counted >> numbers, Pipeline[str, list[int]])
    assert_type(counted >> numbers >> mean, Pipeline[str, float])
    assert_type(counted >> numbers >> pairs, Pipeline[str, list[tuple[int, int]]])
    assert_type(counted >> numbers >> total, Pipeline[str, float])
    assert_type(counted >> numbers >> next_of, Pipeline[str, int])
    assert_type(counted >> same, Pipeline[str, int])
    assert_type(counted >> str, Pipeline[str, str])
    assert_type(counted >> ref >> half, Pipeline[str, float])
    assert_type(ref >> split, Pipeline[Any, list[str]])
    assert_type(split >> ref, Pipeline[str, Any])
    assert_type(agent >> agent, Pipeline[Any, Any])
    assert_type(ref.blocking >> half, Pipeline[Any, float])
    assert_type(show >> counted, Pipeline[float, int])
    assert_type(numbers >> pipeline(mean), Pipeline[int, float])
    assert_type(pipeline(twice) >> shop.stock >> half, Pipeline[str, float])
    assert_type(agent >> shop.order, Pipeline[Any, Any])
    assert_type(mesh.add(pipeline(split)), Ref)
    split >> split  # type: ignore[operator]


def items_go_one_by_one(ref: Ref) -> None:
    assert_type(each(count), Pipeline[Words, list[int]])
    assert_type(each(half, 8, ordered=False), Pipeline[Numbers, list[float]])
    assert_type(each(numbers), Pipeline[Numbers, list[list[int]]])
    assert_type(each(count, on_failure="wait"), Pipeline[Words, list[int]])
    assert_type(each(count, on_failure="keep"), Pipeline[Words, list[int | Failed]])
    assert_type(each(ref), Pipeline[Iterable[Any] | AsyncIterable[Any], list[Any]])
    assert_type(pipeline(split) >> each(count) >> each(half), Pipeline[str, list[float]])
    assert_type(pipeline(split) >> each(count) >> pairs >> len, Pipeline[str, int])
    assert_type(pipeline(numbers) >> gather() >> len, Pipeline[int, int])
    assert_type(pipeline(numbers) >> gather(), Pipeline[int, list[int]])
    assert_type(reduce(add, 0), Pipeline[Numbers, int])
    assert_type(reduce(add_later, 0.0), Pipeline[Numbers, float])
    assert_type(pipeline(numbers) >> reduce(add, 0) >> half, Pipeline[int, float])


def what_is_done_to_one_stage_leaves_its_types(ref: Ref) -> None:
    assert_type(retry(count, times=3, on=(ValueError, OSError)), Pipeline[str, int])
    assert_type(timeout(half, 5), Pipeline[int, float])
    assert_type(retry(timeout(numbers, 5)), Pipeline[int, list[int]])
    assert_type(loop(twice, at_most=3, until=is_long), Pipeline[str, str])
    assert_type(loop(ref, at_most=3, until=is_long), Pipeline[Any, Any])
    assert_type(pipeline(count) >> tap(print) >> half, Pipeline[str, float])
    assert_type(retry(ref), Pipeline[Any, Any])


def stages_side_by_side_give_one_of_their_types(ref: Ref) -> None:
    assert_type(parallel(split, count), Pipeline[str, list[list[str] | int]])
    assert_type(parallel(split, count, price), Pipeline[str, list[list[str] | int | float]])
    assert_type(parallel(ref, count, split, price), Pipeline[Any, list[Any]])
    assert_type(parallel(words=split, size=count), Pipeline[Any, dict[str, Any]])
    assert_type(race(count, price), Pipeline[str, int | float])
    assert_type(fallback(retry(count), price, on=OSError), Pipeline[str, int | float])
    assert_type(fallback(count, ref, price), Pipeline[Any, Any])
    assert_type(branch(is_long, {True: ref, False: count}, default=split), Pipeline[str, Any])


def functions_without_types_and_lambdas_are_anything(untyped: Callable[..., Any], anything: Any) -> None:
    _ = pipeline(lambda text: text.upper(), len, lambda size: size + 1) >> (lambda size: size * 2)
    _ = pipeline(split) >> each(lambda line: line.strip()) >> (lambda lines: lines[0])
    _ = loop(lambda text: text + "!", at_most=3, until=lambda text: len(text) > 5) >> tap(lambda text: text.split())
    _ = branch(lambda order: order.kind, {"tea": lambda order: order.price}) >> retry(lambda price: price + 1)
    _ = reduce(lambda so_far, item: so_far + item, 0)
    _ = pipeline(untyped, half) >> untyped >> json.loads >> each(untyped) >> each(json.dumps)
    _ = pipeline(anything, half) >> anything


def functions_that_leave_a_type_open_are_anything(named: dict[str, Callable[[str], int]]) -> None:
    _ = pipeline(split, each(list), each(sorted), each("".join), max, len)
    _ = pipeline(split, each(count)) >> each(round) >> sum >> half
    _ = pipeline(numbers, each(lambda most: [most, most]), each(sum)) >> each(half)
    _ = pipeline(numbers) >> retry(sum) >> half
    _ = pipeline(numbers) >> timeout(max, 5) >> half
    _ = pipeline(numbers) >> tap(sum) >> branch(min, {0: sum})
    assert_type(parallel(**named), Pipeline[Any, dict[str, Any]])


async def a_pipeline_has_verbs(built: Pipeline[str, int], bare: Pipeline) -> None:
    assert_type(await built.run("a", timeout=3, progress=False), int)
    assert_type(built.stream("a"), PipelineStream[int])
    async for event in built.stream("a"):
        assert_type(event, StageEvent)
    assert_type(await built.stream("a").result(), int)
    assert_type(built.blocking.run("a", timeout=3), int)
    assert_type(built.blocking.stream("a"), BlockingPipelineStream[int])
    assert_type(built.blocking.stream("a").result(), int)
    assert_type(built.named("counting", concurrency=4), Pipeline[str, int])
    assert_type(built.describe(), dict[str, Any])
    assert_type(await bare.run("a"), Any)
    assert_type(bare.blocking.run(5), Any)
    built.run("a", progress=print)  # type: ignore[unused-coroutine]


async def what_takes_a_flow_is_given_whatever_has_items() -> None:
    assert_type(await pipeline(pairs).run([1, 2]), list[tuple[int, int]])
    assert_type(pipeline(total).blocking.run(range(3)), float)
    assert_type(await pipeline(total).stream((1, 2)).result(), float)
    assert_type(await each(count).run(split("a b")), list[int])
    assert_type(await each(count).run(letters("ab")), list[int])


def one_that_takes_more_and_gives_less_stands_for_another(built: Pipeline[object, bool]) -> None:
    def give(wanted: Pipeline[str, int]) -> None:
        assert_type(wanted >> half, Pipeline[str, float])

    give(built)
