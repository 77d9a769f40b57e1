"""Add up what a mesh counts: its agents, those that have left, and its parts."""

from typing import TYPE_CHECKING, Any

from ceylon.core.ledger import AgentStatistics, MeshStatistics, ThreadStatistics

if TYPE_CHECKING:
    from ceylon.core.interior import Interior

__all__ = ["Gone", "statistics_of"]


def statistics_of(interior: "Interior", gone: "Gone") -> MeshStatistics:
    """Return every counter of a mesh as it is now; on the loop."""
    if not interior.was_opened:
        return _before_opening(interior, gone)
    router = interior.router
    return MeshStatistics(
        mesh=interior.name,
        agents={address: cell.statistics() for address, cell in list(router.cells.items())},
        stopped_agents=gone.statistics(),
        refused=router.dead_letters.refused(),
        dead_letters=router.dead_letters.counts(),
        late_replies=router.late_replies,
        unheard=router.unheard,
        pending_asks=len(router.calls),
        timers=len(interior.timers),
        workers=interior.dispatcher.worker_count,
        threads=interior.threads.statistics(),
        abandoned_handlers=interior.dispatcher.abandoned,
        spending=interior.spending.statistics(interior.message_id),
        requests=interior.requests.statistics(),
    )


def _before_opening(interior: "Interior", gone: "Gone") -> MeshStatistics:
    return MeshStatistics(
        mesh=interior.name,
        agents={address: cell.statistics() for address, cell in list(interior.early.items())},
        stopped_agents=gone.statistics(),
        refused=0,
        dead_letters={},
        late_replies=0,
        unheard=0,
        pending_asks=0,
        timers=0,
        workers=0,
        threads=ThreadStatistics(running=0, blocked=0, idle=0, abandoned=0),
    )


class Gone:
    """The counters of agents that have left, added up."""

    _NAMES = ("accepted", "completed", "failed", "dead_lettered", "expired", "cancelled", "pending", "restarts")

    def __init__(self) -> None:
        self._sums: dict[str, Any] = dict.fromkeys(self._NAMES, 0)
        self.unbalanced: list[str] = []  # agents that had lost count

    def add(self, statistics: AgentStatistics) -> None:
        """Add one agent's."""
        if not statistics.is_balanced:
            self.unbalanced.append(statistics.address)
        for name in self._NAMES:
            self._sums[name] += getattr(statistics, name)

    def statistics(self) -> AgentStatistics:
        """Return the sums."""
        return AgentStatistics(address="", state="stopped", **self._sums)
