"""How far a run of a pipeline is, on a terminal: a live table of its stages, one line without `rich`, or a function."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol, TypeAlias

from ceylon.agents.progress import Line, has_rich, is_shown
from ceylon.pipelines.live import Live
from ceylon.pipelines.tally import Tally

__all__ = ["PipelineDisplay", "PipelineProgress", "display_for_pipeline"]

PipelineProgress: TypeAlias = bool | Callable[[Any], None] | None
"""`None`: shown on a terminal. `True`, `False`: always, never. A function gets each `StageEvent`."""

_PAUSE: Final = 0.1  # seconds between two writings of the one line; nobody reads faster


class PipelineDisplay(Protocol):
    """Something that shows how far a run is; what does not watch needs no events to be made for it."""

    watches: bool

    def see(self, event: Any) -> None:
        """Take note of an event of the run."""
        ...

    def close(self) -> None:
        """Leave the terminal as it was."""
        ...


def display_for_pipeline(progress: Any, description: Mapping[str, Any]) -> PipelineDisplay:
    """Return what *progress* asks for: a display of the pipeline with this `describe()`.

    Raises:
        ArgumentError: it is nothing of the kind.
    """
    if callable(progress):
        return Told(progress)
    if not is_shown(progress, "a function of an event"):
        return Silent()
    return Live(description) if has_rich() else Counter(str(description.get("name") or "pipeline"))


class Silent:
    """Shows nothing."""

    watches = False

    def see(self, event: Any) -> None:
        """See `PipelineDisplay`."""

    def close(self) -> None:
        """See `PipelineDisplay`."""


class Told:
    """Tells a function."""

    watches = True

    def __init__(self, function: Callable[[Any], None]) -> None:
        self._function = function

    def see(self, event: Any) -> None:
        """See `PipelineDisplay`."""
        self._function(event)

    def close(self) -> None:
        """See `PipelineDisplay`."""


class Counter:
    """Counts the stages in one line, ten times a second at most."""

    watches = True

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._clock = clock
        self._tally = Tally()
        self._line = Line()
        self._next = float("-inf")

    def see(self, event: Any) -> None:
        """See `PipelineDisplay`."""
        self._tally.see(event)
        now = self._clock()
        if now >= self._next:
            self._next = now + _PAUSE
            self._show()

    def close(self) -> None:
        """See `PipelineDisplay`."""
        if self._tally.places:
            self._show()
        self._line.close()

    def _show(self) -> None:
        places = self._tally.places.values()
        counts = {word: sum(getattr(place, word) for place in places) for word in ("ended", "failed", "running")}
        said = ", ".join(f"{number:,} {word}" for word, number in counts.items() if number or word == "ended")
        self._line.show(f"{self._name}: {said}")
