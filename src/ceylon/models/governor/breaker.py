"""A circuit breaker: a model that fails again and again is left alone for a while, then asked by one request first."""

import enum

from ceylon.errors import ModelSuspendedError, describe

__all__ = ["Breaker"]


class State(enum.Enum):
    """Whether requests pass."""

    CLOSED = "closed"  # they do
    OPEN = "open"  # none does
    HALF_OPEN = "half-open"  # one is under way, to see


class Breaker:
    """Opens after so many requests in a row that were given up; each that finds it still so doubles the pause."""

    def __init__(self, model: str, failures: int, pause: float, longest: float) -> None:
        self._model, self._most, self._first, self._longest = model, failures, pause, longest
        self._state = State.CLOSED
        self.is_closed = True  # requests pass, none is there to see; said by itself: every request asks
        self._failures = 0
        self._pause = pause
        self._until = 0.0
        self._last = ""

    def __repr__(self) -> str:
        return f"<Breaker {self._state.value} {self._failures} failures>"

    def check(self, now: float) -> None:
        """Let a request pass.

        Raises:
            ModelSuspendedError: it may not.
        """
        if self._state is State.OPEN and now >= self._until:
            return
        if self._state is not State.CLOSED:
            raise ModelSuspendedError(self._model, self._failures, max(0.0, self._until - now), self._last)

    def begin(self) -> bool:
        """Take note that a request which may pass goes now; say whether it is the one that is to see."""
        if self._state is not State.OPEN:
            return False
        self._state = State.HALF_OPEN
        return True

    def succeeded(self) -> None:
        """Close: the server has answered, be it with a refusal."""
        self._state, self._failures, self._pause = State.CLOSED, 0, self._first
        self.is_closed = True

    def failed(self, error: BaseException, now: float, *, is_probe: bool = True) -> None:
        """Count a request that was given up for a fault of the server's; only the one that is to see opens it again."""
        self._failures += 1
        self._last = describe(error)
        if self._state is State.HALF_OPEN:
            if not is_probe:
                return  # sent before the pause: it tells of then
            self._pause = min(self._pause * 2, self._longest)
            self._open(now)
        elif self._failures >= self._most and self._state is State.CLOSED:
            self._open(now)

    def left(self, now: float) -> None:
        """Let the next one see, because the one that was to has been cancelled."""
        if self._state is State.HALF_OPEN:
            self._state, self._until = State.OPEN, now

    def _open(self, now: float) -> None:
        self._state, self._until = State.OPEN, now + self._pause
        self.is_closed = False
