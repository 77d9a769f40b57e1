"""An agent's place in a mesh: its mailbox, its slots, its state and its counters.

The dispatcher and the thread pool move envelopes through it; the agent itself knows nothing of it.
"""

import contextlib
import enum
from collections import deque
from typing import TYPE_CHECKING

from ceylon.core.ledger import AgentStatistics
from ceylon.core.life import Life
from ceylon.errors import MailboxFullError
from ceylon.messages import Envelope

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Hashable

    from ceylon.core.calls import ParkedCall
    from ceylon.core.handlers import Behaviour
    from ceylon.core.keeping import Keeping
    from ceylon.core.leases import Lease
    from ceylon.core.lifecycle import Lifecycle
    from ceylon.core.origin import Origin
    from ceylon.core.ports import AgentLike, AgentOptions, Directive
    from ceylon.core.waits import Groups

__all__ = ["Cell", "State"]


class State(enum.Enum):
    """Where an agent is in its life: whether its mailbox takes envelopes, and whether they are handled."""

    STARTING = ("starting", True, False)
    RUNNING = ("running", True, True)
    RESTARTING = ("restarting", True, False)
    WAITING = ("waiting", True, False)  # a keyed agent's, for a place in its family; it has no instance yet
    LEAVING = ("leaving", True, False)  # a keyed agent's: what comes now is the next instance's
    HALTED = ("halted", False, False)  # the mesh is about to stop it
    STOPPING = ("stopping", False, False)
    STOPPED = ("stopped", False, False)

    def __init__(self, label: str, takes_mail: bool, handles_mail: bool) -> None:  # noqa: FBT001 – a table's columns
        self.label, self.takes_mail, self.handles_mail = label, takes_mail, handles_mail


class Cell:
    """One agent in one mesh. Everything here changes on the mesh's loop only, but for what a lease has taken.

    `mail` is made at the first envelope: an empty deque is 620 bytes, more than all the rest of an idle agent. One of
    many agents gives it back after the last.
    `parked` holds the envelopes whose senders wait for room, in order.
    """

    __slots__ = (
        "accepted",
        "address",
        "agent",
        "behaviour",
        "busy_keys",
        "cancelled",
        "capacity",
        "completed",
        "dead_lettered",
        "expired",
        "failed",
        "guests",
        "is_listed",
        "is_thrifty",
        "keeps_keys",
        "leases",
        "life",
        "loans",
        "mail",
        "options",
        "parent",
        "parked",
        "restarts",
        "running",
        "slots",
        "state",
        "under_way",
    )

    restores: bool = False  # whether an instance here wants a state before it starts; a keyed one may

    def __init__(
        self, address: str, agent: "AgentLike", behaviour: "Behaviour", options: "AgentOptions", capacity: int
    ) -> None:
        self.address = address
        self.agent = agent
        self.behaviour = behaviour
        self.options = options
        self.capacity = capacity if options.mailbox_capacity is None else options.mailbox_capacity
        self.slots = options.concurrency
        # The latter two may get more slots later, for some time.
        self.keeps_keys = self.slots > 1 or options.takes_keys or options.reentrant
        self.mail: deque[Envelope] | tuple[()] = ()
        self.parked: deque[ParkedCall] | None = None
        self.parent: Cell | None = None  # of the agent that spawned this one
        self.state = State.STARTING
        self.is_listed = False  # among the dispatcher's ready cells
        self.is_thrifty = False  # one of so many that an empty mailbox is not worth its memory
        self.running = 0  # slots in use
        self.under_way: dict[int, Origin] | None = None  # the handlers in them by envelope id, but for those in leases
        self.busy_keys: dict[Hashable, int] | None = (
            None  # conversations with a handler under way, and of which envelope
        )
        self.leases: list[Lease] | None = None
        self.life: Life | None = None
        self.loans: dict[int, int] | None = None  # handlers that lend their slot, by envelope id: to how many asks
        self.guests: dict[int, tuple[int, Hashable | None]] | None = None  # on loan: from whom, with which conversation
        self.restarts = 0
        self.accepted = self.completed = self.failed = self.dead_lettered = self.expired = self.cancelled = 0

    def __repr__(self) -> str:
        return f"<Cell {self.address!r} {self.state.label} {len(self.mail)} waiting {self.running} running>"

    def have_life(self) -> "Life":
        """Return the record of what only some agents have, made at its first use."""
        if self.life is None:
            self.life = Life()
        return self.life

    # -- what some places have their own way of ------------------------------------------------------------------------

    def rebuilt(self) -> "AgentLike":
        """Return a new instance for this place, made as the present one was."""
        return self.agent.__ceylon_rebuild__()

    async def end(self, lifecycle: "Lifecycle", until: float | None) -> BaseException | None:
        """End the agent because somebody wants that; return what they are to be told."""
        await lifecycle.stop(self, until=until)
        return None

    def left(self) -> None:
        """Hear that the agent is out of the mesh."""

    async def load(self, keeping: "Keeping") -> BaseException | None:  # noqa: ARG002 – of those that keep states
        """Give a new instance the state that one before it has left; return what is raised."""
        return None

    async def save(self, keeping: "Keeping") -> None:
        """Keep the state of an instance that has to end."""

    def lose(self, keeping: "Keeping") -> None:
        """Say what state is lost, because the instance ends here and now."""

    def failed_late(self, decide: "Callable[[], Directive]") -> None:
        """Hear that a handler failed when the end had begun already; *decide* asks the supervisor about it."""

    def why_full(self, waited: float = 0.0) -> MailboxFullError:
        """Return what a sender is told who has found no room for *waited* seconds."""
        return MailboxFullError(self.address, self.capacity, waited)

    def held_up_by(self) -> "Groups[Origin]":
        """Return what an envelope waits for while nothing is handled: the hooks that are under way."""
        hooks = self.life.hooks if self.life is not None and self.state.takes_mail else ()
        return [(hook,) for hook in hooks]

    # -- the mailbox ---------------------------------------------------------------------------------------------------

    def has_room(self) -> bool:
        """Say whether an envelope could be put in now without overtaking one that waits for room."""
        return len(self.mail) < self.capacity and not self.parked

    def put_next(self, envelope: Envelope, is_next: "Callable[[Envelope], bool]") -> None:
        """Put *envelope* in front, behind those there that *is_next* says the same of; it needs no room."""
        with self._still():
            at = 0
            while at < len(self.mail) and is_next(self.mail[at]):
                at += 1
            self.put(envelope)
            if at < len(self.mail) - 1:
                self.mail.insert(at, self.mail.pop())  # type: ignore[union-attr]

    def put(self, envelope: Envelope) -> None:
        """Put *envelope* at the end; the caller has asked for room."""
        try:
            self.mail.append(envelope)  # type: ignore[union-attr]
        except AttributeError:  # the first one
            self.mail = deque((envelope,))
        self.accepted += 1

    def park(self, call: "ParkedCall") -> None:
        """Put the envelope of *call* in as soon as there is room."""
        if self.parked is None:
            self.parked = deque()
        self.parked.append(call)

    def unpark(self, envelope: Envelope) -> bool:
        """Take back what `park` was asked for; say whether it had not happened yet."""
        for call in self.parked or ():
            if call.envelope is envelope:
                self.parked.remove(call)  # type: ignore[union-attr]
                return True
        return False

    def admit(self) -> None:
        """Let in whoever waits for room, as far as there is room."""
        while self.parked and len(self.mail) < self.capacity:
            call = self.parked.popleft()
            self.put(call.envelope)
            call.admitted()

    def discard(self, envelope: Envelope) -> bool:
        """Take *envelope* out of the mailbox; say whether it was still there."""
        try:
            self.mail.remove(envelope)  # type: ignore[union-attr]
        except (ValueError, AttributeError):
            return False
        self.admit()
        return True

    def ticked(self) -> None:
        """Take note that what it has just accepted is one of its own ticks."""

    def rest(self) -> None:
        """Give back what an idle agent does not need; no thread holds a lease on it, and the mailbox is empty."""
        self.mail = ()
        if not self.under_way:
            self.under_way = None

    def take_allowed(self) -> Envelope | None:
        """Take the first envelope that has a slot, its own or one that is lent to it, and whose conversation rests."""
        is_slot_free = not self.loans or self.running - len(
            set(self.lenders(self.inside()).values())
        ) < self.slots - len(self.loans)
        for index, envelope in enumerate(self.mail):
            if (is_slot_free or self.is_on_loan(envelope)) and not self._is_barred(envelope):
                del self.mail[index]  # type: ignore[union-attr]
                self.admit()
                return envelope
        return None

    def lenders(self, inside: "Collection[int]") -> dict[int, int]:
        """Return which of the envelopes *inside* are on loan, and from whom of the others."""
        guests = self.guests or {}
        return {each: guests[each][0] for each in inside if each in guests and guests[each][0] in inside}

    def _is_barred(self, envelope: Envelope) -> bool:
        """Say whether somebody else handles the conversation of *envelope*; the guests of a handler come one by one."""
        if not self.busy_keys:
            return False
        key = self.agent.__ceylon_serial_key__(envelope)
        if key is None or key not in self.busy_keys:
            return False
        guests = self.guests or {}
        loan = guests.get(envelope.id)
        owner = (self.busy_keys[key], key)
        return loan != owner or any(guests.get(each) == owner for each in self.inside())

    def inside(self) -> "set[int]":
        """Return the ids of the envelopes that are in handlers."""
        leased = {lease.envelope.id for lease in self.leases or ()}
        return leased.union(self.under_way or ())

    def invocation(self, envelope_id: int) -> "Origin | None":
        """Return the handler under way for this envelope."""
        if self.under_way and envelope_id in self.under_way:
            return self.under_way[envelope_id]
        for lease in self.leases or ():
            if lease.context is not None and lease.context.envelope.id == envelope_id:
                return lease.context
        return None

    def is_free(self) -> bool:
        """Say whether an envelope that comes now is sure to be handled; a slot on loan is not there for all."""
        return self.running < self.slots and not self.loans and not self.busy_keys and self.state.handles_mail

    # -- loans ---------------------------------------------------------------------------------------------------------

    def lend(self, envelope: Envelope, lender: int, key: "Hashable | None") -> None:
        """Let the handler of *lender* lend its slot, and its conversation *key*, to an ask it waits for."""
        if self.loans is None:
            self.loans, self.guests = {}, {}
        if lender not in self.loans:
            self.slots += 1
        self.loans[lender] = self.loans.get(lender, 0) + 1
        self.guests[envelope.id] = (lender, key)  # type: ignore[index]

    def take_back(self, envelope_id: int) -> None:
        """End such a loan."""
        lender, _ = self.guests.pop(envelope_id)  # type: ignore[union-attr]
        loans = self.loans or {}
        if loans[lender] > 1:
            loans[lender] -= 1
        else:
            self.slots -= 1  # first: a thread that sees no loan any more has to see that there is a slot less
            del loans[lender]

    def is_guest(self, envelope: Envelope) -> bool:
        """Say whether a slot has been lent to *envelope*, or still is."""
        return bool(self.guests) and envelope.id in self.guests  # type: ignore[operator]

    def is_on_loan(self, envelope: Envelope) -> bool:
        """Say whether a handler that is under way lends its slot to *envelope*."""
        return self.is_guest(envelope) and self.invocation(self.guests[envelope.id][0]) is not None  # type: ignore[index]

    def has_lent_key(self, envelope: Envelope) -> bool:
        """Say whether *envelope* is handled as part of a conversation that is another handler's."""
        return self.is_guest(envelope) and self.guests[envelope.id][1] is not None  # type: ignore[index]

    # -- counting ------------------------------------------------------------------------------------------------------

    def pending(self) -> int:
        """Count the envelopes in the mailbox and in running handlers."""
        if not self.leases:
            return len(self.mail) + self.running
        with self._still():
            held = sum(lease.held for lease in self.leases)
            return len(self.mail) + self.running - len(self.leases) + held

    @contextlib.contextmanager
    def _still(self) -> "Generator[None]":
        """Keep threads from taking envelopes meanwhile."""
        with contextlib.ExitStack() as locks:
            for lease in self.leases or ():
                locks.enter_context(lease.lock)
            yield

    def is_balanced(self) -> bool:
        """Say whether the one law holds."""
        return self.statistics().is_balanced

    def statistics(self) -> AgentStatistics:
        """Return the counters as they are now."""
        return AgentStatistics(
            address=self.address,
            state=self.state.label,
            accepted=self.accepted,
            completed=self.completed,
            failed=self.failed,
            dead_lettered=self.dead_lettered,
            expired=self.expired,
            cancelled=self.cancelled,
            pending=self.pending(),
            restarts=self.restarts,
            parent=self.parent.address if self.parent is not None else "",
        )
