"""Watch over every mesh of the process: the one law, at every quiescent point and at each mesh's end.

A test does not have to ask for it. `LawWatch` hears of each mesh as it opens, on whichever thread, also of blocking
meshes and of the default one, and looks at the counters whenever nothing is in any mailbox or handler.
"""

import functools
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from ceylon.core.instruments import observers

if TYPE_CHECKING:
    from ceylon.core.cell import Cell
    from ceylon.core.interior import Interior
    from ceylon.core.ledger import AgentStatistics

__all__ = ["LawWatch", "end_violations"]

_FREE_LOOKS: Final = 100_000
"""Looks at one agent that a mesh may cost before it pays by the point: 0.1 s of a test."""


class LawWatch:
    """Looks after the law in every mesh that opens while this is entered.

    Every agent is looked at at every quiescent point, until a mesh has had *free_looks* of them (an agent at a point
    is one). From then on the agents are looked at again once as many points have gone by as there are agents, so that
    a point costs one look on average, however many agents there are; a mesh's end is always looked at.

    What is found is kept and raised by `verify`: a mesh must not fail in the middle of a handler because it is watched.
    """

    def __init__(self, *, free_looks: int = _FREE_LOOKS) -> None:
        self._free_looks = free_looks
        self._violations: list[str] = []
        self._points = 0

    @property
    def points(self) -> int:
        """How many quiescent points there were, with those that were let go by."""
        return self._points

    @property
    def violations(self) -> list[str]:
        """What was found since the last `verify`, in sentences."""
        return list(self._violations)

    def __enter__(self) -> Self:
        """Hear of every mesh that opens from now on."""
        observers.append(self._opened)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        observers.remove(self._opened)

    def verify(self) -> None:
        """Fail if the law was broken since this was asked last.

        Raises:
            AssertionError: it was; every violation is named.
        """
        found = self.forget()
        if found:
            raise AssertionError("\n".join(found))

    def forget(self) -> list[str]:
        """Return what was found, and begin anew."""
        found, self._violations = self._violations, []
        return found

    def _opened(self, interior: "Interior") -> None:
        """Stand between the mesh and whoever hears that it is quiet."""
        watched = _Watched(interior, self._free_looks, self._found)
        original = interior.router.on_quiet

        def on_quiet() -> None:
            self._points += 1
            watched.look()
            if original is not None:
                original()

        interior.router.on_quiet = on_quiet
        interior.on_closed = functools.partial(self._closed, interior, interior.on_closed)

    def _closed(self, interior: "Interior", original: Callable[[], None] | None) -> None:
        self._found(end_violations(interior))
        if original is not None:
            original()

    def _found(self, violations: list[str]) -> None:
        self._violations += violations


class _Watched:
    """One mesh, and how much looking at it has cost."""

    def __init__(self, interior: "Interior", free_looks: int, found: Callable[[list[str]], None]) -> None:
        self._interior = interior
        self._left = free_looks
        self._found = found
        self._gone_by = 0
        self._answerless: set[int] = set()

    def look(self) -> None:
        """Look at every agent, unless that has cost too much already; on the mesh's loop."""
        cells = self._interior.router.cells
        self._gone_by += 1
        if self._left <= 0 and self._gone_by < len(cells):
            return
        self._left -= len(cells)
        self._gone_by = 0
        name = self._interior.name
        found = [sentence for cell in cells.values() if (sentence := _quiet_violation(name, cell))]
        if found or self._interior.router.calls or self._answerless:
            self._found(found + self._unanswered())

    def _unanswered(self) -> list[str]:
        """Name the asks that are open at two points in a row: their envelopes have ended, and so did the first point.

        At one point an ask may be open, because its deadline ends the envelope first and the ask right after. One that
        waits for room, as for a place in a family, has not come to an end.
        """
        calls = self._interior.router.calls
        ended = {number for number, call in calls.items() if call not in (call.cell.parked or ())}
        lost, self._answerless = self._answerless & ended, ended
        return [
            f"mesh {self._interior.name!r}: ask #{number} to {calls[number].envelope.recipient!r} has come to its end, "
            "and nobody has told whoever asked"
            for number in sorted(lost)
        ]


def end_violations(interior: "Interior") -> list[str]:
    """Return what is wrong with the counters of a mesh that has been closed: the law, and whatever is still open."""
    statistics, name = interior.statistics(), interior.name
    agents = (*statistics.agents.values(), statistics.stopped_agents)
    found = [_law_broken(name, agent) for agent in agents if not agent.is_balanced or agent.pending]
    if statistics.pending_asks:
        found.append(f"mesh {name!r} has ended, and {statistics.pending_asks} asks never did")
    if interior.router.open:
        found.append(f"mesh {name!r} has ended, and counts {len(interior.router.open)} envelopes as open")
    return found


def _quiet_violation(mesh: str, cell: "Cell") -> str | None:
    """Say what is wrong with an agent that has nothing to do; two numbers that are equal cost least."""
    ended = cell.completed + cell.failed + cell.dead_lettered + cell.expired + cell.cancelled
    if cell.accepted == ended and not cell.mail and not cell.running:
        return None
    statistics = cell.statistics()  # `pending` counts a thread that has not given the agent back as what it is
    return _law_broken(mesh, statistics) if not statistics.is_balanced or statistics.pending else None


def _law_broken(mesh: str, agent: "AgentStatistics") -> str:
    ended = ("completed", "failed", "dead_lettered", "expired", "cancelled", "pending")
    counts = " + ".join(f"{getattr(agent, name)} {name}" for name in ended)
    who = f"agent {agent.address!r}" if agent.address else "the agents that are gone"
    return f"mesh {mesh!r}: the law is broken for {who}: {agent.accepted} accepted ≠ {counts}, with nothing under way"
