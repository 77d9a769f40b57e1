"""What a handler knows of the message it handles: from whom, for whom, until when, and as part of what."""

from random import Random
from typing import TYPE_CHECKING, Any

import msgspec

from ceylon.core.log import logger
from ceylon.messages import Outcome

if TYPE_CHECKING:
    import structlog

    from ceylon.core.budgets import Account, Budget
    from ceylon.core.calls import Call
    from ceylon.core.cell import Cell
    from ceylon.core.dispatcher import Worker
    from ceylon.core.interior import Interior
    from ceylon.messages import Envelope

__all__ = ["Origin"]


class Origin(msgspec.Struct, eq=False):
    """The facts about one message in its handler; code on the loop and code in threads has them alike.

    A struct, because every message pays for making one: in C that takes half the time.

    Attributes:
        interior: The mesh.
        cell: The agent's place in it.
        envelope: What is handled.
        worker: Who runs the handler, unless a thread does.
        has_replied: Whether the asker has his answer already.
        waits: What the handler waits for just now; made at the first.
    """

    interior: "Interior"
    cell: "Cell"
    envelope: "Envelope"
    worker: "Worker | None" = None
    has_replied: bool = False
    waits: "list[Call] | None" = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.address!r} for message {self.message_id}>"

    @property
    def address(self) -> str:
        """The agent's own address."""
        return self.cell.address

    @property
    def sender(self) -> str:
        """The address of the agent that sent the message; empty when no agent did."""
        return self.envelope.sender

    @property
    def recipient(self) -> str:
        """The address the message was sent to: the agent's own, perhaps with a key."""
        return self.envelope.recipient

    @property
    def parent(self) -> str:
        """The address of the agent that spawned this one; empty when none did."""
        return self.cell.parent.address if self.cell.parent is not None else ""

    @property
    def children(self) -> tuple[str, ...]:
        """The addresses of the agents that this one has spawned and that are there, in the order they were started."""
        return tuple(self.cell.life.children) if self.cell.life is not None else ()

    @property
    def message_id(self) -> str:
        """An id that no other message has, in this mesh or another."""
        return self.interior.message_id(self.envelope.id)

    @property
    def deadline(self) -> float | None:
        """When the asker stops waiting, in seconds on the mesh's clock; `None`: nobody waits."""
        return self.envelope.deadline

    @property
    def remaining(self) -> float | None:
        """Seconds until the deadline."""
        return None if self.envelope.deadline is None else self.envelope.deadline - self.interior.driver_now()

    @property
    def now(self) -> float:
        """The time of day, in seconds since 1970: virtual in a simulation, and kept by `ceylon.testing.record`."""
        return self.interior.sources.now(self.address)

    @property
    def random(self) -> Random:
        """Where the agent has chance from: seeded in a simulation, and kept by `ceylon.testing.record`."""
        return self.interior.sources.chance(self.address)

    @property
    def budget(self) -> "Budget | None":
        """What the whole run may still spend, as it is now; `None`: nobody has set a limit."""
        account: Account | None = self.envelope.budget
        return None if account is None else account.left()

    @property
    def log(self) -> "structlog.stdlib.BoundLogger":
        """A logger that knows the agent and the message."""
        return logger().bind(agent=self.address, message_id=self.message_id)

    @property
    def invocation(self) -> "Origin":
        """What stands for the handler in the waits graph; a handler may have two contexts."""
        return self

    def begin_wait(self, call: "Call") -> None:
        """Take note that the handler waits for *call* from now on; on the mesh's loop."""
        if self.waits is None:
            self.waits = [call]
        else:
            self.waits.append(call)

    def end_wait(self, call: "Call") -> None:
        """Take note that it does not any more."""
        if self.waits is not None and call in self.waits:
            self.waits.remove(call)

    def _source(self) -> "Origin":
        return self

    def _interior(self) -> "Interior":
        return self.interior

    def _give_reply(self, value: Any) -> None:
        """Answer the asker; on the mesh's loop."""
        self.has_replied = True
        self.interior.router.reply(self.envelope, Outcome(value))
