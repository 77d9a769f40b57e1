"""Stretches of time, as people write them: seconds, ``"250ms"``, ``"1h30m"``, or a `timedelta`."""

import math
import re
from datetime import timedelta
from typing import Final, TypeAlias

from ceylon.errors import ArgumentError

__all__ = ["Duration", "is_time", "no_time", "seconds_of"]

Duration: TypeAlias = float | str | timedelta
"""Seconds as a number, text such as ``"250ms"``, ``"5m"``, ``"1h30m"`` or ``"1 day"``, or a `timedelta`."""

_UNITS: Final = (  # from the longest to the shortest, as a text has them
    (604_800.0, ("w", "week", "weeks")),
    (86_400.0, ("d", "day", "days")),
    (3_600.0, ("h", "hour", "hours")),
    (60.0, ("m", "min", "minute", "minutes")),
    (1.0, ("s", "sec", "second", "seconds")),
    (0.001, ("ms", "millisecond", "milliseconds")),
)
_PLACES: Final = {name: place for place, (_, names) in enumerate(_UNITS) for name in names}
_PART: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)", re.ASCII)
_LONGEST: Final = 64
"""Characters of a text that is looked at."""


def seconds_of(duration: Duration, *, again: bool = False) -> float:
    """Return *duration* in seconds; *again*: to be waited for again and again, so it may not be 0.

    Raises:
        ArgumentError: it is no time one can wait: negative, infinite, no number, or text that is not understood.
    """
    if isinstance(duration, timedelta):
        seconds: object = duration.total_seconds()
    elif isinstance(duration, str):
        seconds = _read(duration.strip())
    else:
        seconds = duration
    if (
        not isinstance(seconds, int | float)
        or isinstance(seconds, bool)
        or not 0 <= seconds < math.inf
        or (again and not seconds)
    ):
        least = ", and more than 0 here" if again else ""
        message = (
            f"{duration!r} is no time to wait; give seconds, a finite number{least}, or text: "
            "'250ms', '30s', '5m', '1h30m', '1 day', '2 weeks', the longest unit first"
        )
        raise ArgumentError(message)
    return float(seconds)


def is_time(seconds: object) -> bool:
    """Say whether one can wait so many *seconds*: of the verbs, which take a plain number and nothing else."""
    try:
        return bool(0 <= seconds < math.inf)  # type: ignore[operator]
    except TypeError:
        return False


def no_time(value: object, name: str = "timeout") -> ArgumentError:
    """Return what to raise for the *value* of an argument called *name* that is no such number of seconds."""
    meant = ""
    if isinstance(value, str | timedelta):
        try:
            meant = f": {name}={seconds_of(value):g}"
        except ArgumentError:
            meant = ""
    return ArgumentError(f"{name}={value!r} is no time to wait; give seconds, a finite number{meant}")


def _read(text: str) -> float | None:
    """Return the seconds that *text* says; `None` if it says something else."""
    seconds, at, last = 0.0, 0, -1
    if not text or len(text) > _LONGEST:
        return None
    while at < len(text):
        part = _PART.match(text, at)
        place = _PLACES.get(part[2], -1) if part is not None else -1
        if part is None or place <= last:
            return None
        seconds += float(part[1]) * _UNITS[place][0]
        at, last = part.end(), place
    return seconds
