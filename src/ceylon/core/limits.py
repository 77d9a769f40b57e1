"""How long a handler may take: a timer for each one under way whose agent has a `handler_timeout`.

The clock runs from the handler's first step to its last, also while it waits for an ask; waiting in the mailbox or for
a thread does not count. A generator has that time for each of its parts, and none is counted while its consumer lets it
wait. On the loop the handler is cancelled, and given up if it ignores that; a thread is given up at once, because
nothing can end it. A plain function on the loop (`inline`) holds up the clock as well: that is the watchdog's affair.
"""

from typing import TYPE_CHECKING

from ceylon.core.timers import Timer
from ceylon.errors import HandlerTimeoutError
from ceylon.messages import type_name

if TYPE_CHECKING:
    from ceylon.core.context import Context
    from ceylon.core.dispatcher import Dispatcher
    from ceylon.core.leases import Lease
    from ceylon.core.origin import Origin

__all__ = ["HandlerLimit", "LeaseLimit", "limit_of"]


class HandlerLimit:
    """The time of one handler on the loop: when it is over the handler is cancelled, and later given up."""

    __slots__ = ("_context", "_dispatcher", "_has_ended", "_seconds", "_stops", "_timer", "error")

    def __init__(self, context: "Context") -> None:
        self._context = context
        self._dispatcher = context.interior.dispatcher
        self._seconds = context.cell.options.handler_timeout or 0.0
        self._timer = Timer()
        self._has_ended = False
        self._stops = 0
        self.error: HandlerTimeoutError | None = None  # once the time is over
        self._dispatcher.limits[context.envelope.id] = self

    def begin(self) -> None:
        """Give the handler its whole time from now on, unless that is over already; a thread's last parts come late."""
        if self.error is None and not self._has_ended and not self._stops:
            self._set(self._seconds)

    def rest(self) -> None:
        """Let the clock stand still: the handler waits for somebody else's leisure."""
        if self.error is None:
            self._dispatcher.cancel_timer(self._timer)

    def stop(self) -> None:
        """Do the same until `go_on` was called as often: several things may be waited for at the same time."""
        self._stops += 1
        self.rest()

    def go_on(self) -> None:
        """Begin again, once nothing is waited for any more."""
        self._stops -= 1
        self.begin()

    def expire(self) -> None:
        """Let the time be over now, as a recording repeats it."""
        if self.error is None and not self._has_ended:
            self._dispatcher.cancel_timer(self._timer)
            self._fire()

    def end(self) -> None:
        """Forget the handler, which has ended; its worker is another handler's by now."""
        self._has_ended = True
        self._dispatcher.cancel_timer(self._timer)
        self._dispatcher.limits.pop(self._context.envelope.id, None)

    def _set(self, seconds: float) -> None:
        self._dispatcher.cancel_timer(self._timer)
        self._timer = Timer(self._fire)  # a new one: the old may still stand in the heap
        self._dispatcher.set_timer(seconds, self._timer)

    def _fire(self) -> None:
        if self.error is None:
            message = type_name(self._context.envelope.message)
            self.error = HandlerTimeoutError(self._context.address, message, self._seconds)
            self._set(self._dispatcher.overran(self._context))
        else:
            self._dispatcher.give_up_handler(self._context, self.error)


class LeaseLimit(Timer):
    """The same for what a thread handles under one lease, one envelope after the other: one timer for all of them."""

    __slots__ = ("_dispatcher", "_lease", "_seconds")

    def __init__(self, dispatcher: "Dispatcher", lease: "Lease", seconds: float) -> None:
        super().__init__()
        self._dispatcher, self._lease, self._seconds = dispatcher, lease, seconds

    def begin(self) -> None:
        """Look in when the first handler could have taken too long."""
        self._dispatcher.set_timer(self._seconds, self)

    def fire(self) -> None:
        """Give the thread up if the handler under way has had its time, or look in again when it will have had it."""
        left = self._dispatcher.seconds_left(self._lease, self._seconds)
        if left is None:
            return
        if left > 0:
            self._dispatcher.set_timer(left, self)
            return
        message = self._lease.envelope.message
        error = HandlerTimeoutError(self._lease.cell.address, type_name(message), self._seconds, still_runs=True)
        self._dispatcher.give_up_lease(self._lease, error)


def limit_of(context: "Origin") -> HandlerLimit | None:
    """Return the limit of the handler that *context* belongs to, if it has one."""
    return context.interior.dispatcher.limits.get(context.envelope.id)
