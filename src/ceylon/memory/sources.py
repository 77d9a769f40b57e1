"""Where memories have the time and the ids of notes from: one seam, so that a recording can repeat both.

It is the process's, as `ceylon.models.stand_ins` are: a memory may be used without any mesh.
"""

import time
from typing import Final, Protocol

from ceylon.core.ids import new_id

__all__ = ["MemorySources", "id_of_note", "memory_sources", "time_of_day"]


class MemorySources(Protocol):
    """What cannot be known beforehand; from any thread."""

    def now(self) -> float:
        """Return the seconds since 1970."""
        ...

    def new_id(self, namespace: str, text: str) -> str:
        """Return the id of a note that has none: *text*, to be kept under *namespace*."""
        ...


memory_sources: Final[list[MemorySources]] = []
"""The first is asked; empty but in tests that record or replay."""


def time_of_day() -> float:
    """Return the time in seconds since 1970, for memories that are given no clock of their own."""
    return memory_sources[0].now() if memory_sources else time.time()


def id_of_note(namespace: str, text: str) -> str:
    """Return the id of a note that was given none."""
    return memory_sources[0].new_id(namespace, text) if memory_sources else new_id()
