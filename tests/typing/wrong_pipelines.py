# pyright: reportUnnecessaryTypeIgnoreComment=true
"""What the type checkers refuse in pipelines: joints that do not fit, and values that are not taken; never run.

Without the ignore comments every line is an error to both; one that is none any more makes its comment an error.
"""

from collections.abc import AsyncIterator, Iterator

from ceylon import Agent, Pipeline, action
from ceylon.pipelines import branch, each, fallback, gather, loop, parallel, pipeline, reduce, retry, tap, timeout


class Shop(Agent):
    """Has an action."""

    @action
    def stock(self, sku: str) -> int:
        return 100


def split(text: str) -> list[str]:
    return text.split()


async def count(line: str) -> int:
    return len(line)


def half(number: int) -> float:
    return number / 2


async def show(number: float) -> str:
    return str(number)


def numbers(most: int) -> Iterator[int]:
    yield from range(most)


async def pairs(items: AsyncIterator[int]) -> AsyncIterator[tuple[int, int]]:
    async for item in items:
        yield item, await anext(items)


def add(so_far: int, number: int) -> int:
    return so_far + number


def stages_in_a_row() -> None:
    pipeline(split, count)  # type: ignore[arg-type]
    pipeline(count, split)  # type: ignore[arg-type]
    pipeline(count, half, count)  # type: ignore[arg-type]
    pipeline(count, show, half)  # type: ignore[arg-type]
    pipeline(count, half, show, half)  # type: ignore[arg-type]
    pipeline(pipeline(count), split)  # type: ignore[arg-type]
    pipeline(split, pipeline(count))  # type: ignore[arg-type]
    pipeline(split, each(half))  # type: ignore[arg-type]
    pipeline(count, half, name=5)  # type: ignore[call-overload]
    pipeline("shop")  # type: ignore[call-overload]
    pipeline()  # type: ignore[call-overload]


def arrows(shop: Shop) -> None:
    counted = pipeline(count)
    _ = counted >> split  # type: ignore[operator]
    _ = counted >> counted  # type: ignore[operator]
    _ = split >> counted  # type: ignore[operator]
    _ = numbers >> counted  # type: ignore[operator]
    _ = show >> pipeline(half)  # type: ignore[operator]
    _ = counted >> numbers >> half  # type: ignore[operator]
    _ = counted >> pairs  # type: ignore[operator]
    _ = counted >> shop.stock  # type: ignore[operator]
    _ = counted >> gather()  # type: ignore[operator]
    _ = counted >> "shop"  # type: ignore[operator]


def stages_around_stages() -> None:
    built = pipeline(split)
    halved, counted, shown = each(half), retry(count), tap(show)
    limited, looped, folded = timeout(half, 5), loop(count, at_most=1), reduce(add, 0)
    either, both = fallback(half, show), parallel(half, show)
    _ = built >> halved  # type: ignore[operator]
    _ = built >> counted  # type: ignore[operator]
    _ = built >> shown  # type: ignore[operator]
    _ = built >> limited  # type: ignore[operator]
    _ = built >> looped  # type: ignore[operator]
    _ = built >> folded  # type: ignore[operator]
    _ = built >> either  # type: ignore[operator]
    _ = built >> both  # type: ignore[operator]
    _ = both >> half  # type: ignore[operator]
    _ = either >> half  # type: ignore[operator]
    loop(count, at_most=3, until=split)  # type: ignore[misc]


def options(shop: Shop) -> None:
    each(count, on_failure="ignore")  # type: ignore[call-overload]
    each("shop")  # type: ignore[call-overload]
    parallel(split, count=count)  # type: ignore[call-overload]
    branch(split, [count])  # type: ignore[call-overload]
    reduce(split, 0)  # type: ignore[arg-type]
    retry(count, on="ValueError")  # type: ignore[call-overload]


async def values(built: Pipeline[str, int]) -> None:
    await built.run(5)  # type: ignore[arg-type]
    built.blocking.run(5)  # type: ignore[arg-type]
    built.stream(5)  # type: ignore[arg-type]
    await pipeline(pairs).run(["a"])  # type: ignore[list-item]
    await each(count).run([5])  # type: ignore[list-item]
    text: str = await built.run("a")  # type: ignore[assignment]
    other: Pipeline[int, int] = built  # type: ignore[assignment]
    del text, other
