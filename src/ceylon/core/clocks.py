"""The time of one block of code in a handler, which stands still while a person is asked; see `Pauses`.

A timer of the mesh ends it: almost no block takes all its time, and a scope with a deadline of its own would set one of
the loop's each time, and take it back. What it ends the block by is a scope all the same, and not the task's own
cancellation, which would be cheaper: that breaks through the shields around what a block does at its end.
"""

import math
from types import TracebackType
from typing import TYPE_CHECKING

from ceylon.core.timers import Timer

if TYPE_CHECKING:
    import anyio

    from ceylon.core.interior import Interior

__all__ = ["Clock"]


class Clock(Timer):
    """A context manager around the block; *number* is the id of the envelope that is handled.

    It cancels by *scope*, which has no deadline of its own.
    """

    __slots__ = ("_ends", "_interior", "_left", "_number", "_scope", "_stops", "_timer")

    def __init__(self, interior: "Interior", number: int, seconds: float | None, scope: "anyio.CancelScope") -> None:
        # Written out, not through super(): every query of a model pays for it.
        self._action = None
        self.is_armed = False
        self._interior, self._number, self._scope = interior, number, scope
        self._left = math.inf if seconds is None else seconds
        self._ends = math.inf
        self._stops = 0
        self._timer: Timer = self  # later ones are others: the first may still stand in the heap

    def __enter__(self) -> None:
        self._scope.__enter__()
        self._run()
        self._interior.pauses.begin_clock(self._number, self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        self._rest()
        self._interior.pauses.end_clock(self._number, self)
        return bool(self._scope.__exit__(kind, error, traceback))

    def fire(self) -> None:
        """Cancel the block."""
        self._scope.cancel()

    @property
    def is_over(self) -> bool:
        """Whether the time is over, and the block cancelled for it."""
        return self._scope.cancel_called

    def expire(self) -> None:
        """Let the time be over now, as a recording repeats it."""
        self._rest()
        self.fire()

    def stop(self) -> None:
        """Take back what is left of the time, until `go_on` was called as often."""
        self._stops += 1
        if self._stops == 1:
            self._left = self._ends - self._interior.driver.now()
            self._rest()
            self._timer = Timer(self.fire)

    def go_on(self) -> None:
        """Let it run again."""
        self._stops -= 1
        if not self._stops and not self.is_over:
            self._run()

    def _run(self) -> None:
        if self._left < math.inf:
            self._ends = self._interior.driver.now() + self._left
            self._interior.timers.add(self._ends, self._timer)

    def _rest(self) -> None:
        if self._timer.is_armed:
            self._interior.timers.cancel(self._timer)
