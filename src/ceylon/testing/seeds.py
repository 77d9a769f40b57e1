"""Which seeds a test run uses: what the test says, unless whoever runs it says otherwise.

The pytest plugin hands over its options with `choose`; without it, `$CEYLON_SEED` and `$CEYLON_SEEDS` do the same.
"""

import os
from collections.abc import Iterable

import msgspec

from ceylon.errors import ArgumentError

__all__ = ["choose", "seeds_for"]


class _Chosen(msgspec.Struct):
    """What the command line said."""

    only: int | None = None
    count: int | None = None


_chosen = _Chosen()  # of the process, as the command line is


def choose(*, only: int | None = None, count: int | None = None) -> None:
    """Let every simulation run the seed *only*, or *count* seeds; `None` leaves that to the test."""
    _chosen.only, _chosen.count = only, count


def seeds_for(seeds: int | Iterable[int]) -> list[int]:
    """Return the seeds to run, where the test itself asks for *seeds*: so many, or these."""
    only = _chosen.only if _chosen.only is not None else _number("CEYLON_SEED")
    if only is not None:
        return [only]
    count = _chosen.count if _chosen.count is not None else _number("CEYLON_SEEDS")
    if count is not None:
        return list(range(count))
    return list(range(seeds)) if isinstance(seeds, int) else list(seeds)


def _number(variable: str) -> int | None:
    said = os.environ.get(variable, "")
    if not said:
        return None
    try:
        return int(said)
    except ValueError:
        message = f"${variable} is {said!r}; it takes a number"
        raise ArgumentError(message) from None
