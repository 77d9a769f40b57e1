"""How far a run of a pipeline is, on a terminal: a live table of its stages, or one line where `rich` cannot draw."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from ceylon.agents.progress import Line, has_rich, is_shown
from ceylon.pipelines.live import Live
from ceylon.pipelines.showing import Display
from ceylon.pipelines.tally import Tally

__all__ = ["display_for_pipeline"]

_PAUSE: Final = 0.1  # seconds between two writings of the one line; nobody reads faster


def display_for_pipeline(progress: object, description: Mapping[str, Any]) -> Display | None:
    """Return a display of the pipeline with this `describe()`; `None` if nothing is to be shown.

    Functions are no business of this module, which is loaded for terminals only; see `ceylon.pipelines.showing`.

    Raises:
        ArgumentError: *progress* is nothing of the kind.
    """
    if not is_shown(progress, "a function of an event"):
        return None
    return Live(description) if has_rich() else Counter(str(description.get("name") or "pipeline"))


class Counter:
    """Counts the stages in one line, ten times a second at most."""

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._clock = clock
        self._tally = Tally()
        self._line = Line()
        self._next = float("-inf")

    def see(self, event: Any) -> None:
        """See `Display`."""
        self._tally.see(event)
        now = self._clock()
        if now >= self._next:
            self._next = now + _PAUSE
            self._show()

    def close(self) -> None:
        """See `Display`."""
        if self._tally.places:
            self._show()
        self._line.close()

    def _show(self) -> None:
        places = self._tally.places.values()
        counts = {word: sum(getattr(place, word) for place in places) for word in ("ended", "failed", "running")}
        said = ", ".join(f"{number:,} {word}" for word, number in counts.items() if number or word == "ended")
        self._line.show(f"{self._name}: {said}")
