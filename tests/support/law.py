"""The one law, as tests check it: nothing that a mesh accepted is ever lost."""

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any

from ceylon import BlockingMesh, LawBrokenError, Mesh
from ceylon.core.ledger import AgentStatistics, MeshStatistics


def check_law(statistics: MeshStatistics) -> None:
    """Fail if any agent, also one that is gone, has an envelope more or less than it accounts for."""
    for agent in (*statistics.agents.values(), statistics.stopped_agents):
        _check_agent(agent)


def check_end(statistics: MeshStatistics) -> None:
    """Fail if the law does not hold, or if anything is still under way, in a mesh that has ended."""
    check_law(statistics)
    waiting = {name: agent.pending for name, agent in statistics.agents.items() if agent.pending}
    assert not waiting, f"pending after the end of the mesh: {waiting}"
    assert statistics.stopped_agents.pending == 0
    assert statistics.pending_asks == 0, f"{statistics.pending_asks} asks never ended"


def _check_agent(agent: AgentStatistics) -> None:
    ended = agent.completed + agent.failed + agent.dead_lettered + agent.expired + agent.cancelled
    assert agent.accepted == ended + agent.pending, f"the law is broken: {agent}"
    assert agent.is_balanced
    assert min(ended, agent.pending, agent.accepted) >= 0


class BreakableMesh(Mesh):
    """A mesh whose law a test breaks on purpose: leaving it says nothing of that."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with contextlib.suppress(LawBrokenError):
            await super().__aexit__(kind, error, traceback)


class BreakableBlockingMesh(BlockingMesh):
    """The same on a thread of its own."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with contextlib.suppress(LawBrokenError):
            super().__exit__(kind, error, traceback)


@asynccontextmanager
async def lawful_mesh(name: str = "test", **options: Any) -> AsyncIterator[Mesh]:
    """Open a mesh; close it and check the law at the end, also when the test in between failed otherwise."""
    mesh = Mesh(name, **options)
    try:
        async with mesh:
            yield mesh
    finally:
        check_end(mesh.statistics())
