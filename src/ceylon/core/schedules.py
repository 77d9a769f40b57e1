"""When something is due: once, or again and again; counted in seconds, or read from the clock on the wall.

A schedule knows no agent and sets no timer. What is due next follows from what was due last, not from when it was done:
so nothing drifts, and what was missed (a machine slept, a loop was held) is made good by one run.
"""

import math
from datetime import datetime
from typing import Any, Protocol

import msgspec

from ceylon.core.cron import CronTimes
from ceylon.errors import ArgumentError

__all__ = ["Cron", "Every", "Once", "OnceAt", "Schedule", "once_at"]


class Schedule(Protocol):
    """Says when; in seconds on the mesh's clock, or since 1970 where it goes by the clock on the wall."""

    @property
    def is_by_the_clock(self) -> bool:
        """Whether it goes by the clock on the wall, which may be set."""
        ...

    @property
    def comes_once(self) -> bool:
        """Whether it is never due again."""
        ...

    def first(self, now: float) -> float:
        """Return when it is due for the first time."""
        ...

    def next(self, due: float, now: float) -> float | None:
        """Return when it is due again, after *now*, having been due at *due*; `None`: never."""
        ...


class Once(msgspec.Struct, frozen=True):
    """In so many seconds."""

    seconds: float

    is_by_the_clock = False
    comes_once = True

    def first(self, now: float) -> float:
        """See `Schedule`."""
        return now + self.seconds

    def next(self, due: float, now: float) -> None:
        """See `Schedule`."""


class Every(msgspec.Struct, frozen=True):
    """Every so many seconds, the first time after as many."""

    seconds: float

    is_by_the_clock = False
    comes_once = False

    def first(self, now: float) -> float:
        """See `Schedule`."""
        return now + self.seconds

    def next(self, due: float, now: float) -> float:
        """See `Schedule`."""
        missed = max(0.0, (now - due) // self.seconds)
        following = due + (missed + 1.0) * self.seconds
        return following if following > now else math.nextafter(now, math.inf)  # so short a time that it rounds to none


class OnceAt(msgspec.Struct, frozen=True):
    """At one moment, in seconds since 1970; at once if that is over."""

    moment: float

    is_by_the_clock = True
    comes_once = True

    def first(self, now: float) -> float:
        """See `Schedule`."""
        del now
        return self.moment

    def next(self, due: float, now: float) -> None:
        """See `Schedule`."""


class Cron:
    """Whenever a cron expression says so."""

    is_by_the_clock = True
    comes_once = False

    def __init__(self, expression: str, timezone: str | None) -> None:
        self._times = CronTimes(expression, timezone)

    def __repr__(self) -> str:
        return f"<Cron {self._times.expression!r} in {self._times.zone}>"

    def first(self, now: float) -> float:
        """See `Schedule`."""
        return self._times.after(now)

    def next(self, due: float, now: float) -> float:
        """See `Schedule`."""
        return self._times.after(max(due, now))


def once_at(when: Any) -> OnceAt:
    """Return the schedule for *when*, a moment with a time zone.

    Raises:
        ArgumentError: it is no such thing.
    """
    if not isinstance(when, datetime) or when.tzinfo is None or when.utcoffset() is None:
        message = (
            f"{when!r} is no moment that is the same everywhere; give a datetime with a time zone, such as "
            "datetime(2027, 1, 31, 9, 0, tzinfo=UTC)"
        )
        raise ArgumentError(message)
    return OnceAt(when.timestamp())
