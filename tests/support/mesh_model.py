"""A mesh as a few lines of arithmetic: what every counter must be after each thing that is done to it.

The model knows nothing of tasks or loops. It takes a step at a time, and after each the real mesh, left alone until
nothing moves, must show the same numbers and must have given every sender the same outcome.
"""

from collections import Counter, deque
from typing import Any, Final

import msgspec

from ceylon.core.ledger import AgentStatistics, MeshStatistics

__all__ = ["CAPACITY", "AgentModel", "MeshModel", "Sent"]

CAPACITY: Final = 2
_COUNTERS: Final = ("accepted", "completed", "failed", "dead_lettered", "expired", "cancelled", "pending", "restarts")


class Sent(msgspec.Struct, eq=False):
    """A message on its way: what its handler does, whether anybody waits for a reply, and what the sender must hear."""

    does: str  # ok, fail, hold
    is_ask: bool
    outcome: str | None = None  # as soon as there is one: "sent", "reply", or an error's name


class AgentModel:
    """One agent: a mailbox, senders that wait for room, one slot, counters."""

    def __init__(self, on_failure: str) -> None:
        self.on_failure = on_failure
        self.mail: deque[Sent] = deque()
        self.parked: deque[Sent] = deque()
        self.held: Sent | None = None
        self.is_stopping = False
        self.is_gone = False
        self.counts: Counter[str] = Counter()

    # -- what is done to it --------------------------------------------------------------------------------------------

    def take_in(self, sent: Sent, *, waits: bool = True) -> bool:
        """Accept *sent*, or let its sender wait for room; say no if there is none and it does not wait."""
        if len(self.mail) < CAPACITY and not self.parked:
            self._accept(sent)
        elif waits:
            self.parked.append(sent)
        else:
            return False
        self.run()
        return True

    def release(self) -> None:
        """Let the handler that is held go on to its good end."""
        sent, self.held = self.held, None
        assert sent is not None
        self._end(sent, "completed", "reply")
        self.run()

    def cancel(self, sent: Sent) -> None:
        """Let the sender go away, wherever its message is."""
        if sent in self.parked:
            self.parked.remove(sent)
        elif sent is self.held:
            self.held = None
            self.counts["cancelled"] += 1
        elif sent in self.mail:
            self.mail.remove(sent)
            self.counts["cancelled"] += 1
            self._admit()
        self.run()

    def stop(self) -> None:
        """End the agent, as soon as no handler of it runs."""
        self.is_stopping = True
        self.run()

    # -- what it does --------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Handle what can be handled."""
        while self.mail and self.held is None and not self.is_stopping:
            sent = self.mail.popleft()
            self._admit()
            if sent.does == "hold":
                self.held = sent
            elif sent.does == "ok":
                self._end(sent, "completed", "reply")
            else:
                self._fail(sent)
        if self.is_stopping and self.held is None and not self.is_gone:
            self._leave()

    def pending(self) -> int:
        return len(self.mail) + (self.held is not None)

    def open_asks(self) -> int:
        everywhere = (*self.mail, *self.parked, *([self.held] if self.held else []))
        return sum(sent.is_ask for sent in everywhere)

    def _accept(self, sent: Sent) -> None:
        self.mail.append(sent)
        self.counts["accepted"] += 1
        if not sent.is_ask:
            sent.outcome = "sent"

    def _admit(self) -> None:
        while self.parked and len(self.mail) < CAPACITY:
            self._accept(self.parked.popleft())

    def _fail(self, sent: Sent) -> None:
        self._end(sent, "failed", "HandlerError")
        if self.on_failure == "restart":
            self.counts["restarts"] += 1
        elif self.on_failure == "stop":
            self.is_stopping = True

    def _leave(self) -> None:
        self.is_gone = True
        for sent in self.parked:
            sent.outcome = "AgentStoppedError"
        self.parked.clear()
        for sent in self.mail:
            self._end(sent, "dead_lettered", "AgentStoppedError")
        self.mail.clear()

    def _end(self, sent: Sent, how: str, outcome: str) -> None:
        self.counts[how] += 1
        if sent.is_ask:
            sent.outcome = outcome


class MeshModel:
    """The agents that are there, the sums of those that are gone, and what was refused."""

    def __init__(self) -> None:
        self.agents: dict[str, AgentModel] = {}
        self.gone: Counter[str] = Counter()
        self.refused = 0

    def sweep(self) -> None:
        """Take out the agents that have left."""
        for name, agent in list(self.agents.items()):
            if agent.is_gone:
                self.gone.update(agent.counts)
                del self.agents[name]

    def differences(self, statistics: MeshStatistics) -> list[str]:
        """Say where the real mesh has other numbers."""
        expected: dict[str, Any] = {"agents": sorted(self.agents), "refused": self.refused}
        expected["pending asks"] = sum(agent.open_asks() for agent in self.agents.values())
        found: dict[str, Any] = {"agents": sorted(statistics.agents), "refused": statistics.refused}
        found["pending asks"] = statistics.pending_asks
        for name, agent in self.agents.items():
            expected[name] = _numbers({**agent.counts, "pending": agent.pending()})
            found[name] = _numbers(_read(statistics.agents[name])) if name in statistics.agents else "not there"
        expected["gone"], found["gone"] = _numbers(self.gone), _numbers(_read(statistics.stopped_agents))
        return [
            f"{what}: {expected[what]} expected, {found[what]} found"
            for what in expected
            if expected[what] != found[what]
        ]


def _read(statistics: AgentStatistics) -> dict[str, int]:
    return {name: getattr(statistics, name) for name in _COUNTERS}


def _numbers(counts: "dict[str, int] | Counter[str]") -> dict[str, int]:
    return {name: counts[name] for name in _COUNTERS if counts.get(name)}
