"""One rate limit as a bucket that fills up again: the provider's own figures, and between its answers our own."""

import math
from typing import Final

from ceylon.models.governor.limits import Quota

__all__ = ["Bucket"]

_MINUTE: Final = 60.0  # what limits are per, unless an answer says otherwise


class Bucket:
    """Holds nothing back before the provider has told of a limit."""

    def __init__(self) -> None:
        self._limit = math.inf
        self._left = math.inf
        self._rate = 0.0  # what comes back in a second
        self._at = 0.0

    def __repr__(self) -> str:
        return f"<Bucket {self._left:g} of {self._limit:g}>"

    def learn(self, quota: Quota, now: float) -> None:
        """Take in what an answer says; of it and our own count the lower one holds, others may use the same key."""
        left = self._now(now)
        self._limit = quota.limit
        used = quota.limit - quota.remaining
        if quota.reset and used > 0:
            self._rate = used / quota.reset
        elif not self._rate:
            self._rate = quota.limit / _MINUTE
        self._left, self._at = min(left, quota.remaining), now

    def take(self, count: float, now: float) -> None:
        """Count *count* as used."""
        if self._limit < math.inf:
            self._left, self._at = self._now(now) - min(count, self._limit), now

    def give_back(self, count: float) -> None:
        """Count *count* as not used after all."""
        self._left = min(self._limit, self._left + count)

    def ready_at(self, count: float, now: float) -> float:
        """Return when *count* is there; what is more than there ever is counts as all there is."""
        missing = min(count, self._limit) - self._now(now)
        if self._limit == math.inf or missing <= 0:
            return now
        return now + missing / self._rate if self._rate > 0 else now + _MINUTE

    def _now(self, now: float) -> float:
        return min(self._limit, self._left + self._rate * (now - self._at))
