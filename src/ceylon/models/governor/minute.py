"""Count what happened in the last minute, by the second."""

from collections import deque
from typing import Final

__all__ = ["Minute"]

_SECONDS: Final = 60


class Minute:
    """Keeps a number a second, however much happens."""

    def __init__(self) -> None:
        self._seconds: deque[list[int]] = deque()
        self._now: list[int] = [-1, 0]  # the last of them
        self._total = 0

    def __repr__(self) -> str:
        return f"<Minute {self._total}>"

    def add(self, now: float, count: int = 1) -> None:
        """Count something that happens now."""
        second = int(now)
        if self._now[0] != second:
            self._now = [second, 0]
            self._seconds.append(self._now)
            self._forget(now)
        self._now[1] += count
        self._total += count

    def count(self, now: float) -> int:
        """Return how much there was in the last minute."""
        if self._now[0] != int(now):
            self._forget(now)
        return self._total

    def changes_at(self, now: float) -> float:
        """Return when something in it will be a minute ago."""
        return self._seconds[0][0] + _SECONDS + 1.0 if self._seconds else now + 1.0

    def _forget(self, now: float) -> None:
        while self._seconds and self._seconds[0][0] + _SECONDS < int(now):
            self._total -= self._seconds.popleft()[1]
