"""Which seeds a test run uses: what the test says, unless whoever runs it says otherwise.

They say so by `$CEYLON_SEED` and `$CEYLON_SEEDS`; the pytest plugin's options set these for the run.
"""

import os
from collections.abc import Iterable
from typing import Any

from ceylon.errors import ArgumentError

__all__ = ["check_seeds", "seeds_for"]

_EXPECTED = "it takes a number from 1, or the seeds themselves, as in `seeds=[17]`"


def check_seeds(seeds: int | Iterable[Any]) -> int | tuple[int, ...]:
    """Return *seeds* as they can be read again and again.

    Raises:
        ArgumentError: there are none: such a test would pass without having run.
    """
    wanted = seeds if isinstance(seeds, int) else tuple(seeds)
    if isinstance(wanted, tuple):
        is_fine = bool(wanted) and all(isinstance(seed, int) for seed in wanted)
    else:
        is_fine = wanted > 0
    if not is_fine:
        message = f"seeds={seeds!r} cannot be; {_EXPECTED}"
        raise ArgumentError(message)
    return wanted


def seeds_for(seeds: int | Iterable[int]) -> list[int]:
    """Return the seeds to run, where the test itself asks for *seeds*: so many, or these."""
    only = _number("CEYLON_SEED", least=0)
    if only is not None:
        return [only]
    count = _number("CEYLON_SEEDS", least=1)
    if count is not None:
        return list(range(count))
    return list(range(seeds)) if isinstance(seeds, int) else list(seeds)


def _number(variable: str, *, least: int) -> int | None:
    said = os.environ.get(variable, "")
    if not said:
        return None
    if not said.isdecimal() or int(said) < least:
        message = f"${variable} is {said!r}; it takes a whole number from {least}"
        raise ArgumentError(message)
    return int(said)
