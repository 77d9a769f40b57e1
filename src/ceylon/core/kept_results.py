"""Results of requests that wait to be collected: so many, for so long, and none of them lost silently."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ceylon.core.timers import Timer
from ceylon.errors import describe

if TYPE_CHECKING:
    from ceylon.core.interior import Interior
    from ceylon.core.tickets import RequestResult, Ticket

__all__ = ["KeptResults"]


class KeptResults:
    """The requests of one mesh that have ended and were not collected, first ended first."""

    def __init__(self, interior: "Interior") -> None:
        self._interior = interior
        self._most = interior.settings.kept_results
        self._seconds = interior.settings.kept_results_seconds
        self._tickets: dict[str, Ticket] = {}
        self._expiry = Timer(self._expire_old)
        self.expired = 0

    def __len__(self) -> int:
        return len(self._tickets)

    @property
    def timers(self) -> int:
        """How many timers are set for them."""
        return int(self._expiry.is_armed)

    def keep(self, ticket: "Ticket") -> None:
        """Keep the result of *ticket*, which has just ended."""
        self._tickets[ticket.id] = ticket

    def find(self, request_id: str) -> "Ticket | None":
        """Return the request of this id, if its result is here."""
        return self._tickets.get(request_id)

    def tickets(self) -> "list[Ticket]":
        """Return all of them; from any thread."""
        return list(self._tickets.values())

    def results(self) -> "list[RequestResult]":
        """Return their results; from any thread."""
        return [ticket.result() for ticket in self.tickets()]

    def take(self, ticket: "Ticket") -> None:
        """Let go of one, which is collected."""
        self._tickets.pop(ticket.id, None)
        self.settle()

    def take_all(self) -> "list[RequestResult]":
        """Return all results; they are collected."""
        taken = self.results()
        self._tickets.clear()
        self.settle()
        return taken

    def put_back(self, tickets: "Iterable[Ticket]") -> None:
        """Take it back that these are collected: whoever did so never heard of it."""
        self._tickets.update({ticket.id: ticket for ticket in tickets if ticket.is_kept})
        self._tickets = dict(sorted(self._tickets.items(), key=lambda item: item[1].ended))
        self.settle()

    def settle(self) -> None:
        """Keep to the limits: let the oldest go if there are too many, and set the timer for the next."""
        while len(self._tickets) > self._most:
            self._expire(next(iter(self._tickets.values())))
        if not self._tickets:
            self._interior.timers.cancel(self._expiry)
        elif not self._expiry.is_armed and self._interior.is_open:
            self._expiry = Timer(self._expire_old)  # a new one: the old may still stand in the heap
            oldest = next(iter(self._tickets.values()))
            self._interior.timers.add(oldest.ended + self._seconds, self._expiry)

    def _expire_old(self) -> None:
        until = self._interior.driver.now() - self._seconds
        for ticket in self.tickets():
            if ticket.ended > until:
                break
            self._expire(ticket)
        self.settle()

    def _expire(self, ticket: "Ticket") -> None:
        del self._tickets[ticket.id]
        self.expired += 1
        if ticket.outcome is not None and ticket.outcome.error is not None:
            self._tell_failure(ticket, ticket.outcome.error)
        else:
            self._interior.quiet_log.warning(
                "result_expired", ticket.recipient, request=ticket.id, message=ticket.message_type
            )

    def _tell_failure(self, ticket: "Ticket", error: BaseException) -> None:
        if not ticket.is_told:
            ticket.is_told = True
            facts = {"request": ticket.id, "message": ticket.message_type, "error": describe(error)}
            self._interior.quiet_log.error("request_failed", ticket.recipient, **facts)

    def close(self) -> None:
        """Say which failures nobody has collected; the results stay for whoever asks the closed mesh."""
        for ticket in self._tickets.values():
            if ticket.outcome is not None and ticket.outcome.error is not None:
                self._tell_failure(ticket, ticket.outcome.error)
