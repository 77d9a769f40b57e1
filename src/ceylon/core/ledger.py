"""What became of every envelope: counters per agent, and the ring of those nobody handled.

The one law, per agent: ``accepted = completed + failed + dead_lettered + expired + cancelled + pending``, where
`pending` is counted from mailboxes and running handlers and never derived from the others.
"""

import enum
from collections import Counter, deque
from collections.abc import Callable

import msgspec

from ceylon.messages import Envelope

__all__ = ["AgentStatistics", "DeadLetter", "DeadLetters", "MeshStatistics", "Reason", "ThreadStatistics"]


class Reason(enum.StrEnum):
    """Why an envelope became a dead letter; the value says whether it had been accepted."""

    UNKNOWN_AGENT = "unknown_agent"  # refused: nobody has that address
    FULL = "full"  # refused: no room in time
    CLOSED = "closed"  # refused: the mesh is stopping
    HOPS = "hops"  # refused: passed on too often
    UNHANDLED = "unhandled"  # accepted: no handler takes it
    STOPPED = "stopped"  # accepted: its agent stopped first
    AGENT_FAILED = "agent_failed"  # accepted: its agent failed for good
    HANDLER_FAILED = "handler_failed"  # a failed tell: counted as failed, kept here as a copy


REFUSED = frozenset({Reason.UNKNOWN_AGENT, Reason.FULL, Reason.CLOSED, Reason.HOPS})
"""These envelopes were never accepted: their senders got an error."""


class DeadLetter(msgspec.Struct, frozen=True):
    """An envelope nobody handled, and why."""

    envelope: Envelope
    reason: Reason
    detail: str = ""


class AgentStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """One agent's counters, as they were at one moment."""

    address: str
    state: str
    accepted: int
    completed: int
    failed: int
    dead_lettered: int
    expired: int
    cancelled: int
    pending: int
    restarts: int

    @property
    def is_balanced(self) -> bool:
        """Say whether the one law holds."""
        ended = self.completed + self.failed + self.dead_lettered + self.expired + self.cancelled
        return self.accepted == ended + self.pending


class ThreadStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Worker threads: running handlers, waiting in a blocking verb, parked, and given up.

    `abandoned` counts those given up, at a stop or for taking too long, since the mesh was made; `stuck` those of them
    whose code still runs.
    """

    running: int
    blocked: int
    idle: int
    abandoned: int
    stuck: int = 0


class MeshStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """A whole mesh at one moment.

    `refused` counts the envelopes that were never accepted; `late_replies` those that came when nobody waited any
    more; `unheard` the publications without a subscriber; `workers` the tasks that run handlers or wait to;
    `abandoned_handlers` those on the loop that ignored their cancellation and were given up.
    """

    mesh: str
    agents: dict[str, AgentStatistics]
    stopped_agents: AgentStatistics
    refused: int
    dead_letters: dict[str, int]
    late_replies: int
    unheard: int
    pending_asks: int
    timers: int
    workers: int
    threads: ThreadStatistics
    abandoned_handlers: int = 0

    @property
    def is_balanced(self) -> bool:
        """Say whether the one law holds for every agent, also for those that are gone."""
        return self.stopped_agents.is_balanced and all(agent.is_balanced for agent in self.agents.values())


class DeadLetters:
    """The ring of the last dead letters, exact counters per reason, and whoever wants to hear of each."""

    def __init__(self, size: int, announce: Callable[[DeadLetter], None]) -> None:
        self._ring: deque[DeadLetter] = deque(maxlen=size)
        self._counts: Counter[Reason] = Counter()
        self._announce = announce

    def add(self, envelope: Envelope, reason: Reason, detail: str = "") -> None:
        """Keep *envelope* and say so."""
        letter = DeadLetter(envelope, reason, detail)
        self._ring.append(letter)
        self._counts[reason] += 1
        self._announce(letter)

    def letters(self) -> list[DeadLetter]:
        """Return those in the ring, oldest first."""
        return list(self._ring)

    def counts(self) -> dict[str, int]:
        """Return how many there were, per reason, since the mesh was made."""
        return {reason.value: count for reason, count in self._counts.items()}

    def refused(self) -> int:
        """Count the envelopes that were never accepted."""
        return sum(count for reason, count in self._counts.items() if reason in REFUSED)
