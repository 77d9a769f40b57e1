"""How fast requests may follow each other, found out by trying: a provider without headers says no (429) at its limit.

Multiplicative increase by little, multiplicative decrease, around what the provider has been seen to take. A pace, not
a number of requests under way: answers take from a second to minutes, and limits are per minute all the same.
"""

import math
from typing import Final

from ceylon.models.governor.minute import Minute

__all__ = ["Pace"]

_MINUTE: Final = 60.0
_KEPT: Final = 0.92  # of the pace, after a refusal; little, because it is near the limit by then
_LEAST_KEPT: Final = 0.5
_SLOWEST: Final = 1 / _MINUTE
_GROWTH: Final = 0.002  # a request that is answered; so about one request in fifty is refused, of those that find out
_FASTEST_GROWTH: Final = 0.02
_ENOUGH: Final = 5  # requests taken, to judge a pace by
_DOUBLES: Final = 100  # answers without a refusal, after which it grows twice as fast: the limit seems to be elsewhere


class Pace:
    """Unlimited, but for a ramp of *step* at the beginning, until somebody is refused.

    A first refusal by itself proves little: nobody then waits longer than *pause*.
    """

    def __init__(self, step: int, pause: float) -> None:
        self._step = step
        self._first_rate = 1.0 / pause if pause > 0 else math.inf
        self._rate = math.inf
        self._next = -math.inf
        self._accepted = Minute()
        self._busy_since = 0.0
        self._shrunk_at = -math.inf
        self._answers = 0  # since a refusal
        self._was_told = False
        self._is_rough = True  # the limit has been met once at most
        self.room = step
        self.is_known = False  # whether somebody has been refused; before that only `room` requests may be under way

    def __repr__(self) -> str:
        return f"<Pace {self._rate:.2f} a second>" if self.is_known else f"<Pace unlimited, up to {self.room} at once>"

    @property
    def next_at(self) -> float:
        """When the next request may go."""
        return self._next

    def widen(self) -> None:
        """Nobody has been refused for a moment."""
        self.room += self._step

    def sent(self, now: float, under_way: int) -> None:
        """Take note that a request goes; *under_way* counts it."""
        if under_way == 1 and self._accepted.count(now) == 0:
            self._busy_since = now
        self._accepted.add(now)
        if self.is_known:
            self._next = max(now, self._next) + 1.0 / self._rate

    def answered(self) -> None:
        """Take note that a request was answered."""
        self.room += 1
        if self.is_known:
            self._answers += 1
            growth = _FASTEST_GROWTH if self._is_rough else _GROWTH * 2.0 ** min(10, self._answers // _DOUBLES)
            self._rate *= 1.0 + min(growth, _FASTEST_GROWTH)

    def refused(self, sent_at: float, now: float, *, is_told: bool) -> bool:
        """Take note that a request sent at *sent_at* was refused; say whether that is news: it was sent since the last.

        If it *is_told* how long that is so, and the provider has taken next to nothing yet, the pace stays open.
        """
        self._accepted.add(now, -1)
        if sent_at < self._shrunk_at:
            return False
        if is_told and not self.is_known and not self._was_told and self._accepted.count(now) < _ENOUGH:
            self._was_told, self.room, self._shrunk_at = True, self._step, now
            return True
        seen = max(0, self._accepted.count(now)) / max(1.0, min(_MINUTE, now - self._busy_since))
        if self.is_known:
            self._is_rough = self._is_rough and self._answers == 0
            self._rate = min(self._rate * _KEPT, max(seen, self._rate * _LEAST_KEPT))
        else:
            self._rate = max(seen, self._first_rate)
        self._rate = max(self._rate, _SLOWEST)
        self.is_known = self._rate < math.inf
        self._next = now + 1.0 / self._rate
        self._shrunk_at, self._answers = now, 0
        return True
