"""What a stage of a pipeline costs, in plain asks of the same run: ``python benchmarks/pipelines.py``.

What counts is the processor's time, of all threads. Everything takes its turn in every round, and the best round of
each is taken: so a busy machine leaves the ratios as they are. A stage costs what a long pipeline takes more than a
short one.
"""

import asyncio
import functools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

from ceylon import Agent, Mesh, Ref
from ceylon.pipelines import Pipeline, each, parallel, pipeline, reduce

_ROUNDS: Final = 7
_ASKS: Final = 400  # of what is measured, a round
_RUNS: Final = 40
_STAGES: Final = 20  # that the long pipeline has more
_ITEMS: Final = 200
_JOINS: Final = 1_000

Work = Callable[[], Awaitable[None]]


class Echo(Agent):
    """Answers with what it was asked."""

    async def on_message(self, message: Any) -> Any:
        """Answer."""
        return message


class Parts(Agent):
    """Answers in parts."""

    async def on_message(self, count: int) -> AsyncIterator[int]:
        """Answer."""
        for number in range(count):
            yield number


async def same(value: Any) -> Any:
    """Return *value*."""
    return value


def blocking(value: Any) -> Any:
    """Return *value*, from a thread."""
    return value


async def numbers(count: int) -> AsyncIterator[int]:
    """Yield as many numbers."""
    for number in range(count):
        yield number


async def last(_: int, item: int) -> int:
    """Keep the last item."""
    return item


async def seconds(work: Work) -> float:
    """Return how long *work* keeps the processor busy."""
    began = time.process_time()
    await work()
    return time.process_time() - began


def again(ref: Ref, value: Any, count: int = _RUNS) -> Work:
    """Return what asks *ref* so many times."""

    async def work() -> None:
        for _ in range(count):
            await ref.ask(value)

    return work


def chain(stage: Any, count: int) -> Pipeline:
    """Return a pipeline of so many."""
    return pipeline(*[stage] * count)


def kinds(mesh: Mesh) -> dict[str, tuple[Work, Work, int]]:
    """Return for each line something long, something short, and how many there are more in the long one."""
    echo, parts = mesh.add(Echo("echo")), mesh.add(Parts("parts"))
    counter = iter(range(1_000))

    def added(made: Pipeline) -> Ref:
        return mesh.add(made.named(f"pipeline-{next(counter)}"))

    def stages(stage: Any) -> tuple[Work, Work, int]:
        return again(added(chain(stage, _STAGES + 1)), 1), again(added(chain(stage, 1)), 1), _RUNS * _STAGES

    def items(made: Pipeline, long: Any, short: Any) -> tuple[Work, Work, int]:
        ref = added(made)
        return again(ref, long, 5), again(ref, short, 5), 5 * _ITEMS

    fold = functools.partial(reduce, last, 0)
    begun, sides = again(added(pipeline(same)), 1, _ASKS), added(parallel(*[same] * (_STAGES + 1)))
    return {
        "a run, with one async function": (begun, again(echo, 1, 0), _ASKS),
        "a stage more: an async function": stages(same),
        "a stage more: a plain function, in a thread": stages(blocking),
        "a stage more: an agent": stages(echo),
        "a branch more of `parallel`: an async function": (
            again(sides, 1), again(added(parallel(same)), 1), _RUNS * _STAGES,
        ),
        "an item of a list through `each`": items(each(same), [1] * _ITEMS, []),
        "an item of a generator through `each`": items(numbers >> each(same), _ITEMS, 0),
        "a part of an agent through `each`": items(parts >> each(same), _ITEMS, 0),
        "a part of an agent into `reduce`": items(parts >> fold(), _ITEMS, 0),
        "a part of an agent into a list": items(pipeline(parts), _ITEMS, 0),
    }  # fmt: skip


async def build() -> None:
    """Join so many stages one by one."""
    functools.reduce(lambda made, _: made >> same, range(_JOINS), pipeline(same))


async def main() -> None:
    """Print the figures."""
    async with Mesh() as mesh:
        plain, lines = again(mesh.add(Echo("plain")), 1, _ASKS), kinds(mesh)
        works = [plain, build, *(work for long, short, _ in lines.values() for work in (long, short))]
        rounds = [[await seconds(work) for work in works] for _ in range(_ROUNDS)]
    asked, built, *best = map(min, zip(*rounds, strict=True))
    ask = asked / _ASKS
    print(f"{'a plain ask':48} {1e6 * ask:8.1f} µs")
    costs = {words: (best[2 * n] - best[2 * n + 1]) / lines[words][2] for n, words in enumerate(lines)}
    for words, cost in {**costs, "building: one `>>` more, at any length": built / _JOINS}.items():
        print(f"{words:48} {1e6 * cost:8.1f} µs  {cost / ask:6.2f} asks")


if __name__ == "__main__":
    asyncio.run(main())
