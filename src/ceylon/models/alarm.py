"""A deadline for one wait after the other, in the same task."""

import math
from collections.abc import Callable

import anyio

from ceylon.core.backend import current_driver

__all__ = ["Alarm"]


class Alarm:
    """Ends waits in time. Its timer is set for the first of them, and moved only when it rings too early.

    Almost no wait of a stream reaches its deadline. A scope with a deadline for each makes a timer and takes it back:
    that was a sixth of a streamed token.
    """

    def __init__(self) -> None:
        self._driver = current_driver()
        self.now = self._driver.now
        self._scope: anyio.CancelScope | None = None
        self._ends = self._rings_at = math.inf
        self._take_back: Callable[[], None] | None = None

    def begin(self, ends: float) -> anyio.CancelScope:
        """Return the scope to wait in, which is cancelled at *ends*; `end` it afterwards."""
        self._scope = scope = anyio.CancelScope()
        self._ends = ends
        if ends < self._rings_at:
            self._set(ends)
        return scope

    def end(self) -> None:
        """Take note that the wait is over."""
        self._scope = None

    def close(self) -> None:
        """Ring no more."""
        self._scope = None
        if self._take_back is not None:
            self._take_back()
            self._take_back = None

    def _set(self, when: float) -> None:
        if self._take_back is not None:
            self._take_back()
        self._rings_at, self._take_back = when, self._driver.call_at(when, self._ring)

    def _ring(self) -> None:
        self._rings_at, self._take_back = math.inf, None
        if self._scope is None:
            return  # between two waits: the next sets it again
        if self._driver.now() < self._ends:
            self._set(self._ends)
        else:
            self._scope.cancel()
