"""Put envelopes into the mailboxes behind their addresses, and carry outcomes back to whoever asked."""

import contextlib
import itertools
import math
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from ceylon.core.addresses import Addresses
from ceylon.core.calls import AskCall, Call, TellCall
from ceylon.core.ledger import DeadLetter, DeadLetters, Endings, How, Reason
from ceylon.core.lending import Lending
from ceylon.core.names import check_address, split_key
from ceylon.core.waits import WaitsGraph
from ceylon.errors import (
    ArgumentError,
    CeylonError,
    DeadlockError,
    HopLimitError,
    MeshClosedError,
    UnknownAgentError,
)
from ceylon.messages import ASK, TELL, Envelope, Kind, Outcome

if TYPE_CHECKING:
    from ceylon.core.backend import Driver, Sink
    from ceylon.core.cell import Cell
    from ceylon.core.dispatcher import Dispatcher
    from ceylon.core.interior import Interior
    from ceylon.core.origin import Origin
    from ceylon.core.publishing import Publisher
    from ceylon.core.quiet import Quiet
    from ceylon.core.timers import Timers

__all__ = ["Router"]

AskedLater = TypeVar("AskedLater", bound=AskCall)


class Router:
    """Every message of one mesh on its way, and every call that waits for a reply."""

    dispatcher: "Dispatcher"
    publisher: "Publisher"
    quiet: "Quiet"

    def __init__(self, interior: "Interior", driver: "Driver", timers: "Timers") -> None:
        self.mesh = interior.name
        self.name = interior.message_id
        self.driver = driver
        self.timers = timers
        self.settings = settings = interior.settings
        self.addresses = addresses = Addresses(interior.registered)
        self.cells, self.registered = addresses.cells, addresses.registered  # which every message needs
        self.find, self.knows = addresses.find, addresses.knows
        self.calls: dict[int, AskCall] = {}  # by envelope id
        self.dead_letters = DeadLetters(settings.dead_letter_ring, self._announce)
        self.open: dict[int, Envelope] = {}  # accepted and not ended, by id; the drain waits for none
        self.endings = Endings(settings.ledger_ring)
        self.waits = WaitsGraph(self)
        self.lending = Lending(self)
        self.late_replies = 0
        self.is_refusing = False  # a drain has begun: what agents send each other still passes
        self.is_halted = False  # the drain is over: what the stop hooks send passes no more
        self.is_closed = False
        self.is_awaited = False  # somebody waits until nothing is open
        self.on_quiet: Callable[[], None] | None = None  # an observer's; it hears whenever nothing is open any more
        self.ids = itertools.count(1)
        self._now = driver.now
        self._ask_timeout = settings.ask_timeout
        self._max_hops = settings.max_hops

    # -- sending -------------------------------------------------------------------------------------------------------

    def envelope(
        self, kind: Kind, source: "Origin | None", recipient: str, message: Any, topic: str | None = None
    ) -> Envelope:
        """Return *message* on its way, as part of what *source* is doing."""
        if source is None:
            return Envelope(next(self.ids), kind, "", recipient, message, None, 0, 0, (), topic)
        cause = source.envelope
        chain = cause.chain
        if kind is not TELL:
            chain = (*chain, source.address) if cause.kind is not TELL else (source.address,)
        return Envelope(
            next(self.ids), kind, source.address, recipient, message, None, cause.id, cause.hops + 1, chain, topic,
            cause.trace, cause.budget, cause.priority, cause.root or cause.id,
        )  # fmt: skip

    def deliver(self, envelope: Envelope) -> "Cell | None":
        """Put *envelope* into its recipient's mailbox; return `None`, or the cell that has no room.

        Raises:
            DeliveryError: it was refused; a dead letter is kept.
            MeshClosedError: likewise, because the mesh is stopping.
        """
        cell = self.cells.get(envelope.recipient)
        if cell is None or self.is_refusing or envelope.hops > self._max_hops or not cell.state.takes_mail:
            cell = self._examine(envelope)
        mail = cell.mail
        if len(mail) >= cell.capacity or cell.parked:
            return cell
        try:  # `Cell.put`, a call less
            mail.append(envelope)  # type: ignore[union-attr]
        except AttributeError:
            cell.mail = deque((envelope,))
        cell.accepted += 1
        self.open[envelope.id] = envelope
        if not cell.is_listed:
            self.dispatcher.offer(cell)
        return None

    def _examine(self, envelope: Envelope) -> "Cell":
        """Find the cell the long way round, or say why not."""
        error: CeylonError
        if self.is_closed or self.is_halted or (self.is_refusing and not envelope.parent):
            self.dead_letters.add(envelope, Reason.CLOSED)
            raise MeshClosedError(self.mesh, "it is closed" if self.is_closed else "it is stopping")
        if envelope.hops > self.settings.max_hops:
            self.dead_letters.add(envelope, Reason.HOPS)
            raise HopLimitError(envelope.recipient, self.settings.max_hops)
        cell = self.find(envelope.recipient)
        if cell is None and self.registered:
            cell = self._receiver(envelope)
        if cell is None or not cell.state.takes_mail:
            self.dead_letters.add(envelope, Reason.UNKNOWN_AGENT)
            error = UnknownAgentError(check_address(envelope.recipient), self.addresses.known())
            raise error
        if cell.options.takes_keys:
            cell.agent.__ceylon_expect__(envelope)
        return cell

    def _receiver(self, envelope: Envelope) -> "Cell | None":
        """Return who is to have *envelope*, of a family or a pool; see `Addresses.receiver`."""
        try:
            return self.addresses.receiver(envelope)
        except (CeylonError, ValueError):
            self.dead_letters.add(envelope, Reason.UNROUTED)
            raise

    def receiver(self, envelope: Envelope) -> "Cell | None":
        """Return who is to have *envelope*, which the mesh itself sends; `None`: nobody, or nobody just now."""
        cell = self.find(envelope.recipient)
        if cell is None and self.registered and not self.is_refusing:
            try:
                return self._receiver(envelope)
            except (CeylonError, ValueError):  # a dead letter says it
                return None
        return cell

    def wake(self, address: str) -> None:
        """Bring the keyed agent at *address* to memory if there is none of its family, to be seen what it does."""
        name, key = split_key(address)
        group = self.registered.get(name)
        if group is None or address in self.cells or self.is_refusing:
            return
        if group.wants_key() and group.example is None:
            with contextlib.suppress(CeylonError, ValueError):  # whoever speaks to it hears of that
                group.receiver(self.envelope(TELL, None, address, None), key)

    def tell_nowait(self, envelope: Envelope) -> None:
        """Deliver *envelope* now.

        Raises:
            MailboxFullError: there is no room.
        """
        full = self.deliver(envelope)
        if full is not None:
            self.refuse_full(envelope)
            raise full.why_full()

    def tell(self, envelope: Envelope, future: "Sink", source: "Origin | None") -> Call | None:
        """Deliver *envelope* for *source*, waiting for room; *future* gets the outcome. `None`: it has it already."""
        try:
            full = self.deliver(envelope)
        except (CeylonError, ValueError) as error:
            future.set_result(Outcome(error=error))
            return None
        if full is None:
            future.set_result(Outcome())
            return None
        return self.wait_for_room(envelope, full, future, source)

    def wait_for_room(self, envelope: Envelope, cell: "Cell", future: "Sink", source: "Origin | None") -> Call | None:
        """Park *envelope* before a full mailbox; a wait that could never end, as one for oneself, fails at once."""
        error: CeylonError | None = None
        if envelope.sender == cell.address:
            error = cell.why_full()
        elif source is not None:
            error = self._why_refused(source, cell, envelope)
        if error is not None:
            self.refuse_full(envelope)
            future.set_result(Outcome(error=error))
            return None
        waited = self.settings.tell_timeout
        call = TellCall(self, future, envelope, cell, source, waited)
        cell.park(call)
        self.timers.add(self.driver.now() + waited, call)
        return call

    def ask(  # noqa: C901 – in one piece: each call less is 2 % of an ask
        self,
        envelope: Envelope,
        future: "Sink",
        source: "Origin | None",
        timeout: float | None,
        *,
        clock: bool = True,
        kind: type[AskCall] = AskCall,
    ) -> AskCall | None:
        """Deliver *envelope* and let *future* have its reply. `None`: it has an error already.

        Args:
            envelope: The ask.
            future: Gets one `Outcome`.
            source: What the asker is doing; its deadline is inherited.
            timeout: Seconds, or `None` for the default.
            clock: Without one, the ask waits as long as it takes unless a deadline is given or inherited.
            kind: The class of the call.
        """
        try:
            cell = self.cells.get(envelope.recipient) or self._examine(envelope)
            lender = 0
            if source is not None and not cell.is_free():
                lender = self.lending.lender(envelope, cell, source)
            call = kind(self, future, envelope, cell, source)
            self._set_deadline(call, source, timeout, clock=clock)
            if envelope.budget is not None:
                envelope.budget.admit(envelope)
            is_held = envelope.kind is ASK and self.dispatcher.begin_ask()
            full: Cell | None = None
            if lender:
                self._deliver_next(envelope)
            else:
                full = self.deliver(envelope)
            self.calls[envelope.id] = call
            deadline = envelope.deadline
            if deadline is not None:  # `Timers.add`, a call less
                call.is_armed = True
                timers = self.timers
                timers.new[call] = deadline
                if deadline < timers.armed_at:
                    timers.arm(deadline)
            if full is not None:
                full.park(call)
            if source is not None:
                call.begin_wait(source)
            if lender:
                self.lending.lend(call, lender, source)
        except BaseException as error:
            self.dispatcher.give_up_ask()  # or nobody would look at the agents that are ready
            if not isinstance(error, (CeylonError, ValueError)):
                raise
            future.set_result(Outcome(error=error))
            return None
        if is_held:
            self.dispatcher.end_ask(call)
        return call

    def let_pass(self, envelope: Envelope) -> None:
        """Do nothing: here no interceptor stands around a delivery."""

    def submit(
        self, envelope: Envelope, future: "Sink", timeout: float | None, kind: type[AskedLater]
    ) -> AskedLater | None:
        """Deliver *envelope*, an ask whose asker goes on; *future* gets its reply. `None`: it has an error already.

        Whoever calls this has let it pass, before he looked for room.
        The steps are those of `ask`, without what is about an asker who waits: his slot, his stack, his place in the
        graph of waits.
        """
        try:
            cell = self.cells.get(envelope.recipient) or self._examine(envelope)
            call = kind(self, future, envelope, cell, None)
            self._set_deadline(call, None, timeout, clock=True)
            if envelope.budget is not None:
                envelope.budget.admit(envelope)
            full = self.deliver(envelope)
        except (CeylonError, ValueError) as error:
            future.set_result(Outcome(error=error))
            return None
        self.calls[envelope.id] = call
        if envelope.deadline is not None:
            self.timers.add(envelope.deadline, call)
        if full is not None:
            full.park(call)
        return call

    def _set_deadline(self, call: AskCall, source: "Origin | None", timeout: float | None, *, clock: bool) -> None:
        """Take the nearer of what was asked for and what is left of the asker's own time.

        Raises:
            ArgumentError: no such time: negative, infinite, or not a number.
        """
        inherited = None if source is None else source.envelope.deadline
        if timeout is None:
            if inherited is None and clock:
                timeout = call.cell.options.ask_timeout
                if timeout is None:
                    timeout = self._ask_timeout
        elif not 0 <= timeout < math.inf:
            message = f"timeout={timeout!r} is no time to wait; give seconds, a finite number"
            raise ArgumentError(message)
        call.began = began = self._now()
        if timeout is None:
            deadline = inherited
        else:
            deadline = began + timeout
            if inherited is not None and inherited < deadline:
                deadline = inherited
        if deadline is not None:
            call.envelope.deadline = deadline

    def _why_refused(self, source: "Origin", cell: "Cell", envelope: Envelope) -> DeadlockError | None:
        """Return why *source* may not wait until *envelope* finds room."""
        try:
            self.waits.check(source, self.waits.of_room(cell, envelope), cell.address)
        except DeadlockError as error:
            return error
        return None

    def _deliver_next(self, envelope: Envelope) -> None:
        """Put *envelope*, which comes back to an agent that waits for it, before everything but its like."""
        cell = self._examine(envelope)
        cell.put_next(envelope, cell.is_guest)
        self.open[envelope.id] = envelope

    def _announce(self, letter: DeadLetter) -> None:
        """Let those hear of *letter* who want to."""
        self.publisher.announce(letter)

    # -- ending --------------------------------------------------------------------------------------------------------

    def accepted(self, cell: "Cell", envelope: Envelope) -> None:
        """Take note that *envelope* is in the mailbox of *cell* now; it had waited for room."""
        self.open[envelope.id] = envelope
        self.dispatcher.offer(cell)

    def ended(self, envelope: Envelope, how: How, detail: str = "") -> None:
        """Take note that *envelope* has come to its end."""
        self.endings.add(envelope, how, detail, was_open=self.open.pop(envelope.id, None) is not None)
        if not self.open and (self.is_awaited or self.on_quiet is not None):
            self.tell_quiet()

    def tell_quiet(self) -> None:
        """Say that nothing is open any more, to those who wait for it."""
        if self.on_quiet is not None:
            self.on_quiet()
        self.quiet.tell()

    def reply(self, envelope: Envelope, outcome: Outcome) -> None:
        """Carry *outcome* to whoever asked; nobody waiting any more is counted."""
        call = self.calls.get(envelope.id)
        if call is None or not call.settle(outcome):
            self.late_replies += 1

    def refuse_full(self, envelope: Envelope) -> None:
        """Keep *envelope*, which found no room."""
        self.dead_letters.add(envelope, Reason.FULL)

    def keep_failed(self, envelope: Envelope, detail: str) -> None:
        """Keep a copy of a tell whose handler failed; it is counted as failed already."""
        self.dead_letters.add(envelope, Reason.HANDLER_FAILED, detail)

    def withdraw(self, envelope: Envelope, cell: "Cell", how: Literal["expired", "cancelled"]) -> None:
        """End *envelope*, which nobody waits for any more: in the mailbox at once, in a handler by cancelling it."""
        if cell.unpark(envelope):
            if how == "expired":
                self.refuse_full(envelope)
        elif cell.discard(envelope):
            setattr(cell, how, getattr(cell, how) + 1)
            self.ended(envelope, how)
        else:
            self.dispatcher.abandon(envelope, cell)

    def bounce(self, envelope: Envelope, cell: "Cell", reason: Reason, error: CeylonError) -> None:
        """End *envelope*, accepted by *cell*, as a dead letter; its asker gets *error*."""
        cell.dead_lettered += 1
        self.dead_letters.add(envelope, reason)
        if envelope.kind is not TELL:
            self.reply(envelope, Outcome(error=error))
        self.ended(envelope, "dead_lettered", reason.value)

    def close(self, error: CeylonError) -> None:
        """Take nothing any more, and end every call with *error*."""
        self.is_refusing = self.is_closed = True
        for call in list(self.calls.values()):
            call.fail(error)
