"""What somebody waits for: asks, and tells without room. Each ends exactly once.

A call lives on the mesh's loop. Whoever waits does so on a future of his own (`gateway`), so a call does not know
whether a task of this loop, a task of another loop, or a thread is behind it.
"""

from typing import TYPE_CHECKING

from ceylon.core.timers import Timer
from ceylon.errors import AskTimeoutError, BudgetError, CeylonError
from ceylon.messages import Envelope, Outcome

if TYPE_CHECKING:
    from ceylon.core.backend import Sink
    from ceylon.core.budgets import Account
    from ceylon.core.cell import Cell
    from ceylon.core.findings import WaitKind
    from ceylon.core.ledger import Reason
    from ceylon.core.origin import Origin
    from ceylon.core.router import Router
    from ceylon.core.waits import Groups, WaitsGraph

__all__ = ["AskCall", "Call", "ParkedCall", "TellCall"]


class Call(Timer):
    """Something under way that ends in one outcome: by itself, by its time, or because nobody waits any more."""

    __slots__ = ("_future", "_router", "is_settled")

    def __init__(self, router: "Router", future: "Sink") -> None:
        super().__init__()
        self._router = router
        self._future = future
        self.is_settled = False

    def settle(self, outcome: Outcome) -> bool:
        """End with *outcome*; say no if it had ended already."""
        if self.is_settled:
            return False
        self.is_settled = True
        if not self._future.done():
            self._future.set_result(outcome)
        return True

    def fail(self, error: BaseException) -> bool:
        """End with *error*."""
        return self.settle(Outcome(error=error))

    def cancel(self) -> None:
        """Nobody waits any more."""
        self.is_settled = True

    @property
    def wanted(self) -> "WaitKind | None":
        """What whoever waits for this waits for just now; `None`: nobody does."""
        return "reply"

    def groups(self, graph: "WaitsGraph") -> "Groups[Origin]":  # noqa: ARG002 – of those that know more
        """Return what the end of this waits for; see `waits`."""
        return ()


class ParkedCall(Call):
    """A call whose envelope may have to wait before a full mailbox. `source`: the handler that waits, if one does."""

    __slots__ = ("cell", "envelope", "source")

    cell: "Cell"
    envelope: Envelope
    source: "Origin | None"

    def admitted(self) -> None:
        """There was room: the envelope is in the mailbox."""
        self._router.accepted(self.cell, self.envelope)

    def refused(self, reason: "Reason", error: CeylonError) -> None:
        """There will never be room: the agent has stopped."""
        self._router.dead_letters.add(self.envelope, reason)
        self.fail(error)

    def groups(self, graph: "WaitsGraph") -> "Groups[Origin]":
        """See `Call.groups`."""
        return graph.of_envelope(self.cell, self.envelope)


class AskCall(ParkedCall):
    """An ask, from its first attempt at the mailbox to its reply. It fires when its deadline passes."""

    __slots__ = ("began",)

    began: float  # seconds on the mesh's clock; of one that has a deadline

    def __init__(
        self, router: "Router", future: "Sink", envelope: Envelope, cell: "Cell", source: "Origin | None"
    ) -> None:
        # Written out, not through super(), and without what is never read: every ask pays for it.
        self.is_armed = self.is_settled = False
        self._router = router
        self._future = future
        self.envelope = envelope
        self.cell = cell
        self.source = source

    def begin_wait(self, source: "Origin") -> None:
        """Take note that *source*, which asks, waits from now on."""
        source.begin_wait(self)

    def rest(self) -> None:
        """Hear that the handler rests, whose time stands still; see `pauses`."""

    def go_on(self) -> None:
        """Hear that it goes on."""

    def settle(self, outcome: Outcome) -> bool:
        """See `Call.settle`; the deadline is taken back."""
        if self.is_settled:
            return False
        self.is_settled = True
        router = self._router
        router.calls.pop(self.envelope.id, None)
        if self.is_armed:  # `Timers.cancel`, a call less
            self.is_armed = False
            if router.timers.new.pop(self, None) is None:
                router.timers.cancel_old()
        if self.source is not None:
            self.source.end_wait(self)
        if self.cell.guests:
            router.lending.take_back(self)
        if not self._future.done():
            self._future.set_result(outcome)
        return True

    def fire(self) -> None:
        """End by the deadline: what still waits expires, what runs is cancelled.

        A pause takes the deadline back, and may set a later one; see `pauses`.
        """
        if not self.is_settled:
            deadline = self.envelope.deadline
            if deadline is None or deadline > self._router.driver.now():
                if deadline is not None:
                    self._router.timers.add(deadline, self)
                return
            self._router.withdraw(self.envelope, self.cell, "expired")
            if self.envelope.budget is not None and self._ends_by_budget(self.envelope.budget):
                return
            given = deadline - self.began
            number = self._router.name(self.envelope.id)
            self.fail(AskTimeoutError(self.envelope.recipient, round(max(given, 0.0), 3), number))

    def _ends_by_budget(self, account: "Account") -> bool:
        """End because the run's time is over, if it is that."""
        try:
            account.check_time()
        except BudgetError as error:
            return self.fail(error)
        return False

    def cancel(self) -> None:
        """Let go, because the asker has left."""
        if not self.is_settled:
            self.is_settled = True
            self._router.calls.pop(self.envelope.id, None)
            self._router.timers.cancel(self)
            if self.source is not None:
                self.source.end_wait(self)
            if self.cell.guests:
                self._router.lending.take_back(self)
            self._router.withdraw(self.envelope, self.cell, "cancelled")


class TellCall(ParkedCall):
    """A tell that found no room. It fires when the sender has waited long enough."""

    __slots__ = ("_waited",)

    def __init__(
        self,
        router: "Router",
        future: "Sink",
        envelope: Envelope,
        cell: "Cell",
        source: "Origin | None",
        waited: float,
    ) -> None:
        super().__init__(router, future)
        self.envelope, self.cell, self.source, self._waited = envelope, cell, source, waited
        if source is not None:
            source.begin_wait(self)

    def settle(self, outcome: Outcome) -> bool:
        """See `Call.settle`; the sender's patience is taken back."""
        self._let_go()
        return super().settle(outcome)

    def admitted(self) -> None:
        """See `ParkedCall`; that is all a tell waits for."""
        super().admitted()
        self.settle(Outcome())

    @property
    def wanted(self) -> "WaitKind | None":
        """See `Call.wanted`."""
        return "room"

    def fire(self) -> None:
        """There was none in time."""
        if not self.is_settled and self.cell.unpark(self.envelope):
            error = self.cell.why_full(self._waited)
            self._router.refuse_full(self.envelope)
            self.fail(error)

    def cancel(self) -> None:
        """Let go, because the sender has left; what was not in the mailbox never will be."""
        if not self.is_settled:
            self.is_settled = True
            self._let_go()
            self.cell.unpark(self.envelope)

    def groups(self, graph: "WaitsGraph") -> "Groups[Origin]":
        """See `Call.groups`; a tell waits for room, and for nothing that comes after."""
        return graph.of_room(self.cell, self.envelope)

    def _let_go(self) -> None:
        self._router.timers.cancel(self)
        if self.source is not None:
            self.source.end_wait(self)
