"""Something published, on its way to each of some and to one of every group.

It waits for room in full mailboxes, in all of them at the same time, at most as long as a tell does; and for those only
whose subscription, and the publication itself, say ``"wait"``. Where one of a group is to have it, it stands before all
the group's mailboxes and goes into the first that has room.
"""

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ceylon.core.calls import Call
from ceylon.core.group_calls import GroupCall
from ceylon.core.topic_index import Member
from ceylon.errors import CeylonError
from ceylon.messages import TELL, Outcome

if TYPE_CHECKING:
    from ceylon.core.backend import Sink
    from ceylon.core.cell import Cell
    from ceylon.core.origin import Origin
    from ceylon.core.router import Router
    from ceylon.core.subscriptions import Subscriptions
    from ceylon.core.topic_index import Members
    from ceylon.messages import Envelope

__all__ = ["Publication"]

_REFUSED: Final = (CeylonError, ValueError)
"""What a delivery may raise; a dead letter, or the mesh's end, says so."""

_TurnedAway: TypeAlias = "tuple[Member, Envelope, Cell]"


class Publication(Call):
    """Something published, until every subscriber has it or does not get it; ends with the number that have it.

    It stands for the future of each tell that waits for room.
    """

    __slots__ = ("_open", "_received", "_subscriptions", "_waiting", "_what", "waits")

    def __init__(
        self,
        router: "Router",
        subscriptions: "Subscriptions",
        future: "Sink",
        what: "tuple[str | None, Any, Origin | None]",
        *,
        waits: bool,
    ) -> None:
        super().__init__(router, future)
        self._subscriptions, self._what, self.waits = subscriptions, what, waits
        self._open = 1  # ends with `set_result`, as each tell that waits does
        self._received = -1  # which that first end counts
        self._waiting: list[Call] = []

    def envelope_to(self, address: str) -> "Envelope":
        """Return what is published on its way to *address*."""
        topic, message, source = self._what
        return self._router.envelope(TELL, source, address, message, topic)

    def offer(self, address: str, *, waits: bool) -> bool:
        """Deliver it to *address*, now or, if it *waits*, as soon as there is room; say no if it was refused."""
        envelope = self.envelope_to(address)
        try:
            full = self._router.deliver(envelope)
        except _REFUSED:
            return False
        if full is None:
            self._received += 1
            return True
        if not waits:
            self._router.refuse_full(envelope)
            return False
        self._open += 1
        call = self._router.wait_for_room(envelope, full, self, self._what[2])
        if call is None:
            return False
        self._waiting.append(call)
        return True

    def offer_group(self, name: str, group: "list[Members]", until: float | None = None) -> None:
        """Deliver it to one of *group*, now or, if that may be, as soon as one has room.

        Args:
            name: Of the group.
            group: Its members.
            until: When it is too late to wait, if somebody waits already.
        """
        passed, full, turned = set[str](), list[Member](), list[_TurnedAway]()
        while (member := self._next(group, passed, full)) is not None:
            passed.add(member.address)
            if self._put(member, turned):
                return
        patient, known = [member for member in full if self.waits and member.waits], len(turned)
        if any(self._put(member, turned) for member in patient):
            return
        is_said = len(turned) - known < len(patient)  # by the dead letter of one that was refused
        call = GroupCall(self._router, self, self._what[2], name, until)
        for member, envelope, cell in turned:
            if self.waits and member.waits:
                call.stand_before(member, envelope, cell)
        if call.begin():
            self._open += 1
            self._waiting.append(call)
        elif not is_said and (turned or full):
            self._router.refuse_full(turned[0][1] if turned else self.envelope_to(full[0].address))

    def _put(self, member: "Member", turned: "list[_TurnedAway]") -> bool:
        """Deliver it to *member*; say whether it has it, or is one more of those *turned* away by a full mailbox."""
        envelope = self.envelope_to(member.address)
        try:
            cell = self._router.deliver(envelope)
        except _REFUSED:
            return False
        if cell is not None:
            turned.append((member, envelope, cell))
            return False
        self._subscriptions.was_served(member)
        self._received += 1
        return True

    def _next(self, group: "list[Members]", passed: set[str], full: "list[Member]") -> "Member | None":
        """Return whose turn it is of those that are there; those of *full* would have to wait.

        It looks anew each time: a delivery may run code that subscribes.
        """
        find, knows = self._router.find, self._router.knows
        full.clear()
        gone: Member | None = None
        for member in self._subscriptions.in_turn(group):
            cell = find(member.address)
            if member.address in passed:
                continue
            if not knows(member.address):
                gone = gone or member
            elif cell is None or cell.has_room():  # one that is made for it, or of a pool
                return member
            else:
                full.append(member)
        return None if full or passed else gone  # nobody at all: a dead letter is to say so

    def was_admitted(self, member: "Member") -> None:
        """Take note that *member* of a group had room."""
        self._subscriptions.was_served(member)

    def offer_again(self, name: str, until: float) -> bool:
        """Deliver it to one of the group as that is by now; say no if nobody is there."""
        topic = self._what[0]
        group = self._subscriptions.receivers(topic).groups.get(name) if topic is not None else None
        if not group or not any(self._router.knows(member.address) for member in self._subscriptions.in_turn(group)):
            return False
        self.offer_group(name, group, until)
        return True

    def done(self) -> bool:
        """Say no: every tell's outcome counts."""
        return False

    def set_result(self, outcome: Any, /) -> None:
        """Count one tell as ended."""
        self._open -= 1
        self._received += outcome.error is None
        if not self._open:
            self.settle(Outcome(self._received))

    def cancel(self) -> None:
        """Let go, because the publisher has left; what still waits for room never gets it, as with a tell."""
        super().cancel()
        for call in self._waiting:
            call.cancel()
