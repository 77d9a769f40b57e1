"""Requests: messages whose replies are fetched later, by whoever has the handle, or the id, or collects them all.

The register belongs to the mesh: whoever submits may be gone when the reply comes. What nobody collects expires, and
is counted; a failure that nobody collects is in the log, once.
"""

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ceylon.core.request import Request
from ceylon.core.request_calls import Receipt, RequestWait, RoomCall, SubmitCall
from ceylon.core.tickets import RequestResult, RequestStatistics, Ticket
from ceylon.core.timers import Timer
from ceylon.errors import (
    ArgumentError,
    AskTimeoutError,
    CeylonError,
    DeadlockError,
    MailboxFullError,
    RequestCancelledError,
    RequestTimeoutError,
    UnknownRequestError,
    describe,
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
        self._ended: dict[str, Ticket] = {}  # not collected, in the order of their ends
        self._expiry = Timer(self._expire_old)
        self._expired = 0

    def statistics(self) -> RequestStatistics:
        """Return the counters as they are now."""
        return RequestStatistics(pending=len(self._pending), results=len(self._ended), expired=self._expired)

    @property
    def timers(self) -> int:
        """How many timers the register itself has set."""
        return int(self._expiry.is_armed)

    # -- submitting ----------------------------------------------------------------------------------------------------

    def submit(
        self, envelope: "Envelope", source: "Origin | None", timeout: float | None, sink: "Sink"
    ) -> RoomCall | None:
        """Deliver *envelope* for *source*, and let *sink* have a `Request` once it is in the mailbox."""
        router = self._router
        cell = router.find(envelope.recipient)
        if cell is not None and cell.state.takes_mail and not cell.has_room():
            error = self._why_not(envelope, cell, source)
            if error is not None:
                router.refuse_full(envelope)
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
        room.begin(call, source, self._settings.tell_timeout)
        return room

    def _seconds(self, timeout: float | None, source: "Origin | None") -> float:
        """Return the nearer of what was asked for and what is left of the time of *source*."""
        seconds = self._settings.submit_timeout if timeout is None else timeout
        inherited = None if source is None else source.envelope.deadline
        if inherited is None or not 0 <= seconds < math.inf:  # no time at all is refused where asks are
            return seconds
        return min(seconds, max(0.0, inherited - self._router.driver.now()))

    def _why_not(self, envelope: "Envelope", cell: "Cell", source: "Origin | None") -> CeylonError | None:
        """Return why *source* may not wait for room; a tell is told the same."""
        if envelope.sender == cell.address:
            return MailboxFullError(cell.address, cell.capacity)
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
        del self._pending[ticket.id]
        ticket.end(outcome, self._router.driver.now())
        self._ended[ticket.id] = ticket
        for wait in tuple(ticket.waits):
            wait.one_ended(ticket)
        while len(self._ended) > self._settings.kept_results:
            self._expire(next(iter(self._ended.values())))
        self._look_after()

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
            undo=lambda: self._put_back([ticket]),
        )
        wait.begin([ticket] if ticket.outcome is None else [], source, seconds)
        return wait

    def collect(self, source: "Origin | None", timeout: float | None, sink: "Sink") -> RequestWait:
        """Let *sink* have all results, once what is under way now has ended; when the time is over, those there are."""
        taken: list[Ticket] = []

        def finish() -> Outcome:
            taken.extend(self._ended.values())
            return Outcome(self.take_all())

        wait = RequestWait(
            self._router, sink, finish=finish, give_up=finish, undo=lambda: self._put_back(taken)
        )  # fmt: skip
        wait.begin(list(self._pending.values()), source, self._patience(timeout, source))
        return wait

    def _patience(self, timeout: float | None, source: "Origin | None") -> float | None:
        """Return how many seconds somebody waits; nobody beyond his own deadline.

        Raises:
            ArgumentError: no such time: negative, infinite, or not a number.
        """
        if timeout is not None and not 0 <= timeout < math.inf:
            message = f"timeout={timeout!r} is no time to wait; give seconds, a finite number"
            raise ArgumentError(message)
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
        ticket = self._pending.get(key) or self._ended.get(key)
        if ticket is None:
            raise UnknownRequestError(key)
        return ticket

    def pending(self) -> list[Request[Any]]:
        """Return those under way, in the order they were submitted."""
        return [Request(self._interior, ticket) for ticket in list(self._pending.values())]

    def results(self) -> list[RequestResult]:
        """Return the results that nobody has collected, in the order they came; they stay there."""
        return [ticket.result() for ticket in list(self._ended.values())]

    def take(self, ticket: Ticket) -> Outcome:
        """Return how one has ended; that is collected now."""
        self._ended.pop(ticket.id, None)
        self._look_after()
        return ticket.fresh()

    def take_all(self) -> list[RequestResult]:
        """Return all results; they are collected now."""
        taken = self.results()
        self._ended.clear()
        self._look_after()
        return taken

    def _put_back(self, tickets: Iterable[Ticket]) -> None:
        """Take it back that these are collected: whoever did so never heard of it."""
        self._ended.update({ticket.id: ticket for ticket in tickets if ticket.is_kept})
        self._ended = dict(sorted(self._ended.items(), key=lambda item: item[1].ended))
        self._look_after()

    # -- expiring ------------------------------------------------------------------------------------------------------

    def _look_after(self) -> None:
        """Set the timer for the oldest result, or take it back."""
        if not self._ended:
            self._interior.timers.cancel(self._expiry)
        elif not self._expiry.is_armed and self._interior.is_open:
            self._expiry = Timer(self._expire_old)  # a new one: the old may still stand in the heap
            oldest = next(iter(self._ended.values()))
            self._interior.timers.add(oldest.ended + self._settings.kept_results_seconds, self._expiry)

    def _expire_old(self) -> None:
        until = self._router.driver.now() - self._settings.kept_results_seconds
        for ticket in list(self._ended.values()):
            if ticket.ended > until:
                break
            self._expire(ticket)
        self._look_after()

    def _expire(self, ticket: Ticket) -> None:
        """Let a result go that nobody has collected; it is not lost silently."""
        del self._ended[ticket.id]
        self._expired += 1
        if ticket.outcome is not None and ticket.outcome.error is not None:
            self._tell_failure(ticket, ticket.outcome.error)
        else:
            self._interior.quiet_log.warning(
                "result_expired", ticket.recipient, request=ticket.id, message=ticket.message_type
            )

    def _tell_failure(self, ticket: Ticket, error: BaseException) -> None:
        if not ticket.is_told:
            ticket.is_told = True
            facts = {"request": ticket.id, "message": ticket.message_type, "error": describe(error)}
            self._interior.quiet_log.error("request_failed", ticket.recipient, **facts)

    def close(self) -> None:
        """Say which failures nobody has collected; the results stay for whoever asks the closed mesh."""
        for ticket in self._ended.values():
            if ticket.outcome is not None and ticket.outcome.error is not None:
                self._tell_failure(ticket, ticket.outcome.error)
