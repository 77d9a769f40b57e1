"""Who waits for whom, and which wait could never end.

The nodes are invocations: handlers under way, each with the waits it has open. An invocation waits for all of them. An
envelope in a mailbox waits for any slot of its agent, that is for any of the invocations that hold one. A wait is
refused if it could never end: if no order of events lets its invocation go on. That is asked once, when a wait begins,
because nothing else can close a cycle; and not even then if the receiver has a slot free.

"The receiver is among the askers" is neither enough (two chains may cross) nor right (it may have other slots): with
more than one slot an agent 94 % of its alarms were false.
"""

import itertools
from collections import deque
from collections.abc import Callable, Collection, Hashable, Iterator
from typing import TYPE_CHECKING, Final, Generic, TypeAlias, TypeVar

from ceylon.core.stream_calls import StreamCall
from ceylon.errors import DeadlockError
from ceylon.messages import STREAM

if TYPE_CHECKING:
    from ceylon.core.cell import Cell
    from ceylon.core.origin import Origin
    from ceylon.core.router import Router
    from ceylon.messages import Envelope

__all__ = ["Groups", "WaitsGraph", "can_end", "cycle"]

Node = TypeVar("Node", bound=Hashable)

Groups: TypeAlias = Collection[Collection[Node]]
"""What a node waits for: of every group one member has to end. No group: it waits for nothing."""

_MOST: Final = 32  # agents that a path in an error names
_FEW: Final = 8  # handlers of which all combinations may be looked at


# -- the rule, for nodes of any kind -----------------------------------------------------------------------------------


def can_end(origin: Node, wanted: Groups[Node], groups_of: Callable[[Node], Groups[Node]]) -> bool:
    """Say whether *origin*, if it waits for *wanted* as well, can ever go on.

    That is the least fixpoint of: a node ends once of each of its groups a member has ended. Every node and every edge
    is looked at once.
    """
    open_groups: dict[Node, int] = {}  # of each node met: in how many of its groups nobody has ended
    waiting: dict[Node, list[_Group[Node]]] = {}  # by member
    to_visit, ended = deque([origin]), deque[Node]()
    while to_visit:
        node = to_visit.popleft()
        if node in open_groups:
            continue
        groups = [*groups_of(node), *wanted] if node == origin else groups_of(node)
        open_groups[node] = len(groups)
        if not groups:
            ended.append(node)
        for members in groups:
            group = _Group(node)
            for member in members:
                waiting.setdefault(member, []).append(group)
                to_visit.append(member)
    while ended:
        for group in waiting.pop(ended.popleft(), ()):
            if group.end_one():
                open_groups[group.owner] -= 1
                if not open_groups[group.owner]:
                    ended.append(group.owner)
    return not open_groups[origin]


class _Group(Generic[Node]):
    """Members of which one has to end before the owner does."""

    __slots__ = ("is_settled", "owner")

    def __init__(self, owner: Node) -> None:
        self.owner = owner
        self.is_settled = False

    def end_one(self) -> bool:
        """Take note that a member has ended; say whether it is the first."""
        was_settled, self.is_settled = self.is_settled, True
        return not was_settled


def cycle(origin: Node, wanted: Groups[Node], groups_of: Callable[[Node], Groups[Node]]) -> list[Node]:
    """Return the nodes on a way from what *origin* wants back to itself, or as far as it leads, itself last."""
    came_from: dict[Node, Node | None] = {member: None for group in wanted for member in group}
    to_visit = deque(came_from)
    while to_visit:
        node = to_visit.popleft()
        if node == origin:
            break
        for group in groups_of(node):
            for member in group:
                if member not in came_from:
                    came_from[member] = node
                    to_visit.append(member)
    path: list[Node] = []
    at: Node | None = origin if origin in came_from else None
    while at is not None:
        path.append(at)
        at = came_from[at]
    return path[::-1] or [origin]


# -- the waits of a mesh -----------------------------------------------------------------------------------------------


class WaitsGraph:
    """The graph of one mesh. It is kept nowhere: mailboxes, slots and calls are it."""

    def __init__(self, router: "Router") -> None:
        self._router = router

    # -- refusing ------------------------------------------------------------------------------------------------------

    def check(self, source: "Origin", wanted: "Groups[Origin]", target: str) -> None:
        """Refuse to let *source* wait for *wanted*, something of the agent at *target*, if it could never end.

        Raises:
            DeadlockError: it could not; the path is in it.
        """
        source = source.invocation
        if not _may_be_closed(source, wanted) or can_end(source, wanted, self.groups_of):
            return
        self._router.dispatcher.hear_threads()  # one may have ended what somebody seems to wait for, and gone on
        if can_end(source, wanted, self.groups_of):
            return
        path = [each.address for each in cycle(source, wanted, self.groups_of)]
        raise DeadlockError((*path[:_MOST], target))

    def check_credit(self, call: "StreamCall") -> None:
        """Do the same for the handler behind *call*, which is to wait until its consumer takes a part."""
        producer = call.cell.invocation(call.envelope.id)
        if producer is not None and call.source is not None:
            self.check(producer, _consumer(call), call.source.address)

    # -- the edges -----------------------------------------------------------------------------------------------------

    def groups_of(self, origin: "Origin") -> "Groups[Origin]":
        """Return what an invocation waits for, over all its waits."""
        groups = [group for call in origin.waits or () for group in call.groups(self)]
        if origin.envelope.kind is STREAM:
            call = self._router.calls.get(origin.envelope.id)
            if isinstance(call, StreamCall) and call.channel.is_waiting_for_consumer:
                groups += _consumer(call)
        return groups

    def of_envelope(self, cell: "Cell", envelope: "Envelope") -> "Groups[Origin]":
        """Return what the end of *envelope* waits for: its handler, or a slot for it."""
        handler = cell.invocation(envelope.id)
        if handler is not None:
            return ((handler,),)
        if any(lease.envelope.id == envelope.id for lease in cell.leases or ()):
            return ()  # its thread has not come to it yet, and will
        groups = self.of_mailbox(cell, envelope)
        return groups if envelope.id in self._router.open else [*self.of_room(cell, envelope), *groups]

    def of_new(self, cell: "Cell", envelope: "Envelope", source: "Origin", lender: int) -> "Groups[Origin]":
        """Return what *envelope*, which *source* is to send, is going to wait for; *lender* will lend it a slot."""
        if not lender:
            groups = self.of_mailbox(cell, envelope)
            return groups if cell.has_room() else [*self.of_room(cell, envelope), *groups]
        slots = cell.slots + (lender not in (cell.loans or ()))
        key = self._of_key(cell, envelope, lender if source.envelope.id == lender else 0)
        return [*key, *self._of_slots(cell, slots, has_loan=True)]

    def of_mailbox(self, cell: "Cell", envelope: "Envelope") -> "Groups[Origin]":
        """Return what *envelope* waits for in the mailbox of *cell*, or before it."""
        if not cell.state.handles_mail:
            return cell.held_up_by()
        return [*self._of_key(cell, envelope), *self._of_slots(cell, cell.slots, has_loan=cell.is_on_loan(envelope))]

    def of_room(self, cell: "Cell", envelope: "Envelope") -> "Groups[Origin]":
        """Return what *envelope* waits for before the full mailbox of *cell*: that enough before it are taken."""
        if not cell.state.handles_mail:
            return self.of_mailbox(cell, envelope)
        groups = self._of_slots(cell, cell.slots, has_loan=False)
        if cell.busy_keys:
            before = [*cell.mail, *itertools.takewhile(lambda it: it is not envelope, _parked(cell))]
            held = [group for each in before for group in self._of_key(cell, each)]
            few = held if len(held) <= _FEW else held[: cell.capacity]
            # Of every so many that are held one has to go on, or they fill the mailbox.
            groups += [[*itertools.chain(*some)] for some in itertools.combinations(few, cell.capacity)]
        return groups

    def _of_key(self, cell: "Cell", envelope: "Envelope", lender: int = 0) -> "Groups[Origin]":
        """Return what *envelope* waits for because its conversation is busy; *lender* lends his, to one at a time."""
        if not cell.busy_keys:
            return ()
        key = cell.agent.__ceylon_serial_key__(envelope)
        if key is None or key not in cell.busy_keys:
            return ()
        guests, owner = cell.guests or {}, cell.busy_keys[key]
        if envelope.id in guests and guests[envelope.id][1] is not None:
            lender = guests[envelope.id][0]
        under_way = cell.under_way or {}
        if lender == owner:
            holding = [each for each in under_way.values() if guests.get(each.envelope.id) == (lender, key)]
        else:
            holding = [under_way[owner]] if owner in under_way else []
        return (holding,) if holding else ()

    def _of_slots(self, cell: "Cell", slots: int, *, has_loan: bool) -> "list[Collection[Origin]]":
        """Return what an envelope waits for because the *slots* of *cell* are in use; nobody if one will be free."""
        under_way = cell.under_way or {}
        if not cell.leases and not cell.loans and len(under_way) <= slots:  # as ever, and without copies
            return [under_way.values()] if len(under_way) == slots else []
        held: list[tuple[int, Origin | None]] = [*under_way.items()]
        held += [(lease.envelope.id, lease.context if lease.is_blocked else None) for lease in cell.leases or ()]
        in_use = len(held)
        if cell.loans and not has_loan:  # what runs on a loan, alone, frees no slot for others
            lenders = cell.lenders([number for number, _ in held])
            alone = [number for number, lender in lenders.items() if list(lenders.values()).count(lender) == 1]
            held = [each for each in held if each[0] not in alone]
            slots, in_use = slots - len(cell.loans), in_use - len(set(lenders.values()))
        holders = [origin for _, origin in held if origin is not None]
        in_use -= len(held) - len(holders)  # threads that run will end
        # Fewer than slots though all are in use: one changes hands just now. More: a loan was taken back too late.
        if in_use < slots:
            return []
        return [*itertools.combinations(holders, slots)] if slots < len(holders) == in_use <= _FEW else [holders]


def _parked(cell: "Cell") -> "Iterator[Envelope]":
    return (call.envelope for call in cell.parked or ())


def _consumer(call: "StreamCall") -> "Groups[Origin]":
    """Return whose progress gives *call* new credit: whoever takes the parts; if he has ended, he waits for nothing."""
    return ((call.source.invocation,),) if call.source is not None else ()


def _may_be_closed(source: "Origin", wanted: "Groups[Origin]") -> bool:
    """Say whether a closer look is needed: of some group every member waits for something itself."""
    return any(all(each is source or each.waits or each.envelope.kind is STREAM for each in group) for group in wanted)
