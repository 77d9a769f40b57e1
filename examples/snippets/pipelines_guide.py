"""The code of docs/guides/pipelines.md: every section runs."""
# ruff: noqa: D101, D102, D103 – a snippet is documented by the page it stands in

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio

from ceylon import Agent, Budget, HandlerError, LlmAgent, Mesh, Pipeline, action
from ceylon.errors import StageTypeError
from ceylon.pipelines import (
    Failed,
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
from ceylon.testing import ScriptedModel


# --8<-- [start:functions]
def split(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


async def count(line: str) -> int:
    return len(line.split())


words = pipeline(split, each(count), sum)
# --8<-- [end:functions]


class Desk(Agent):
    """Takes messages."""

    async def on_message(self, message: Any) -> str:
        return f"{self.name}: {message}"


class Archive(Agent):
    def on_message(self, message: str) -> str:
        return f"{message} (filed)"


async def first() -> None:
    # --8<-- [start:run]
    print(await words.run("one two\nthree"))
    # --8<-- [end:run]


async def agents() -> None:
    model = ScriptedModel(["Tea grows on hills.", "Tea grows on high hills."])
    # --8<-- [start:agents]
    writer = LlmAgent("writer", model, system_prompt="Write one sentence.")
    editor = LlmAgent("editor", model, system_prompt="Make it better.")
    newsroom = (writer >> editor >> Archive("archive")).named("newsroom")

    async with Mesh("paper") as mesh:
        ref = mesh.add(newsroom)
        print(await ref.ask("Tea", timeout=60))
        print(mesh.agents)
    # --8<-- [end:agents]


def price(sku: str) -> float:
    return 2.5 if sku == "assam" else 4.0


async def stock(sku: str) -> int:
    return len(sku)


async def side_by_side() -> None:
    # --8<-- [start:parallel]
    offer = parallel(price=price, stock=stock)
    print(await offer.run("assam"))  # {'price': 2.5, 'stock': 5}
    # --8<-- [end:parallel]


def kind(message: str) -> str:
    return "refund" if "money" in message else "question"


async def choices() -> None:
    # --8<-- [start:branch]
    triage = branch(kind, {"refund": Desk("payments"), "question": Desk("support")}, default=Desk("front"))
    print(await triage.run("I want my money back"))
    # --8<-- [end:branch]


def numbers(most: int) -> Iterator[int]:
    yield from range(most)


async def slowly(number: int) -> int:
    await anyio.sleep(0.001)
    return number * number


def add(total: int, number: int) -> int:
    return total + number


async def flows() -> None:
    # --8<-- [start:flows]
    squares = pipeline(numbers, each(slowly, concurrency=8), reduce(add, 0))
    print(await squares.run(100))
    # --8<-- [end:flows]


# --8<-- [start:iterator]
async def pairs(items: AsyncIterator[int]) -> AsyncIterator[tuple[int, int]]:
    async for item in items:
        yield item, await anext(items)


# --8<-- [end:iterator]


async def iterators() -> None:
    print(await pipeline(numbers, each(slowly), pairs, gather(), len).run(6))


# --8<-- [start:parts]
class Reporter(Agent):
    """Sends a story sentence by sentence."""

    async def on_message(self, topic: str) -> AsyncIterator[str]:
        for sentence in ("grows on hills.", "is picked by hand.", "is drunk everywhere."):
            await anyio.sleep(0.01)
            yield f"{topic} {sentence}"


async def check(sentence: str) -> str:
    return f"checked: {sentence}"


story = Reporter("reporter") >> each(check) >> "\n".join
# --8<-- [end:parts]


async def parts() -> None:
    # --8<-- [start:tell]
    print(await story.run("Tea"))  # the first sentence is checked while the second is written
    # --8<-- [end:tell]


tries: list[str] = []


async def flaky(text: str) -> str:
    tries.append(text)
    if len(tries) < 3:
        raise ConnectionError
    return text.upper()


async def plain(text: str) -> str:
    return text


async def again() -> None:
    # --8<-- [start:again]
    careful = fallback(retry(timeout(flaky, 5), times=3, on=(ConnectionError, TimeoutError)), plain)
    print(await careful.run("tea"))
    # --8<-- [end:again]


def is_long(text: str) -> bool:
    return len(text) > 20


async def loops() -> None:
    # --8<-- [start:loop]
    longer = loop(plain_twice, until=is_long, at_most=10) >> tap(print)
    print(len(await longer.run("tea ")))
    print(await race(plain, plain_twice).run("first"))
    # --8<-- [end:loop]


async def plain_twice(text: str) -> str:
    await anyio.sleep(0.05)
    return text + text


async def invert(number: int) -> float:
    return 1 / number


async def failures() -> None:
    # --8<-- [start:failures]
    try:
        await pipeline(each(invert), name="ratios").run([1, 0])
    except ZeroDivisionError as error:
        print(error, error.__notes__)  # ["in stage 'invert' (at 0.0) of pipeline 'ratios'"]

    for result in await each(invert, on_failure="keep").run([1, 0, 4]):
        print(result.error if isinstance(result, Failed) else result)
    # --8<-- [end:failures]
    async with Mesh() as mesh:
        ref = mesh.add(pipeline(invert))
        try:
            await ref.ask(0)
        except HandlerError as error:
            print(error.agent, error.root)


class Library(Agent):
    @action
    def lend(self, title: str) -> int:
        """Lend a book for some days."""
        return len(title)


def types() -> None:
    # --8<-- [start:types]
    try:
        pipeline(split, call(Library("library"), "lend"))
    except StageTypeError as error:
        print(error)  # 'split' (…:33) gives list[str], but 'library.lend' (…:197) takes str; …
    # --8<-- [end:types]


# --8<-- [start:typed]
def longest(lines: list[str]) -> str:
    return max(lines, key=len)


longest_line: Pipeline[str, int] = pipeline(split, longest, count)


async def typed() -> None:
    length = await longest_line.run("a line")  # an int, to type checkers too
    print(length)
    # pipeline(split, count) is an error before it runs: list[str] is no str


# --8<-- [end:typed]


async def actions() -> None:
    async with Mesh("market") as mesh:
        shop = mesh.add(Desk("shop"))
        # --8<-- [start:limits]
        ask_shop = shop.using(timeout=5) >> str.upper
        print(await ask_shop.run("tea", timeout=30, budget=Budget(usd=0.10, calls=20)))
        # --8<-- [end:limits]
    print(call(shop, "stock", sku="assam"))


async def events() -> None:
    # --8<-- [start:events]
    async with words.stream("one two\nthree") as happenings:
        async for event in happenings:
            print(" " * event.place.count("."), event.what, event.label, event.value)
    print(await happenings.result())
    # --8<-- [end:events]


def plain_data() -> None:
    # --8<-- [start:data]
    print(json.dumps(words.describe(), indent=2))
    # --8<-- [end:data]


def scripts() -> None:
    # --8<-- [start:blocking]
    print(words.blocking.run("one two\nthree"))
    # --8<-- [end:blocking]


async def main() -> None:
    for section in (
        *(
            first,
            agents,
            side_by_side,
            choices,
            flows,
            iterators,
            parts,
            again,
            loops,
            failures,
            actions,
            events,
            typed,
        ),
    ):
        await section()
    types()
    plain_data()


if __name__ == "__main__":
    asyncio.run(main())
    scripts()
