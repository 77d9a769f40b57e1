"""Let the clocks of all who wait stand still while a person is asked: nobody's deadline is about a person's leisure.

A handler that waits for a person is mostly waited for itself: by an agent that asked it, by that one's asker, and so on
up the chain of asks. For so long their deadlines, time limits and idle times are taken back; afterwards each goes on
with what it had left. The chain ends at what no handler of this mesh has asked.
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING

import anyio

from ceylon.core.clocks import Clock, PlainClock, ScopeClock
from ceylon.core.limits import limit_of

if TYPE_CHECKING:
    from ceylon.core.calls import AskCall
    from ceylon.core.context import Context
    from ceylon.core.interior import Interior
    from ceylon.core.leases import Lease
    from ceylon.core.origin import Origin

__all__ = ["Pauses"]


class Pauses:
    """Which handlers of a mesh rest just now, and the clocks that some of them have of their own."""

    def __init__(self, interior: "Interior") -> None:
        self._interior = interior
        self._rests: dict[int, _Rest] = {}  # by envelope id, as all of these
        self._clocks: dict[int, list[Clock]] = {}
        self._asking: Counter[int] = Counter()
        # The loop's own class: `anyio.CancelScope` finds out which loop that is each time, for as long as all else.
        self._make_scope: Callable[[], anyio.CancelScope] | None = None

    def clock(self, context: "Context", seconds: float | None) -> Clock:
        """Return what cancels a block after *seconds*, like `anyio.move_on_after`, but for pauses of its handler."""
        if self._make_scope is None:
            self._make_scope = type(anyio.CancelScope())
        return ScopeClock(self._interior, context.envelope.id, seconds, self._make_scope())

    def plain_clock(self, context: "Context", seconds: float) -> Clock:
        """Return the same for a block that shields nothing from it, at a third of the cost; see `PlainClock`."""
        find_task = self._interior.driver.current_task
        if find_task is None:
            return self.clock(context, seconds)
        return PlainClock(self._interior, context.envelope.id, seconds, find_task())

    def begin_clock(self, number: int, clock: "Clock") -> None:
        """Let *clock* run as part of the handler of the envelope *number*, unless that rests."""
        if number in self._clocks:
            self._clocks[number].append(clock)
        else:
            self._clocks[number] = [clock]
        if number in self._rests:
            clock.stop()

    def end_clock(self, number: int, clock: "Clock") -> None:
        """Forget it."""
        clocks = self._clocks.pop(number)
        if len(clocks) > 1:
            clocks.remove(clock)
            self._clocks[number] = clocks

    @contextlib.contextmanager
    def pause(self, origin: "Origin") -> Generator[None]:
        """Let the clocks of *origin*, and of everyone who waits for it, stand still in the block."""
        line = list(self._line(origin))
        number = origin.envelope.id
        for each in line:
            self._stop(each)
        self._asking[number] += 1
        try:
            yield
        finally:
            self._asking[number] -= 1
            if not self._asking[number]:
                del self._asking[number]
            for each in line:
                self._go_on(each)

    @contextlib.contextmanager
    def rest(self, context: "Context") -> Generator[None]:
        """Let the clocks of the handler alone stand still in the block: whoever takes its parts lets it wait."""
        clocks = tuple(self._clocks.get(context.envelope.id, ()))
        for clock in clocks:
            clock.stop()
        try:
            yield
        finally:
            for clock in clocks:
                clock.go_on()

    def is_over(self, number: int) -> bool:
        """Say whether the time of a block of the handler of the envelope *number* is over."""
        return any(clock.is_over for clock in self._clocks.get(number, ()))

    def expire(self, number: int) -> None:
        """Let the time of the innermost such block be over now, as a recording repeats it."""
        clocks = self._clocks.get(number)
        if clocks:
            clocks[-1].expire()

    def is_asking(self, number: int) -> bool:
        """Say whether the handler of the envelope *number* itself waits for a person; until that ends, it can leave."""
        return number in self._asking

    def _line(self, origin: "Origin") -> "Iterator[Origin]":
        """Yield *origin*, whoever asked it, and so on."""
        at: Origin | None = origin.invocation
        while at is not None:
            yield at
            call = self._interior.router.calls.get(at.envelope.id)
            at = None if call is None or call.source is None else call.source.invocation

    def _stop(self, origin: "Origin") -> None:
        number = origin.envelope.id
        rest = self._rests.get(number)
        if rest is not None:
            rest.count += 1
            return
        rest = self._rests[number] = _Rest(self._interior, origin)
        rest.begin()
        for clock in self._clocks.get(number, ()):
            clock.stop()

    def _go_on(self, origin: "Origin") -> None:
        number = origin.envelope.id
        rest = self._rests[number]
        rest.count -= 1
        if rest.count:
            return
        del self._rests[number]
        rest.end()
        for clock in self._clocks.get(number, ()):
            clock.go_on()


class _Rest:
    """What was taken back for one handler, and is to be set again: `count` pauses hold it."""

    def __init__(self, interior: "Interior", origin: "Origin") -> None:
        self.count = 1
        self._interior, self._origin = interior, origin
        self._envelope = origin.envelope
        self._deadline = origin.envelope.deadline
        self._began = interior.driver.now()

    def begin(self) -> None:
        """Take the times back; see `AskCall.fire` for an ask whose timer comes meanwhile."""
        self._envelope.deadline = None
        call = self._call()
        if call is not None:
            call.rest()
        if self._envelope.budget is not None:
            self._envelope.budget.rest(self._began)
        if (limit := limit_of(self._origin)) is not None:
            limit.stop()
        if (lease := self._lease()) is not None:
            lease.give(self._interior.settings.approval_timeout)

    def end(self) -> None:
        """Set them again, by so much later."""
        now = self._interior.driver.now()
        waited = now - self._began
        if self._envelope.budget is not None:
            self._envelope.budget.go_on(now)
        if self._deadline is not None:
            self._envelope.deadline = self._deadline + waited
        call = self._call()
        if call is not None and not call.is_settled:
            if self._deadline is not None and not call.is_armed:
                self._interior.timers.add(self._deadline + waited, call)
            call.go_on()
        if (limit := limit_of(self._origin)) is not None:
            limit.go_on()
        if (lease := self._lease()) is not None:
            lease.give(waited - self._interior.settings.approval_timeout)

    def _call(self) -> "AskCall | None":
        return self._interior.router.calls.get(self._envelope.id)

    def _lease(self) -> "Lease | None":
        """Return the thread's lease under which the handler runs, if one does."""
        leases = self._origin.cell.leases or ()
        return next((each for each in leases if each.context is self._origin), None)
