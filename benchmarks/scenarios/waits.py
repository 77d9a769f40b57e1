"""What it costs an ask that no wait may close a cycle: the same mesh with the waits graph and without it.

Only here is a part of the mesh replaced, to see what that part costs; both variants have it replaced alike.
"""

import asyncio
from typing import Any

from benchmarks.contest import Run, Scenario

__all__ = ["waits_busy", "waits_free"]

_BLIND = "ceylon without its waits graph"


def _scenario(name: str, title: str) -> Scenario:
    return Scenario(name=name, title=title, size=60_000, quick=2_000, floor=_BLIND, loops=("asyncio",), rounds=5)


waits_free = _scenario("waits_free", "waits graph: ask of a free agent, by an agent")
waits_busy = _scenario("waits_busy", "waits graph: ask of a busy agent, by 20 agents")


async def _ask(run: Run, *, sees: bool, askers: int) -> None:
    from ceylon import Agent, Context, Mesh
    from ceylon.core.calls import AskCall
    from ceylon.core.instruments import Instruments, instruments
    from ceylon.core.router import Router

    class Unnoted(AskCall):
        """An ask of which the graph knows nothing."""

        def __init__(self, router: Router, future: Any, envelope: Any, cell: Any, source: Any) -> None:
            super().__init__(router, future, envelope, cell, None)

        def begin_wait(self, source: Any) -> None:
            """Do nothing."""

    class Seeing(Router):
        """Looks at every wait, by one call more, as the blind one has it."""

        def ask(
            self, envelope: Any, future: Any, source: Any, timeout: Any, *, clock: bool = True, kind: Any = AskCall
        ) -> Any:
            """See `Router.ask`."""
            return super().ask(envelope, future, source, timeout, clock=clock, kind=kind)

    class Blind(Router):
        """Looks at no wait."""

        def ask(
            self, envelope: Any, future: Any, source: Any, timeout: Any, *, clock: bool = True, kind: Any = AskCall
        ) -> Any:
            """See `Router.ask`."""
            return super().ask(envelope, future, source, timeout, clock=clock, kind=Unnoted)

        def _lender(self, envelope: Any, cell: Any, source: Any) -> int:
            return 0

    class Answerer(Agent):
        """Answers."""

        async def on_message(self, message: int, context: Context) -> int:
            """Give it back."""
            return message

    class Asker(Agent):
        """Asks the answerer, as often as it is told to."""

        async def on_message(self, message: int, context: Context) -> None:
            """Ask."""
            for _ in range(message):
                await context.ask("answerer", 1)

    token = instruments.set(Instruments(router=Seeing if sees else Blind))
    mesh = Mesh()
    instruments.reset(token)
    async with mesh:
        mesh.add(Answerer("answerer"))
        refs = [mesh.add(Asker(f"asker-{number}")) for number in range(askers)]
        for messages in run.passes(askers):
            with run.timed(messages):
                await asyncio.gather(*(ref.ask(messages // askers) for ref in refs))
        assert mesh.statistics().is_balanced
        assert mesh.statistics().agents["answerer"].completed == run.total


@waits_free.contender("ceylon")
async def seeing_free(run: Run) -> None:
    """Ask with the graph."""
    await _ask(run, sees=True, askers=1)


@waits_free.contender(_BLIND)
async def blind_free(run: Run) -> None:
    """Ask without it."""
    await _ask(run, sees=False, askers=1)


@waits_busy.contender("ceylon")
async def seeing_busy(run: Run) -> None:
    """Ask with the graph."""
    await _ask(run, sees=True, askers=20)


@waits_busy.contender(_BLIND)
async def blind_busy(run: Run) -> None:
    """Ask without it."""
    await _ask(run, sees=False, askers=20)
