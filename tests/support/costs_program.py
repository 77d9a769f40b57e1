"""Count the bytecodes that one message costs: a program for a process of its own, where nothing else counts.

A message costs the difference between a window of twice as many messages and one of so many, divided by their number:
what a window costs by itself cancels out. `--planted` makes every delivery a call dearer, and every request to a model
five, to see whether that shows.
"""

import asyncio
import dis
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import ceylon
from ceylon import Agent, Context, Mesh, Message, Ref, on
from ceylon.agents.setup import load_adapters
from ceylon.agents.turn import TurnRun
from ceylon.core.instruments import Instruments, instruments
from ceylon.core.router import Router
from support import costs_queries
from support.bytecodes import Tally, counting

__all__ = ["WINDOWS", "main"]

_MESSAGES: Final = 64  # a whole number of the dispatcher's batches
_IN_FLIGHT: Final = 32
_SUBSCRIBERS: Final = 32
_OURS: Final = (ceylon.__path__[0], __file__, costs_queries.__file__)
_CALLS: Final = {"CALL", "CALL_FUNCTION_EX", "CALL_KW"}

Window = Callable[[Mesh, int], Awaitable[object]]


class Number(Message[int]):
    """Asks for the number it holds."""

    value: int = 1


class Parts(Message):
    """Asks for so many parts."""

    count: int


class Echo(Agent):
    """Gives back what it gets, and knows in which context it does."""

    @on
    async def number(self, number: Number, context: Context) -> int:
        """Give the number back."""
        return number.value

    @on
    async def parts(self, parts: Parts, context: Context) -> AsyncIterator[int]:
        """Count up."""
        for part in range(parts.count):
            yield part


class Inline(Agent):
    """The same, without waiting for anything."""

    @on(inline=True)
    def number(self, number: Number, context: Context) -> int:
        """Give the number back."""
        return number.value


class Relay(Agent):
    """Passes a stream on."""

    @on
    async def parts(self, parts: Parts, context: Context) -> AsyncIterator[Any]:
        """Ask the agent called "echo"."""
        async for part in context.stream("echo", parts):
            yield part


class Forwarder(Agent):
    """Asks somebody else."""

    @on
    async def number(self, number: Number, context: Context) -> Any:
        """Ask the agent called "echo"."""
        return await context.ask("echo", number)


class Subscriber(Agent):
    """Hears of numbers."""

    @on(topic="numbers")
    async def number(self, number: Number, context: Context) -> None:
        """Take note."""


# -- what is counted ---------------------------------------------------------------------------------------------------


def _tell(name: str) -> Window:
    async def window(mesh: Mesh, count: int) -> None:
        ref, message = mesh.ref(name), Number()
        for _ in range(count):
            await ref.tell(message)
        await mesh.drain()

    return window


def _ask(name: str) -> Window:
    async def window(mesh: Mesh, count: int) -> None:
        await _ask_often(mesh.ref(name), count)

    return window


async def _ask_often(ref: Ref, count: int) -> None:
    message = Number()
    for _ in range(count):
        await ref.ask(message)


async def _ask_together(mesh: Mesh, count: int) -> None:
    ref = mesh.ref("echo")
    await asyncio.gather(*(_ask_often(ref, count // _IN_FLIGHT) for _ in range(_IN_FLIGHT)))


def _stream(name: str) -> Window:
    async def window(mesh: Mesh, count: int) -> None:
        async for _ in mesh.ref(name).stream(Parts(count)):
            pass

    return window


async def _publish(mesh: Mesh, count: int) -> None:
    for _ in range(count // _SUBSCRIBERS):
        await mesh.publish("numbers", Number())
    await mesh.drain()


async def _add(mesh: Mesh, count: int) -> None:
    for number in range(count):
        mesh.add(Echo(f"{count}-{number}"))
    await mesh.drain()


WINDOWS: Final[dict[str, Window]] = {
    "tell": _tell("echo"),
    "tell to an inline handler": _tell("inline"),
    "ask": _ask("echo"),
    "ask, many in flight": _ask_together,
    "ask that asks": _ask("forwarder"),
    "stream part": _stream("echo"),
    "stream part over a relay": _stream("relay"),
    "publish, a subscriber": _publish,
    "agent added": _add,
    "query": costs_queries.query,
    "query that calls": costs_queries.query_with_call,
    "part of a query": costs_queries.query_in_parts,
}


async def _count(name: str) -> Tally:
    """Return what *_MESSAGES* messages add to as many. The first window warms up the mesh, and the tracer."""
    # The watchdog asks the loop for a sign of life so many times a second, not so many times a message.
    instruments.set(Instruments(watches_loop=False))
    tallies: list[Tally] = []
    async with Mesh("costs") as mesh:
        for agent in (Echo("echo"), Inline("inline"), Relay("relay"), Forwarder("forwarder")):
            mesh.add(agent)
        for number in range(_SUBSCRIBERS):
            mesh.add(Subscriber(f"subscriber-{number}"))
        for count in (_MESSAGES // 2, _MESSAGES, 2 * _MESSAGES):
            tallies.append(Counter())
            with counting(tallies[-1]):
                await WINDOWS[name](mesh, count)
        await mesh.drain()
        assert mesh.statistics().is_balanced
    _, once, twice = tallies
    twice.subtract(once)
    return twice


# -- what came of it ---------------------------------------------------------------------------------------------------


def _figures(tally: Tally) -> dict[str, float]:
    """Return what a message costs: in Ceylon's code and the agents', the calls made there, and in all other code."""
    ours = [(code, offset, count) for (code, offset), count in tally.items() if code.co_filename.startswith(_OURS)]
    bytecodes = sum(count for _, _, count in ours)
    calls = sum(count for code, offset, count in ours if dis.opname[code.co_code[offset]] in _CALLS)
    figures = {"bytecodes": bytecodes, "calls": calls, "elsewhere": tally.total() - bytecodes}
    return {name: round(count / _MESSAGES, 2) for name, count in figures.items()}


def _functions(tally: Tally) -> dict[str, float]:
    """Return the bytecodes of a message by function, most first."""
    found: Counter[str] = Counter()
    for (code, _), count in tally.items():
        found[f"{code.co_filename.rpartition('/')[2]}:{code.co_qualname}"] += count
    return {name: round(count / _MESSAGES, 2) for name, count in found.most_common() if count}


def _plant() -> None:
    deliver = Router.deliver

    def dearer(self: Router, *arguments: Any) -> Any:
        return deliver(self, *arguments)

    Router.deliver = dearer  # type: ignore[method-assign, assignment]
    request = TurnRun._request  # noqa: SLF001 – of all that a query goes through, what none can leave out

    def dearer_request(self: TurnRun, *arguments: Any, **options: Any) -> Any:
        for _ in range(5):
            len(arguments)
        return request(self, *arguments, **options)

    TurnRun._request = dearer_request  # type: ignore[method-assign]  # noqa: SLF001 – as above


def main(arguments: list[str]) -> None:
    """Print the figures as JSON, all or those that are named; with `--functions`, by function."""
    names = [argument for argument in arguments if not argument.startswith("--")]
    if "--planted" in arguments:
        _plant()
    load_adapters()  # or the first query would have a thread do it, which 3.12 counts too
    tallies = {name: asyncio.run(_count(name)) for name in names or WINDOWS}
    show: Callable[[Tally], dict[str, float]] = _functions if "--functions" in arguments else _figures
    print(json.dumps({name: show(tally) for name, tally in tallies.items()}, indent=2))  # noqa: T201 – what it is for


if __name__ == "__main__":
    main(sys.argv[1:])
