"""The calls behind requests: the ask itself, whoever submits while there is no room, and whoever waits for the end."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from ceylon.core.calls import AskCall, Call
from ceylon.errors import DeadlockError
from ceylon.messages import Envelope, Outcome

if TYPE_CHECKING:
    from ceylon.core.backend import Sink
    from ceylon.core.findings import WaitKind
    from ceylon.core.origin import Origin
    from ceylon.core.router import Router
    from ceylon.core.tickets import Ticket
    from ceylon.core.waits import Groups, WaitsGraph

__all__ = ["Receipt", "RequestWait", "RoomCall", "SubmitCall"]


class SubmitCall(AskCall):
    """An ask whose asker goes on as soon as it is in the mailbox; `receipt` takes its outcome."""

    __slots__ = ("receipt",)

    receipt: "Receipt"

    @property
    def wanted(self) -> "WaitKind | None":
        """See `Call.wanted`: nobody waits for the reply, but perhaps somebody for room."""
        return None if self.receipt.is_admitted else "room"

    def admitted(self) -> None:
        """See `ParkedCall`; whoever submits goes on."""
        super().admitted()
        self.receipt.admit()

    def groups(self, graph: "WaitsGraph") -> "Groups[Origin]":
        """See `Call.groups`; what comes after the room, nobody waits for."""
        return () if self.receipt.is_admitted else graph.of_room(self.cell, self.envelope)


class RoomCall(Call):
    """Whoever submits, until the message is in the mailbox. It fires when he has waited long enough."""

    __slots__ = ("_waited", "ask", "source")

    ask: SubmitCall

    def __init__(self, router: "Router", future: "Sink") -> None:
        super().__init__(router, future)
        self.source: Origin | None = None

    @property
    def wanted(self) -> "WaitKind | None":
        """See `Call.wanted`."""
        return "room"

    @property
    def envelope(self) -> Envelope:
        """What waits for room."""
        return self.ask.envelope

    def begin(self, ask: SubmitCall, source: "Origin | None", waited: float) -> None:
        """Wait for *waited* seconds, at most, until *ask*, which has been parked, is in the mailbox."""
        self.ask, self.source, self._waited = ask, source, waited
        if source is not None:
            source.begin_wait(self)
        self._router.timers.add(self._router.driver.now() + waited, self)

    def settle(self, outcome: Outcome) -> bool:
        """See `Call.settle`; the sender's patience is taken back."""
        self._let_go()
        return super().settle(outcome)

    def fire(self) -> None:
        """There was none in time."""
        if not self.is_settled:
            error = self.ask.cell.why_full(self._waited)
            self.ask.cancel()
            self._router.refuse_full(self.ask.envelope)
            self.fail(error)

    def cancel(self) -> None:
        """Let go, because the sender has left; what was not in the mailbox never will be."""
        if not self.is_settled:
            self.is_settled = True
            self._let_go()
            self.ask.cancel()

    def groups(self, graph: "WaitsGraph") -> "Groups[Origin]":
        """See `Call.groups`; whoever submits waits for room, and for nothing that comes after."""
        return graph.of_room(self.ask.cell, self.ask.envelope)

    def _let_go(self) -> None:
        self._router.timers.cancel(self)
        if self.source is not None:
            self.source.end_wait(self)


class Receipt:
    """Where a request's outcome goes: to whoever submits, until the message is in the mailbox; then to *ended*."""

    __slots__ = ("_admitted", "_ended", "_room", "is_admitted")

    def __init__(self, room: RoomCall, admitted: Callable[[], Outcome], ended: Callable[[Outcome], None]) -> None:
        self._room, self._admitted, self._ended = room, admitted, ended
        self.is_admitted = False

    def admit(self) -> None:
        """Take note that the message is in the mailbox."""
        self.is_admitted = True
        self._room.settle(self._admitted())

    def done(self) -> bool:
        """Say no: nobody can have left."""
        return False

    def set_result(self, outcome: Outcome, /) -> None:
        """Take the outcome."""
        if self.is_admitted:
            self._ended(outcome)
        else:
            self._room.settle(outcome)


class RequestWait(Call):
    """Somebody waits until all requests of some have ended; leaving disturbs none of them.

    It fires when he has waited long enough. `finish` and `give_up` say what he is told then; `undo` takes that back if
    he has left before he heard of it.
    """

    __slots__ = ("_finish", "_give_up", "_undo", "left", "source")

    def __init__(
        self,
        router: "Router",
        future: "Sink",
        *,
        finish: Callable[[], Outcome],
        give_up: Callable[[], Outcome],
        undo: Callable[[], None],
    ) -> None:
        super().__init__(router, future)
        self._finish, self._give_up, self._undo = finish, give_up, undo
        self.left: dict[str, Ticket] = {}
        self.source: Origin | None = None

    @property
    def envelope(self) -> Envelope:
        """The first message whose reply is waited for."""
        return next(iter(self.left.values())).call.envelope

    def begin(self, tickets: "list[Ticket]", source: "Origin | None", seconds: float | None) -> None:
        """Wait for *tickets*, which are under way, for *seconds* at most; `None`: as long as they take.

        Raises:
            DeadlockError: *source* would wait for itself.
        """
        self.left = {ticket.id: ticket for ticket in tickets if ticket.outcome is None}
        if source is not None:
            self._check(source)
        if not self.left:
            self.settle(self._finish())
            return
        if source is not None:
            self.source = source
            source.begin_wait(self)
        for ticket in self.left.values():
            ticket.waits.append(self)
        if seconds is not None:
            self._router.timers.add(self._router.driver.now() + seconds, self)

    def _check(self, source: "Origin") -> None:
        """Refuse to let *source* wait for what is left, if it could never end.

        Looking at the graph may bring news from threads: what had ended there looked like a circle until it was heard.
        """
        while self.left:
            before, recipient = len(self.left), self.envelope.recipient
            try:
                self._router.waits.check(source, self.groups(self._router.waits), recipient)
            except DeadlockError as error:
                if self._forget_ended() == before:
                    path = " → ".join(error.path)
                    why = f"this request would wait for itself: {path}; await it outside of these handlers"
                    raise DeadlockError(error.path, why) from None
            else:
                self._forget_ended()
                return

    def _forget_ended(self) -> int:
        """Wait for those no more that have ended; return how many are left."""
        self.left = {ticket.id: ticket for ticket in self.left.values() if ticket.outcome is None}
        return len(self.left)

    def one_ended(self, ticket: "Ticket") -> None:
        """Take note that one of them has ended."""
        self.left.pop(ticket.id, None)
        if not self.left and not self.is_settled:
            self._let_go()
            self.settle(self._finish())

    def fire(self) -> None:
        """They have not ended in time."""
        if not self.is_settled:
            self._let_go()
            self.settle(self._give_up())

    def cancel(self) -> None:
        """Let go, because whoever waits has left; perhaps before he heard that it is over."""
        if self.is_settled:
            self._undo()
        else:
            self.is_settled = True
            self._let_go()

    def groups(self, graph: "WaitsGraph") -> "Groups[Origin]":
        """See `Call.groups`: all that is left has to end."""
        return [
            group
            for ticket in self.left.values()
            for group in graph.of_envelope(ticket.call.cell, ticket.call.envelope)
        ]

    def _let_go(self) -> None:
        self._router.timers.cancel(self)
        if self.source is not None:
            self.source.end_wait(self)
        for ticket in self.left.values():
            if self in ticket.waits:
                ticket.waits.remove(self)
