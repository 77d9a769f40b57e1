"""The time of one block of code in a handler, which stands still while a person is asked; see `Pauses`.

A timer of the mesh ends it: almost no block takes all its time, and a scope with a deadline of its own would set one of
the loop's each time, and take it back.
"""

import math
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from ceylon.core.timers import Timer

if TYPE_CHECKING:
    import anyio

    from ceylon.core.interior import Interior

__all__ = ["Clock", "PlainClock", "ScopeClock"]

_AGAIN: Final = 0.1  # seconds; code that takes no notice of its end is told so again


class Clock(Timer):
    """A context manager around the block; *number* is the id of the envelope that is handled."""

    __slots__ = ("_ends", "_interior", "_left", "_number", "_stops", "_timer")

    def __init__(self, interior: "Interior", number: int, seconds: float | None) -> None:
        # Written out, not through super(): every query of a model pays for it.
        self._action = None
        self.is_armed = False
        self._interior, self._number = interior, number
        self._left = math.inf if seconds is None else seconds
        self._ends = math.inf
        self._stops = 0
        self._timer: Timer = self  # later ones are others: the first may still stand in the heap

    def __enter__(self) -> None:
        self._run()
        self._interior.pauses.begin_clock(self._number, self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        self._rest()
        self._interior.pauses.end_clock(self._number, self)
        return self._take_back(error)

    def fire(self) -> None:
        """Cancel the block."""
        raise NotImplementedError

    def _take_back(self, error: BaseException | None) -> bool:
        """Say whether the block ended because it was cancelled from here."""
        raise NotImplementedError

    @property
    def is_over(self) -> bool:
        """Whether the time is over, and the block cancelled for it."""
        raise NotImplementedError

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


class ScopeClock(Clock):
    """Cancels by *scope*, which has no deadline of its own."""

    __slots__ = ("_scope",)

    def __init__(self, interior: "Interior", number: int, seconds: float | None, scope: "anyio.CancelScope") -> None:
        super().__init__(interior, number, seconds)
        self._scope = scope

    def __enter__(self) -> None:
        self._scope.__enter__()
        super().__enter__()

    def _take_back(self, error: BaseException | None) -> bool:
        if error is None:
            return bool(self._scope.__exit__(None, None, None))
        return bool(self._scope.__exit__(type(error), error, error.__traceback__))

    @property
    def is_over(self) -> bool:
        """See `Clock`."""
        return self._scope.cancel_called

    def fire(self) -> None:
        """See `Clock`."""
        self._scope.cancel()


class PlainClock(Clock):
    """Cancels *task*, asyncio's own, as `asyncio.timeout` does it, and takes that back at the end of the block.

    A scope is a quarter of what a query costs in which no call can be made. Its cancellation is kept off by a shield;
    this one is not, so it is only for blocks that shield nothing from it, such as an action with an effect.
    """

    __slots__ = ("_before", "_rings", "_task")

    def __init__(self, interior: "Interior", number: int, seconds: float | None, task: Any) -> None:
        Clock.__init__(self, interior, number, seconds)
        self._task = task
        self._before = task.cancelling()
        self._rings = 0

    def _take_back(self, error: BaseException | None) -> bool:
        if not self._rings:
            return False
        left = min(self._task.uncancel() for _ in range(self._rings))
        is_cancelled = isinstance(error, self._interior.driver.cancellation)
        return is_cancelled and left <= self._before  # else somebody else has cancelled it, too

    @property
    def is_over(self) -> bool:
        """See `Clock`."""
        return self._rings > 0

    def fire(self) -> None:
        """See `Clock`."""
        self._rings += 1
        self._task.cancel()
        self._timer = Timer(self.fire)
        self._interior.timers.add(self._interior.driver.now() + _AGAIN, self._timer)
