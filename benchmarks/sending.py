"""tell and ask on one loop, beside a bare `asyncio.Queue` with a serving task."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from typing import Any

from benchmarks.report import Row
from benchmarks.rounds import Pair, alternate, median

from ceylon import Agent, Mesh, Message, Ref, on

__all__ = ["measure"]

_ROOM = 1000  # the mailbox's default
_now = time.thread_time


class Number(Message[int]):
    """Asks for the number it holds."""

    value: int = 1


class Counter(Agent):
    """Counts what it gets."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.count = 0

    @on
    async def number(self, number: Number) -> int:
        """Count it and give it back."""
        self.count += 1
        return number.value


def measure(*, rounds: int, messages: int, in_flight: int) -> Iterator[Row]:
    """Yield the rows of tell and ask."""
    pairs = asyncio.run(_measure(rounds, messages, in_flight))
    for (measured, at_least), pair in zip(
        [("tell", 0.3), ("ask, one after the other", 0.5), (f"ask, {in_flight} in flight", None)], pairs, strict=True
    ):
        ratios = pair.ratios()
        yield Row(
            measured=measured,
            unit="/s",
            ceylon=messages / median(pair.ceylon),
            beside="asyncio.Queue" + ("" if measured == "tell" else " + future"),
            bare=messages / median(pair.bare),
            compared=median(ratios),
            compared_unit="×",
            spread=(min(ratios), max(ratios)),
            at_least=at_least,
        )


async def _measure(rounds: int, messages: int, in_flight: int) -> list[Pair]:
    async with Mesh("bench") as mesh:
        counter = Counter("counter")
        ref = mesh.add(counter)
        pairs = [
            await alternate(rounds, lambda: _tell(mesh, ref, messages), lambda: _put(messages)),
            await alternate(rounds, lambda: _ask(ref, messages, 1), lambda: _ask_bare(messages, 1)),
            await alternate(rounds, lambda: _ask(ref, messages, in_flight), lambda: _ask_bare(messages, in_flight)),
        ]
        await mesh.drain()
        assert mesh.statistics().is_balanced
        assert counter.count == 3 * (rounds + 1) * messages
    return pairs


async def _tell(mesh: Mesh, ref: Ref, messages: int) -> float:
    message = Number()
    began = _now()
    for _ in range(messages):
        await ref.tell(message)
    await mesh.drain()
    return _now() - began


async def _put(messages: int) -> float:
    waiting: asyncio.Queue[Number] = asyncio.Queue(_ROOM)
    message, count = Number(), 0

    async def serve() -> None:
        nonlocal count
        for _ in range(messages):
            await waiting.get()
            count += 1

    began = _now()
    serving = asyncio.create_task(serve())
    for _ in range(messages):
        await waiting.put(message)
    await serving
    assert count == messages
    return _now() - began


async def _ask(ref: Ref, messages: int, in_flight: int) -> float:
    message = Number()

    async def ask() -> None:
        for _ in range(messages // in_flight):
            await ref.ask(message)

    return await _timed(ask, in_flight)


async def _ask_bare(messages: int, in_flight: int) -> float:
    loop = asyncio.get_running_loop()
    waiting: asyncio.Queue[tuple[Number, asyncio.Future[int]]] = asyncio.Queue(_ROOM)
    message = Number()

    async def answer(number: Number) -> int:
        return number.value

    async def serve() -> None:
        while True:
            number, future = await waiting.get()
            future.set_result(await answer(number))

    async def ask() -> None:
        for _ in range(messages // in_flight):
            future: asyncio.Future[int] = loop.create_future()
            await waiting.put((message, future))
            await future

    serving = asyncio.create_task(serve())
    try:
        return await _timed(ask, in_flight)
    finally:
        serving.cancel()
        with suppress(asyncio.CancelledError):
            await serving


async def _timed(ask: Callable[[], Coroutine[Any, Any, None]], in_flight: int) -> float:
    began = _now()
    if in_flight == 1:
        await ask()
    else:
        await asyncio.gather(*(ask() for _ in range(in_flight)))
    return _now() - began
