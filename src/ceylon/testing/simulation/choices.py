"""The decisions a seed makes: the same ones every time, and as many of them as one likes."""

import random
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import msgspec

__all__ = ["NO_CUTS", "Choices", "Cuts", "ShuffledDeque"]


class Cuts(msgspec.Struct, frozen=True, kw_only=True):
    """What a run leaves out of what its seed decides: a failing one is made smaller that way.

    Attributes:
        decisions: So many of the scheduler's are random, the others the usual ones; `None`: all of them.
        without: Activities that `Simulation.some_of` does not choose.
        schedule: Which of the seed's schedules: 0 is its own, any other number one beside it.
        repetitions: What `Simulation.times` returns at most; `None`: what it is asked for.
    """

    decisions: int | None = None
    schedule: int = 0
    without: frozenset[str] = frozenset()
    repetitions: int | None = None


NO_CUTS: Final = Cuts()


class Choices:
    """Random decisions of one kind. From a limit on they are the ones a program without a simulation would make.

    That is how a failing run is made smaller: it is run again with fewer decisions, as long as it still fails.
    """

    def __init__(self, seed: int, kind: str, limit: int | None = None) -> None:
        self._random = random.Random(f"{seed} {kind}")  # noqa: S311 – repeatable is the point
        self._limit = limit
        self.made = 0

    def _is_free(self) -> bool:
        """Count one decision, and say whether it is still random."""
        self.made += 1
        return self._limit is None or self.made <= self._limit

    def below(self, count: int) -> int:
        """Return a number from 0 on, below *count*."""
        return self._random.randrange(count) if count > 1 and self._is_free() else 0

    def chance(self, rate: float) -> bool:
        """Say yes at *rate*."""
        return rate > 0 and self._is_free() and self._random.random() < rate

    def seconds(self, most: float) -> float:
        """Return a time: of every order of magnitude from a thousandth of *most* to *most*."""
        return round(self._random.uniform(0.1, 1.0) * most * 10.0 ** -self._random.randrange(3), 6)


class ShuffledDeque(deque[Any]):
    """A queue whose first element is any of its elements."""

    def __init__(self, choose: Callable[[int], int]) -> None:
        super().__init__()
        self._choose = choose

    def popleft(self) -> Any:
        """Take one out."""
        place = self._choose(len(self))
        if not place:
            return super().popleft()
        taken = self[place]
        del self[place]
        return taken
