"""What a worker thread does for somebody: a lease on an agent, or one function that a task waits for."""

import threading
from collections import deque
from typing import TYPE_CHECKING

from ceylon.core.handlers import Handler, Refusal
from ceylon.core.permits import Hold
from ceylon.messages import STREAM, Outcome

if TYPE_CHECKING:
    from ceylon.core.backend import Future
    from ceylon.core.cell import Cell
    from ceylon.core.context import BlockingContext
    from ceylon.core.limits import LeaseLimit
    from ceylon.core.origin import Origin
    from ceylon.core.signals import Signal
    from ceylon.messages import Envelope

__all__ = ["EXPIRED", "UNBEGUN", "Lease", "Run"]

EXPIRED = Outcome()
"""What a lease reports for an envelope whose deadline had passed before it was handled."""

UNBEGUN = Outcome()
"""What it reports for its first envelope if the agent handles none any more by the time a thread is free."""


class Run(Hold):
    """One function that a task waits for, as part of *origin*; once `is_unwanted` it need not begin."""

    __slots__ = ("future", "is_unwanted", "origin", "over")

    def __init__(self, future: "Future", origin: "Origin | None") -> None:
        super().__init__()
        self.future, self.origin = future, origin
        self.over: Signal | None = None  # raised at its end, where somebody else waits for that
        self.is_unwanted = False


class Lease(Hold):
    """One thread's hold on an agent; it takes envelopes on the thread, and the loop reads what it holds."""

    __slots__ = (
        "_taken",
        "began",
        "cell",
        "context",
        "envelope",
        "first",
        "is_abandoned",
        "limit",
        "lock",
    )

    def __init__(self, cell: "Cell", handler: Handler, envelope: "Envelope") -> None:
        super().__init__()
        self.cell = cell
        self.first = handler
        self.envelope = envelope  # under way in the thread
        self.context: BlockingContext | None = None  # of its handler, once that has begun
        self.is_abandoned = False
        self.limit: LeaseLimit | None = None
        self.began: float | None = None  # when the handler under way began; kept where there is a limit only
        self.lock = threading.Lock()  # held while an envelope changes hands
        self._taken = deque([envelope])  # that have not ended, in order; it changes under the lock

    def take(self) -> "tuple[Handler, Envelope] | None":
        """Take the next envelope if its handler runs in a thread too; on the thread."""
        cell = self.cell
        with self.lock:
            if not cell.mail or not cell.state.handles_mail or self.is_abandoned or cell.busy_keys is not None:
                return None
            if cell.loans or cell.running > cell.slots:  # a slot that is lent is for one envelope, and is back then
                return None
            try:
                envelope = cell.mail.popleft()
            except IndexError:  # the loop was faster
                return None
            handler = _threaded_handler(cell, envelope)
            if handler is None:
                cell.mail.appendleft(envelope)
                return None
            self._taken.append(envelope)
            self.envelope = envelope
        return handler, envelope

    def conclude(self) -> bool:
        """Say that the handler under way has ended, before its limit has; on the thread."""
        with self.lock:
            self.began = None
            return not self.is_abandoned

    def seconds_left(self, seconds: float, now: float) -> float:
        """Return how much of *seconds* the handler under way still has; if none, its end will not count any more."""
        with self.lock:
            left = seconds if self.began is None else self.began + seconds - now
            self.is_abandoned = self.is_abandoned or left <= 0
        return left

    def give(self, seconds: float) -> None:
        """Give the handler under way *seconds* more, or take them back."""
        with self.lock:
            if self.began is not None:
                self.began += seconds

    def report(self) -> None:
        """Count the first as ended; on the loop, which has put it under another counter.

        Without the lock, which keeps the thread still while the loop counts: just now the loop does not count.
        """
        self._taken.popleft()

    @property
    def held(self) -> int:
        """How many envelopes it has taken that have not ended; exact under the lock."""
        return len(self._taken)

    def abandon(self) -> "list[Envelope]":
        """Take nothing any more, and let what it holds be counted here and now."""
        with self.lock:
            self.is_abandoned = True
            return list(self._taken)


def _threaded_handler(cell: "Cell", envelope: "Envelope") -> Handler | None:
    """Return the handler if the lease may go on with it."""
    try:
        handler = cell.behaviour.find(envelope)
    except Refusal:
        return None
    return handler if handler.threaded and not handler.yields and envelope.kind != STREAM else None
