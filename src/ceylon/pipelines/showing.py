"""Show a run while it goes on: to a function, or on a terminal."""

import importlib
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from ceylon.pipelines.events import StageEvent

__all__ = ["Display", "Progress", "display_for"]

Progress: TypeAlias = "bool | Callable[[StageEvent], object] | None"
"""`None`: shown on a terminal; `False`: never; `True`: always; or a function of each event."""


class Display(Protocol):
    """Whatever sees the events of a run."""

    def see(self, event: "StageEvent") -> None:
        """Show *event*."""
        ...

    def close(self) -> None:
        """Leave the terminal in order."""
        ...


class _Told:
    """Hands events to a function."""

    def __init__(self, function: "Callable[[StageEvent], object]") -> None:
        self._function = function

    def see(self, event: "StageEvent") -> None:
        """See `Display`."""
        self._function(event)

    def close(self) -> None:
        """See `Display`."""


def display_for(progress: Progress, describe: Callable[[], dict[str, Any]]) -> Display | None:
    """Return what shows a run; `None` if nothing does."""
    if callable(progress):
        return _Told(progress)
    if progress is False or (progress is None and not sys.stderr.isatty()):
        return None
    module = importlib.import_module("ceylon.pipelines.progress")  # loads the terminal's library
    made: Display | None = module.display_for_pipeline(progress, describe())
    return made
