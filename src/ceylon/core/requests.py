"""Requests: messages whose replies are fetched later, by whoever has the handle, or the id, or collects them all.

The register belongs to the mesh: whoever submits may be gone when the reply comes. What nobody collects expires, and
is counted; a failure that nobody collects is in the log, once.
"""

from typing import TYPE_CHECKING, Any

from ceylon.core.durations import is_time, no_time
from ceylon.core.kept_results import KeptResults
from ceylon.core.request import Request
from ceylon.core.request_calls import Receipt, RequestWait, RoomCall, SubmitCall
from ceylon.core.tickets import RequestStatistics, Ticket
from ceylon.errors import (
    AskTimeoutError,
    CeylonError,
    DeadlockError,
    RejectedError,
    RequestCancelledError,
    RequestTimeoutError,
    UnknownRequestError,
)
from ceylon.messages import Outcome

if TYPE_CHECKING:
    from ceylon.core.backend import Sink
    from ceylon.core.cell import Cell
    from ceylon.core.interior import Interior
    from ceylon.core.origin import Origin
    from ceylon.messages import Envelope

__all__ = ["Requests"]


class Requests:
    """The register of one mesh; on its loop."""

    def __init__(self, interior: "Interior") -> None:
        self._interior = interior
        self._router = interior.router
        self._settings = interior.settings
        self._pending: dict[str, Ticket] = {}
        self.kept = KeptResults(interior)

    def statistics(self) -> RequestStatistics:
        """Return the counters as they are now."""
        return RequestStatistics(pending=len(self._pending), results=len(self.kept), expired=self.kept.expired)

    # -- submitting ----------------------------------------------------------------------------------------------------

    def submit(
        self, envelope: "Envelope", source: "Origin | None", timeout: float | None, sink: "Sink"
    ) -> RoomCall | None:
        """Deliver *envelope* for *source*, and let *sink* have a `Request` once it is in the mailbox."""
        router = self._router
        try:
            router.let_pass(envelope)
        except RejectedError as error:
            sink.set_result(Outcome(error=error))
            return None
        ticket = Ticket(
            self._interior.message_id(envelope.id), envelope, router.driver.now(), self._interior.sources.now("")
        )
        room = RoomCall(router, sink)
        receipt = Receipt(room, lambda: self._begin(ticket), lambda outcome: self._end(ticket, outcome))
        call = router.submit(envelope, receipt, self._seconds(timeout, source), SubmitCall)
        if call is None:
            return None
        call.receipt, ticket.call = receipt, call
        if envelope.id in router.open:
            receipt.admit()
            return None
        refusal = self._why_not(envelope, call.cell, source)
        if refusal is not None:
            call.cancel()
            router.refuse_full(envelope)
            room.fail(refusal)
            return None
        room.begin(call, source, self._settings.tell_timeout)
        return room

    def _seconds(self, timeout: float | None, source: "Origin | None") -> float:
        """Return the nearer of what was asked for and what is left of the time of *source*."""
        seconds = self._settings.submit_timeout if timeout is None else timeout
        inherited = None if source is None else source.envelope.deadline
        if inherited is None or not is_time(seconds):  # no time at all is refused where asks are
            return seconds
        return min(seconds, max(0.0, inherited - self._router.driver.now()))

    def _why_not(self, envelope: "Envelope", cell: "Cell", source: "Origin | None") -> CeylonError | None:
        """Return why *source* may not wait for room; a tell is told the same."""
        if envelope.sender == cell.address:
            return cell.why_full()
        if source is not None:
            try:
                self._router.waits.check(source, self._router.waits.of_room(cell, envelope), cell.address)
            except DeadlockError as error:
                return error
        return None

    def _begin(self, ticket: Ticket) -> Outcome:
        self._pending[ticket.id] = ticket
        return Outcome(Request[Any](self._interior, ticket))

    def _end(self, ticket: Ticket, outcome: Outcome) -> None:
        """Keep how it ended for those who collect, and tell those who wait."""
        del self._pending[ticket.id], ticket.call  # which would keep the agent
        ticket.end(outcome, self._router.driver.now())
        self.kept.keep(ticket)
        for wait in tuple(ticket.waits):
            wait.one_ended(ticket)
        self.kept.settle()

    def cancel(self, ticket: Ticket) -> None:
        """End it, unless it has ended: in the mailbox at once, in an async handler by cancelling that."""
        if ticket.id in self._pending:
            ticket.call.cancel()
            self._end(ticket, Outcome(error=RequestCancelledError(ticket.recipient, ticket.id)))
            self.take(ticket)  # who cancels it does not come for it

    # -- waiting -------------------------------------------------------------------------------------------------------

    def wait(self, key: Ticket | str, source: "Origin | None", timeout: float | None, sink: "Sink") -> RequestWait:
        """Let *sink* have the outcome of one, and take it as collected."""
        ticket = self.find(key)
        seconds = self._patience(timeout, source)

        def give_up() -> Outcome:
            error: CeylonError = RequestTimeoutError(ticket.recipient, round(seconds or 0.0, 3), ticket.id)
            if source is not None and seconds != timeout:  # it was not the waiter's own wish
                error = AskTimeoutError(ticket.recipient, round(seconds or 0.0, 3), ticket.id)
            return Outcome(error=error)

        wait = RequestWait(
            self._router,
            sink,
            finish=lambda: self.take(ticket),
            give_up=give_up,
            undo=lambda: self.kept.put_back([ticket]),
        )
        wait.begin([ticket] if ticket.outcome is None else [], source, seconds)
        return wait

    def collect(self, source: "Origin | None", timeout: float | None, sink: "Sink") -> RequestWait:
        """Let *sink* have all results, once what is under way now has ended; when the time is over, those there are."""
        taken: list[Ticket] = []

        def finish() -> Outcome:
            taken.extend(self.kept.tickets())
            return Outcome(self.kept.take_all())

        wait = RequestWait(
            self._router, sink, finish=finish, give_up=finish, undo=lambda: self.kept.put_back(taken)
        )  # fmt: skip
        wait.begin(list(self._pending.values()), source, self._patience(timeout, source))
        return wait

    def _patience(self, timeout: float | None, source: "Origin | None") -> float | None:
        """Return how many seconds somebody waits; nobody beyond his own deadline.

        Raises:
            ArgumentError: no such time: negative, infinite, or not a number.
        """
        if timeout is not None and not is_time(timeout):
            raise no_time(timeout)
        if source is None or source.envelope.deadline is None:
            return timeout
        left = max(0.0, source.envelope.deadline - self._router.driver.now())
        return left if timeout is None else min(timeout, left)

    def waits(self) -> list[RequestWait]:
        """Return who waits just now."""
        found = {id(wait): wait for ticket in self._pending.values() for wait in ticket.waits}
        return list(found.values())

    # -- results -------------------------------------------------------------------------------------------------------

    def find(self, key: Ticket | str) -> Ticket:
        """Return the request with this id.

        Raises:
            UnknownRequestError: there is none, or its result is collected or expired.
        """
        if isinstance(key, Ticket):
            return key
        ticket = self._pending.get(key) or self.kept.find(key)
        if ticket is None:
            raise UnknownRequestError(key)
        return ticket

    def pending(self) -> list[Request[Any]]:
        """Return those under way, in the order they were submitted."""
        return [Request(self._interior, ticket) for ticket in list(self._pending.values())]

    def take(self, ticket: Ticket) -> Outcome:
        """Return how one has ended; that is collected now."""
        self.kept.take(ticket)
        return ticket.fresh()

    def close(self) -> None:
        """Say what nobody has collected that should be known; the mesh has closed."""
        self.kept.close()
