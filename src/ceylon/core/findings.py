"""What an inspector finds in a running mesh: open messages, waits, and why a message is where it is."""

from typing import Literal, TypeAlias

import msgspec

from ceylon.core.ledger import How, MeshStatistics

__all__ = ["Ledger", "OpenMessage", "Place", "Standing", "Wait", "WaitKind", "Why"]

Place: TypeAlias = Literal["waiting for room", "in the mailbox", "in a handler", "in a thread"]
Standing: TypeAlias = Place | How | Literal["refused", "in a hook"]
WaitKind: TypeAlias = Literal["reply", "room", "turn", "parts", "credit", "thread", "drain"]


class OpenMessage(msgspec.Struct, frozen=True, kw_only=True):
    """An accepted envelope that has not ended, or one whose sender still waits for room.

    `place`: before a full mailbox, in it, or with a handler; `unattended`: its asker has left, the handler goes on.
    """

    message_id: str
    kind: str
    sender: str
    recipient: str
    message_type: str
    place: Place
    remaining: float | None
    unattended: bool


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """The counters of a mesh, and every envelope that is open, in the order of acceptance."""

    statistics: MeshStatistics
    open: list[OpenMessage]

    @property
    def is_balanced(self) -> bool:
        """Say whether the one law holds."""
        return self.statistics.is_balanced


class Wait(msgspec.Struct, frozen=True, kw_only=True):
    """One wait under way.

    Attributes:
        kind: ``"reply"`` of an ask, ``"room"`` in a full mailbox, ``"turn"`` of an envelope in a mailbox, ``"parts"``
            of a stream, ``"credit"`` of its consumer, ``"thread"`` for a worker thread, ``"drain"`` of the mesh.
        waiter: The address of the agent whose handler waits; empty for code outside of agents.
        waiter_id: The message which that handler handles; empty likewise.
        on: The address of the agent that is waited for; empty for the mesh's threads and the drain.
        message_id: The message concerned.
        blocked_by: The messages whose handlers have to go on first; none if nothing but time is needed.
        remaining: Seconds until the wait gives up; `None` if only its end ends it.
    """

    kind: WaitKind
    waiter: str
    waiter_id: str
    on: str
    message_id: str
    blocked_by: tuple[str, ...] = ()
    remaining: float | None = None

    def __str__(self) -> str:
        who = f"{self.waiter} ({self.waiter_id})" if self.waiter else "code outside of agents"
        what = f"{self.kind} of {self.on or 'the mesh'}" + (f" ({self.message_id})" if self.message_id else "")
        by = f", blocked by {', '.join(self.blocked_by)}" if self.blocked_by else ""
        until = f", for {self.remaining:.3g} s more" if self.remaining is not None else ""
        return f"{who} waits for {what}{by}{until}"


class Why(msgspec.Struct, frozen=True, kw_only=True):
    """What `mesh.why` says of one message.

    Attributes:
        message_id: The message.
        message_type: Its type.
        sender: Who sent it; empty when no agent did.
        recipient: The address it was sent to.
        state: Where it is (``in a hook``: of an agent that starts or stops, which has an id like a message), or how it
            ended: completed, failed, dead_lettered, expired, cancelled, refused.
        detail: Of an end: the error, or the reason of the dead letter.
        chain: The messages it was sent because of, outermost first, each as a line.
        waits_for: What its handler waits for, or what it waits for itself.
        blocked_by: The agents that have to go on first, nearest first, down to one that is simply busy.
    """

    message_id: str
    message_type: str
    sender: str
    recipient: str
    state: Standing
    detail: str = ""
    chain: tuple[str, ...] = ()
    waits_for: tuple[Wait, ...] = ()
    blocked_by: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"{self.message_type} {self.message_id} → {self.recipient}: {self.state} {self.detail}".rstrip()]
        lines += [f"  because of {line}" for line in reversed(self.chain)]
        lines += [f"  {wait}" for wait in self.waits_for]
        lines += [f"  blocked by {' → '.join(self.blocked_by)}"] if self.blocked_by else []
        return "\n".join(lines)
