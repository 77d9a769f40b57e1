"""How many requests may be under way at once, found out by trying: the provider says no (429) when it is too many.

Additive increase, multiplicative decrease, as in TCP, and like its later kinds it remembers where it met the limit:
up to there it grows quickly again, beyond it slowly. So few requests are refused, and little of the quota goes unused.
"""

import math
from typing import Final

__all__ = ["Window"]

_AT_FIRST: Final = 0.5  # kept after a refusal while the limit is far off
_LATER: Final = 0.85  # kept when it is near
_SLOWLY: Final = 0.1  # of the usual growth, beyond what was refused


class Window:
    """Grows with answers, shrinks with refusals, and only once for all requests that were under way then."""

    def __init__(self, size: int) -> None:
        self._size = float(size)
        self._ceiling = math.inf
        self._shrunk_at = -math.inf
        self._keeps = _AT_FIRST

    def __repr__(self) -> str:
        return f"<Window {self._size:.1f}>"

    @property
    def size(self) -> int:
        """How many requests may be under way."""
        return max(1, int(self._size))

    def grow(self, under_way: int) -> None:
        """A request was answered; *under_way* counts it. A window that is not filled proves nothing and stays."""
        if under_way + 1 < self._size:
            return
        if self._ceiling == math.inf:
            self._size += 1.0  # doubles in the time of an answer
        elif self._size < self._ceiling:
            self._size = min(self._ceiling, self._size + 1.0 / self._size)
        else:
            self._size += _SLOWLY / self._size
        if self._size >= self._ceiling:
            self._keeps = _LATER

    def shrink(self, sent_at: float, under_way: int, now: float) -> bool:
        """A request sent at *sent_at* was refused; say whether that is news."""
        if sent_at < self._shrunk_at:
            return False
        self._ceiling = max(1.0, min(self._size, under_way))
        self._size = max(1.0, self._ceiling * self._keeps)
        self._keeps, self._shrunk_at = _AT_FIRST, now
        return True
