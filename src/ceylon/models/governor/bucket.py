"""Rate limits as buckets that fill up again: the provider's own figures, and between its answers our own."""

import math
from typing import Final

from ceylon.models.governor.limits import Limits, Quota

__all__ = ["Bucket", "Buckets"]

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


class Buckets:
    """The limits that one provider may tell of; what a request needs and has used are tokens of question and answer."""

    def __init__(self) -> None:
        self._requests, self._tokens, self._input, self._output = Bucket(), Bucket(), Bucket(), Bucket()

    def learn(self, limits: Limits, now: float) -> None:
        """Take in what an answer says."""
        pairs = (
            (self._requests, limits.requests),
            (self._tokens, limits.tokens),
            (self._input, limits.input),
            (self._output, limits.output),
        )
        for bucket, quota in pairs:
            if quota is not None:
                bucket.learn(quota, now)

    def ready_at(self, need: tuple[int, int], now: float) -> float:
        """Return when a request that needs so much may go."""
        return max(
            self._requests.ready_at(1, now),
            self._tokens.ready_at(sum(need), now),
            self._input.ready_at(need[0], now),
            self._output.ready_at(need[1], now),
        )

    def take(self, need: tuple[int, int], now: float) -> None:
        """Count a request that goes."""
        self._requests.take(1, now)
        self._tokens.take(sum(need), now)
        self._input.take(need[0], now)
        self._output.take(need[1], now)

    def give_back(self, need: tuple[int, int], used: tuple[int, int]) -> None:
        """Count what was not used of it as not taken."""
        spare = need[0] - used[0], need[1] - used[1]
        self._tokens.give_back(sum(spare))
        self._input.give_back(spare[0])
        self._output.give_back(spare[1])
