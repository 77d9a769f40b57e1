"""A publication that waits before the full mailboxes of a group: the first that has room gets it."""

from typing import TYPE_CHECKING

from ceylon.core.calls import Call, ParkedCall
from ceylon.core.ledger import Reason
from ceylon.errors import CeylonError, DeadlockError
from ceylon.messages import Outcome

if TYPE_CHECKING:
    from ceylon.core.cell import Cell
    from ceylon.core.findings import WaitKind
    from ceylon.core.origin import Origin
    from ceylon.core.publication import Publication
    from ceylon.core.router import Router
    from ceylon.core.topic_index import Member
    from ceylon.core.waits import Groups, WaitsGraph
    from ceylon.messages import Envelope

__all__ = ["GroupCall", "Stand"]


class Stand(ParkedCall):
    """Its place in the line before one of those mailboxes."""

    __slots__ = ("_whole", "member")

    def __init__(self, router: "Router", whole: "GroupCall", member: "Member", envelope: "Envelope") -> None:
        super().__init__(router, whole.publication)  # which hears of the whole only
        self.envelope, self.source, self.member, self._whole = envelope, None, member, whole

    def admitted(self) -> None:
        """See `ParkedCall`; the others need it no more."""
        self._whole.leave_others(self)
        super().admitted()
        self._whole.was_admitted(self.member)

    @property
    def wanted(self) -> "WaitKind | None":
        """See `Call.wanted`."""
        return "room"

    def refused(self, reason: Reason, error: CeylonError) -> None:
        """Go on without this one, which has stopped; there may be others."""
        self._whole.lost(self, reason, error)


class GroupCall(Call):
    """The whole of it, which ends once. It fires when the publisher has waited long enough."""

    __slots__ = ("_name", "_source", "_stands", "_until", "_waited", "publication")

    def __init__(
        self,
        router: "Router",
        publication: "Publication",
        source: "Origin | None",
        name: str,
        until: float | None,
    ) -> None:
        super().__init__(router, publication)
        self.publication, self._source, self._name = publication, source, name
        self._waited = router.settings.tell_timeout
        self._until = router.driver.now() + self._waited if until is None else until
        self._stands: list[Stand] = []

    @property
    def envelope(self) -> "Envelope":
        """Any of the envelopes that wait; the others differ in their recipients."""
        return self._stands[0].envelope

    @property
    def wanted(self) -> "WaitKind | None":
        """See `Call.wanted`."""
        return "room"

    def stand_before(self, member: "Member", envelope: "Envelope", cell: "Cell") -> None:
        """Wait at the full mailbox of *cell*, which is *member*'s, too, if that could ever end."""
        if envelope.sender == cell.address or self._would_never_end(cell, envelope):
            return
        stand = Stand(self._router, self, member, envelope)
        stand.cell = cell
        self._stands.append(stand)

    def _would_never_end(self, cell: "Cell", envelope: "Envelope") -> bool:
        if self._source is None:
            return False
        waits = self._router.waits
        try:
            waits.check(self._source, waits.of_room(cell, envelope), cell.address)
        except DeadlockError:
            return True
        return False

    def begin(self) -> bool:
        """Begin to wait; say no if there is nobody to wait for."""
        if not self._stands:
            return False
        for stand in self._stands:
            stand.cell.park(stand)
        self._router.timers.add(self._until, self)
        if self._source is not None:
            self._source.begin_wait(self)
        return True

    def leave_others(self, admitted: Stand) -> None:
        """Wait nowhere else."""
        for stand in self._stands:
            if stand is not admitted:
                stand.cell.unpark(stand.envelope)

    def was_admitted(self, member: "Member") -> None:
        """End, because it is in the mailbox of *member*."""
        self.publication.was_admitted(member)
        self.settle(Outcome())

    def lost(self, stand: Stand, reason: Reason, error: CeylonError) -> None:
        """Wait for the others; if there is none any more, see who is in the group by now."""
        if len(self._stands) > 1:
            self._stands.remove(stand)
            return
        if not self.publication.offer_again(self._name, self._until):
            self._router.dead_letters.add(stand.envelope, reason)
        self.fail(error)

    def fire(self) -> None:
        """End, because nobody had room in time."""
        if not self.is_settled:
            first = self._stands[0]
            self._leave_all()
            self._router.refuse_full(first.envelope)
            self.fail(first.cell.why_full(self._waited))

    def settle(self, outcome: Outcome) -> bool:
        """See `Call.settle`; the publisher's patience is taken back."""
        self._let_go()
        return super().settle(outcome)

    def cancel(self) -> None:
        """Let go, because the publisher has left."""
        if not self.is_settled:
            self.is_settled = True
            self._let_go()
            self._leave_all()

    def groups(self, graph: "WaitsGraph") -> "Groups[Origin]":
        """See `Call.groups`; whichever of all those handlers goes on first may make room."""
        several = [graph.of_room(stand.cell, stand.envelope) for stand in self._stands]
        if not all(several):
            return ()
        return ([origin for groups in several for group in groups for origin in group],)

    def _leave_all(self) -> None:
        for stand in self._stands:
            stand.cell.unpark(stand.envelope)

    def _let_go(self) -> None:
        self._router.timers.cancel(self)
        if self._source is not None:
            self._source.end_wait(self)
