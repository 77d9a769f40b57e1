"""Cron expressions, read by the parser of the extra `cron`: cronsim, which also knows what summer time does to them."""

from datetime import UTC, datetime, tzinfo
from typing import Any, Final

from ceylon.errors import ArgumentError, MissingPackageError

__all__ = ["CronTimes"]

_FORMS: Final = "five fields, minute hour day month weekday: '*/15 * * * *', '0 9 * * mon-fri', '30 2 1 * *'"


class CronTimes:
    """The moments of one expression in one time zone.

    A day that skips 2:30 has the run of 2:30 as soon as the clock goes on; one that has 2:30 twice runs it once. What
    runs every hour, or more often, goes by hours that pass. All that is cronsim's, which follows Debian's cron.

    Args:
        expression: Five fields, or six with seconds first.
        timezone: A name such as ``"Europe/Lisbon"``; `None` for UTC.

    Raises:
        ArgumentError: no such expression, one that never comes true, or no such zone.
        MissingPackageError: the extra `cron` is not installed.
    """

    def __init__(self, expression: Any, timezone: Any) -> None:
        if not isinstance(expression, str):
            message = f"{expression!r} is no cron expression; write {_FORMS}"
            raise ArgumentError(message)
        self.expression = expression
        self.zone = "UTC" if timezone is None else timezone
        self._zone = _zone(timezone)
        self.after(0.0)

    def after(self, now: float) -> float:
        """Return the first moment after *now*, both in seconds since 1970."""
        simulator, its_error = _parser()
        try:
            for found in simulator(self.expression, datetime.fromtimestamp(now, self._zone)):
                if found.timestamp() > now:  # in the hour that comes twice, the first 1:30 may be over
                    return float(found.timestamp())
        except its_error as error:
            message = f"{self.expression!r} is no cron expression: {str(error).lower()}; write {_FORMS}"
            raise ArgumentError(message) from error
        message = f"the cron expression {self.expression!r} never comes true"
        raise ArgumentError(message)


def _parser() -> tuple[Any, Any]:
    """Return the parser's class, and the class of its errors."""
    try:
        from cronsim import CronSim, CronSimError  # noqa: PLC0415 – an extra
    except ImportError as error:
        what = "a cron expression"
        raise MissingPackageError(what, "cronsim", "cron") from error
    return CronSim, CronSimError


def _zone(name: Any) -> tzinfo:
    """Return the time zone called *name*.

    Raises:
        ArgumentError: there is none.
    """
    if name is None:
        return UTC
    from zoneinfo import ZoneInfo  # noqa: PLC0415 – 2 ms that few need

    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, TypeError, OSError) as error:
        message = f"there is no time zone {name!r} here; write one as 'Europe/Lisbon', or leave it out for UTC"
        raise ArgumentError(message) from error
