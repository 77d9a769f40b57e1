"""Where a mesh has the time of day and its chance from: one seam, so that a recording can keep and repeat both."""

import random
from collections.abc import Callable
from typing import Protocol

__all__ = ["OwnSources", "Sources"]


class Sources(Protocol):
    """What cannot be known beforehand. Each agent reads for itself: others beside it do not change what it gets."""

    def now(self, address: str) -> float:
        """Return the seconds since 1970 that the agent at *address* is told; from any thread."""
        ...

    def chance(self, address: str) -> random.Random:
        """Return what the agent at *address* draws from; the mesh itself, for its pauses, is ``""``."""
        ...


class OwnSources:
    """The mesh's own: one clock and one source for all agents."""

    def __init__(self, clock: Callable[[], float], random_source: random.Random) -> None:
        self._clock, self._random = clock, random_source

    def now(self, address: str) -> float:
        """See `Sources`."""
        del address
        return self._clock()

    def chance(self, address: str) -> random.Random:
        """See `Sources`."""
        del address
        return self._random
