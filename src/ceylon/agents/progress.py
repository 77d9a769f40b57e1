"""How far a batch is: one line on stderr, a bar where `rich` is installed, or the caller's own function."""

import importlib.util
import os
import sys
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

from ceylon.errors import ArgumentError

__all__ = ["Display", "Line", "Progress", "display_for", "has_rich", "is_shown"]

Progress: TypeAlias = bool | Callable[[int, int], None] | None
"""`None`: shown on a terminal. `True`, `False`: always, never. A function gets what is done and the total."""


class Display(Protocol):
    """Something that shows how far a batch is."""

    def update(self, done: int, total: int) -> None:
        """Show that *done* of *total* are answered."""
        ...

    def close(self) -> None:
        """Leave the terminal as it was."""
        ...


def display_for(progress: Any) -> Display:
    """Return what *progress* asks for.

    Raises:
        ArgumentError: it is nothing of the kind.
    """
    if callable(progress):
        told: Any = progress
        return Told(told)
    if not is_shown(progress, "a function of done and total"):
        return Silent()
    return Bar() if has_rich() else Counter()


def is_shown(progress: object, otherwise: str) -> bool:
    """Say whether to show what *progress*, which is no function, asks for: on a terminal, always or never.

    Raises:
        ArgumentError: it is nothing of the kind, nor what it may be *otherwise*.
    """
    if progress is not None and not isinstance(progress, bool):
        message = f"progress={progress!r} cannot be; it takes None, True, False, or {otherwise}"
        raise ArgumentError(message)
    return sys.stderr.isatty() if progress is None else progress


def has_rich() -> bool:
    """Say whether to draw with `rich`: it is installed, and the terminal can move its cursor."""
    return importlib.util.find_spec("rich") is not None and os.environ.get("TERM") not in {"dumb", "unknown"}


class Silent:
    """Shows nothing."""

    def update(self, done: int, total: int) -> None:
        """See `Display`."""

    def close(self) -> None:
        """See `Display`."""


class Told:
    """Tells a function."""

    def __init__(self, function: Callable[[int, int], None]) -> None:
        self._function = function

    def update(self, done: int, total: int) -> None:
        """See `Display`."""
        self._function(done, total)

    def close(self) -> None:
        """See `Display`."""


class Line:
    """One line on stderr that is written over and over, with nothing that a simple terminal would not know."""

    def __init__(self) -> None:
        self._width = 0

    def show(self, text: str) -> None:
        """Write *text* over what stands there."""
        sys.stderr.write(f"\r{text.ljust(self._width)}")
        sys.stderr.flush()
        self._width = len(text)

    def close(self) -> None:
        """Leave the line, if there is one."""
        if self._width:
            sys.stderr.write("\n")
            sys.stderr.flush()


class Counter:
    """Counts in one line; writes a hundred times at most."""

    def __init__(self) -> None:
        self._line = Line()
        self._shown = -1

    def update(self, done: int, total: int) -> None:
        """See `Display`."""
        percent = done * 100 // total
        if percent != self._shown:
            self._shown = percent
            self._line.show(f"{done}/{total} answered")

    def close(self) -> None:
        """See `Display`."""
        self._line.close()


class Bar:
    """A bar of `rich`, on stderr."""

    def __init__(self) -> None:
        import rich.console  # noqa: PLC0415 – an extra
        import rich.progress  # noqa: PLC0415 – an extra

        columns: list[Any] = [*rich.progress.Progress.get_default_columns(), rich.progress.MofNCompleteColumn()]
        self._progress = rich.progress.Progress(*columns, console=rich.console.Console(stderr=True))
        self._task: Any = None

    def update(self, done: int, total: int) -> None:
        """See `Display`."""
        if self._task is None:
            self._progress.start()
            self._task = self._progress.add_task("answered", total=total)
        self._progress.update(self._task, completed=done)

    def close(self) -> None:
        """See `Display`."""
        if self._task is not None:
            self._progress.stop()
