"""What it costs an ask that no wait may close a cycle: the same mesh with the waits graph and without it."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anyio
from benchmarks.report import Row
from benchmarks.rounds import Pair, alternate, median

from ceylon import Agent, Context, Mesh
from ceylon.core.calls import AskCall
from ceylon.core.instruments import Instruments, instruments
from ceylon.core.router import Router

__all__ = ["measure"]

_now = time.thread_time


class _Unnoted(AskCall):
    """An ask of which the graph knows nothing."""

    def __init__(self, router: Router, future: Any, envelope: Any, cell: Any, source: Any) -> None:
        super().__init__(router, future, envelope, cell, None)

    def begin_wait(self, source: Any) -> None:
        """Do nothing."""


class _Blind(Router):
    """Looks at no wait."""

    def ask(self, envelope: Any, future: Any, source: Any, timeout: Any, *, clock: bool = True, kind: Any = 0) -> Any:
        """See `Router.ask`."""
        return super().ask(envelope, future, source, timeout, clock=clock, kind=_Unnoted)

    def _lender(self, envelope: Any, cell: Any, source: Any) -> int:
        return 0


class _Seeing(Router):
    """Looks at every wait, by one call more, as the blind one has it."""

    def ask(
        self, envelope: Any, future: Any, source: Any, timeout: Any, *, clock: bool = True, kind: Any = AskCall
    ) -> Any:
        """See `Router.ask`."""
        return super().ask(envelope, future, source, timeout, clock=clock, kind=kind)


class Answerer(Agent):
    """Answers."""

    async def on_message(self, message: int) -> int:
        """Give it back."""
        return message


class Asker(Agent):
    """Asks the answerer, as often as it is told to."""

    async def on_message(self, times: int, context: Context) -> None:
        """Ask."""
        for _ in range(times):
            await context.ask("answerer", 1)


def measure(*, rounds: int, messages: int) -> Iterator[Row]:
    """Yield the cost of the graph to an ask of a free agent, and of one that is always busy."""
    for name, askers in (("of a free agent", 1), ("of a busy agent, by 20 others", 20)):
        pair = asyncio.run(_measure(rounds, messages, askers))
        costs = [(ours / blind - 1) * 100 for ours, blind in zip(pair.ceylon, pair.bare, strict=True)]
        yield Row(
            measured=f"waits graph: ask {name}",
            unit="/s",
            ceylon=messages / median(pair.ceylon),
            beside="without the graph",
            bare=messages / median(pair.bare),
            compared=median(costs),
            compared_unit="%",
            spread=(min(costs), max(costs)),
            at_most=5.0,
        )


async def _measure(rounds: int, messages: int, askers: int) -> Pair:
    with _made_with(_Seeing):
        seeing = Mesh("seeing")
    with _made_with(_Blind):
        blind = Mesh("blind")
    async with seeing, blind:
        for mesh in (seeing, blind):
            mesh.add(Answerer("answerer"))
            for number in range(askers):
                mesh.add(Asker(f"asker-{number}"))
        pair = await alternate(rounds, lambda: _ask(seeing, messages, askers), lambda: _ask(blind, messages, askers))
        assert seeing.statistics().is_balanced
    return pair


async def _ask(mesh: Mesh, messages: int, askers: int) -> float:
    began = _now()
    async with anyio.create_task_group() as tasks:
        for number in range(askers):
            tasks.start_soon(mesh.ask, f"asker-{number}", messages // askers)
    return _now() - began


@contextmanager
def _made_with(router: type[Router]) -> Iterator[None]:
    token = instruments.set(Instruments(router=router))
    try:
        yield
    finally:
        instruments.reset(token)
