"""Count what became of each place of a pipeline, from the events of a run; a picture and a display both show it."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from ceylon.core.mermaid import Mark
from ceylon.errors import ArgumentError

__all__ = ["Place", "Tally", "seconds_of", "tally_of"]

_ENDS: Final = frozenset({"ended", "failed", "cancelled"})
_MOST_ERROR: Final = 80  # characters of an error's words that are shown


class Seen(msgspec.Struct, frozen=True):
    """What is looked at of an event, which may be a message or a plain dict."""

    id: int
    place: str
    what: str
    parent: int = 0
    at: float = 0.0
    error: str = ""


class Place(msgspec.Struct):
    """What is known of one place: how often it was begun, how that ended, and how long it took.

    `seconds` is the sum over all that is over, `longest` the longest of these, `since` when the last was begun, `error`
    what the last failure said.
    """

    begun: int = 0
    ended: int = 0
    failed: int = 0
    cancelled: int = 0
    skipped: int = 0
    retried: int = 0
    parts: int = 0
    seconds: float = 0.0
    longest: float = 0.0
    since: float = 0.0
    error: str = ""

    def end(self, seen: "Seen", seconds: float) -> None:
        """Count one that is over."""
        if seen.what == "ended":
            self.ended += 1
        elif seen.what == "failed":
            self.failed += 1
            self.error = seen.error
        else:
            self.cancelled += 1
        self.seconds += seconds
        self.longest = max(self.longest, seconds)

    @property
    def over(self) -> int:
        """How many are over, in any way."""
        return self.ended + self.failed + self.cancelled

    @property
    def running(self) -> int:
        """How many are not over."""
        return self.begun - self.over

    @property
    def mark(self) -> Mark:
        """The colour of the place."""
        if self.running:
            return "running"
        if self.failed:
            return "partly" if self.ended else "failed"
        if self.ended:
            return "ended"
        return "cancelled" if self.cancelled else "never"

    def said(self) -> list[str]:
        """Say it in a line or two; nothing of a place that was never reached."""
        if not self.begun:
            return ["skipped"] if self.skipped else []
        again = [f"{self.retried:,} retried"] if self.retried else []
        lines = [self._once()] if self.begun == 1 else [self._counts(), *self._times()]
        return [*lines, *again]

    def complaint(self) -> str:
        """Return what the last failure said, or the beginning of that."""
        return self.error if len(self.error) <= _MOST_ERROR else f"{self.error[: _MOST_ERROR - 1]}…"

    def _once(self) -> str:
        took = seconds_of(self.seconds)
        if self.running:
            return "running"
        return took if self.ended else f"failed after {took}" if self.failed else f"cancelled after {took}"

    def _counts(self) -> str:
        numbers = {"failed": self.failed, "cancelled": self.cancelled, "running": self.running}
        return ", ".join([f"×{self.begun:,}", *(f"{number:,} {word}" for word, number in numbers.items() if number)])

    def _times(self) -> list[str]:
        if not self.over:
            return []
        each, longest = seconds_of(self.seconds / self.over), seconds_of(self.longest)
        return [f"{each} each" if each == longest else f"{each} each, up to {longest}"]


class Tally:
    """The places of one run, while its events come in; events may be messages or plain dicts.

    A stage may be another pipeline's agent, whose stages show up in the events with places of their own tree. They
    belong to the stage that they are parts of, and are not counted here.
    """

    def __init__(self) -> None:
        self.places: dict[str, Place] = {}
        self.begun_at: dict[int, float] = {}  # of the executions under way
        self.now = 0.0  # of the last event
        self._place_of: dict[int, str | None] = {}  # of an execution; `None`: of another pipeline's tree

    def see(self, event: Any) -> None:
        """Count *event*.

        Raises:
            ArgumentError: it is none.
        """
        try:
            seen = msgspec.convert(event, Seen, from_attributes=True)
        except msgspec.ValidationError as error:
            message = f"{event!r} is no event of a pipeline; give what `pipeline.stream(...)` yields"
            raise ArgumentError(message) from error
        self.now = max(self.now, seen.at)
        place = self._place_of[seen.id] if seen.id in self._place_of else self._placed(seen)
        if seen.what == "started":
            self._place_of[seen.id] = place
        if place is not None:
            self._count(self.places.setdefault(place, Place()), seen)
        if seen.what in _ENDS:
            self._place_of.pop(seen.id, None)

    def _count(self, place: Place, seen: Seen) -> None:
        match seen.what:
            case "started":
                place.begun += 1
                place.since = seen.at
                self.begun_at[seen.id] = seen.at
            case "part":
                place.parts += 1
            case "retried":
                place.retried += 1
            case "skipped":
                place.skipped += 1
            case _:
                place.end(seen, seen.at - self.begun_at.pop(seen.id, seen.at))

    def _placed(self, seen: Seen) -> str | None:
        """Return the event's place, if it is below that of the execution that contains it."""
        if seen.parent not in self._place_of:
            return seen.place
        above = self._place_of[seen.parent]
        is_below = above is not None and seen.place != above and seen.place.startswith(f"{above}." if above else "")
        return seen.place if is_below else None


def tally_of(events: Iterable[Any]) -> Tally:
    """Return the count of a whole run, or of as much of it as there is."""
    tally = Tally()
    for event in events:
        tally.see(event)
    return tally


def seconds_of(seconds: float) -> str:
    """Say how long *seconds* are, as exactly as one wants to know."""
    if seconds < 0.005:  # noqa: PLR2004 – it would read as nothing at all
        return "<0.01 s"
    if seconds < 10:  # noqa: PLR2004 – two digits behind the point are enough from here on …
        return f"{seconds:.2f} s"
    if seconds < 120:  # noqa: PLR2004 – … and here one
        return f"{seconds:.1f} s"
    return f"{int(seconds) // 60:,} min {int(seconds) % 60:02} s"
