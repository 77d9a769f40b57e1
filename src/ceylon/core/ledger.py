"""What became of every envelope: counters per agent, and the ring of those nobody handled.

The one law, per agent: ``accepted = completed + failed + dead_lettered + expired + cancelled + pending``, where
`pending` is counted from mailboxes and running handlers and never derived from the others.
"""

import enum
from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import Final, Literal, TypeAlias

import msgspec

from ceylon.core.spending import SpendingStatistics
from ceylon.core.tickets import RequestStatistics
from ceylon.messages import Envelope, Kind, type_name

__all__ = [
    "AgentStatistics",
    "DeadLetter",
    "DeadLetters",
    "Ending",
    "Endings",
    "How",
    "KeptName",
    "MeshStatistics",
    "Reason",
    "ThreadStatistics",
    "describe_envelope",
    "type_name_of",
]

_MOST_BREACHES: Final = 100  # kept of what must never happen at all


class Reason(enum.StrEnum):
    """Why an envelope became a dead letter; the value says whether it had been accepted."""

    UNKNOWN_AGENT = "unknown_agent"  # refused: nobody has that address
    FULL = "full"  # refused: no room in time
    CLOSED = "closed"  # refused: the mesh is stopping
    HOPS = "hops"  # refused: passed on too often
    REJECTED = "rejected"  # refused: an interceptor did not let it pass
    UNROUTED = "unrouted"  # refused: its pool could not choose a member, or its keyed agent could not be made
    UNHANDLED = "unhandled"  # accepted: no handler takes it
    STOPPED = "stopped"  # accepted: its agent stopped first
    AGENT_FAILED = "agent_failed"  # accepted: its agent failed for good
    HANDLER_FAILED = "handler_failed"  # counted as failed; a copy, of a tell, or of what an agent did not survive


How: TypeAlias = Literal["completed", "failed", "dead_lettered", "expired", "cancelled"]
"""How an accepted envelope ends."""

REFUSED = frozenset({Reason.UNKNOWN_AGENT, Reason.FULL, Reason.CLOSED, Reason.HOPS, Reason.REJECTED, Reason.UNROUTED})
"""These envelopes were never accepted: their senders got an error."""


class DeadLetter(msgspec.Struct, frozen=True):
    """An envelope nobody handled, and why."""

    envelope: Envelope
    reason: Reason
    detail: str = ""


class AgentStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """One agent's counters, as they were at one moment; `parent` is the agent that spawned it, if one did."""

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
    parent: str = ""

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
    `abandoned_handlers` those on the loop that ignored their cancellation and were given up; `spending` is what models
    have cost; `requests` those that were submitted and not collected.
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
    spending: SpendingStatistics = SpendingStatistics()
    requests: RequestStatistics = RequestStatistics()

    @property
    def is_balanced(self) -> bool:
        """Say whether the one law holds for every agent, also for those that are gone."""
        return self.stopped_agents.is_balanced and all(agent.is_balanced for agent in self.agents.values())


class Ending(msgspec.Struct, frozen=True):
    """An envelope that is over, without its message, and how it ended."""

    id: int
    kind: Kind
    sender: str
    recipient: str
    message_type: str
    parent: int
    how: How
    detail: str


class KeptName(msgspec.Struct, frozen=True):
    """Stands for a message that is over whose type alone does not say what it was."""

    text: str


class Endings:
    """The ring of the last endings, and what would break the law: envelopes that ended without being open."""

    def __init__(self, size: int) -> None:
        self._ring: deque[Ending | Envelope] = deque(maxlen=size)
        self.completed = self._ring.append  # an envelope whose message was replaced by its type; the dispatcher does so
        self.never_open: list[Ending] = []

    def add(self, envelope: Envelope, how: How, detail: str = "", *, was_open: bool = True) -> None:
        """Keep how *envelope* ended."""
        ending = _ending(envelope, how, detail)
        self._ring.append(ending)
        if not was_open and len(self.never_open) < _MOST_BREACHES:
            self.never_open.append(ending)

    def find(self, envelope_id: int) -> Ending | None:
        """Return the ending of an envelope, if it is in the ring."""
        for kept in reversed(self._ring):
            if kept.id == envelope_id:
                return kept if isinstance(kept, Ending) else _ending(kept, "completed", "")
        return None

    def travels(self) -> Iterator[tuple[str, str, How]]:
        """Give the sender, the recipient and the end of every envelope in the ring, oldest first."""
        for kept in list(self._ring):
            yield kept.sender, kept.recipient, kept.how if isinstance(kept, Ending) else "completed"

    @property
    def is_full(self) -> bool:
        """Whether the ring has forgotten some."""
        return len(self._ring) == self._ring.maxlen


def describe_envelope(mesh_id: str, envelope: Envelope | Ending) -> str:
    """Name an envelope in an error: its id, kind and road."""
    ending = envelope if isinstance(envelope, Ending) else _ending(envelope, "completed", "")
    road = f"{ending.sender or 'outside'} → {ending.recipient}"
    return f"{ending.kind} {mesh_id}-{ending.id:x} ({ending.message_type}, {road})"


def _ending(envelope: Envelope, how: How, detail: str) -> Ending:
    name = type_name_of(envelope.message)
    return Ending(
        envelope.id, envelope.kind, envelope.sender, envelope.recipient, name, envelope.parent, how, detail
    )  # fmt: skip


def type_name_of(message: object) -> str:
    """Return what to call *message*, or what is kept of one that is over: its type, or an action's name."""
    if isinstance(message, type):
        return message.__name__
    return message.text if isinstance(message, KeptName) else type_name(message)


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
