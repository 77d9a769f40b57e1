"""How far a batch is: one line on stderr, a bar where `rich` is installed, or the caller's own function."""

import importlib.util
import sys
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

from ceylon.errors import ArgumentError

__all__ = ["Display", "Progress", "display_for"]

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
    if progress is not None and not isinstance(progress, bool):
        message = f"progress={progress!r} cannot be; it takes None, True, False, or a function of done and total"
        raise ArgumentError(message)
    if progress is False or (progress is None and not sys.stderr.isatty()):
        return Silent()
    if importlib.util.find_spec("rich") is not None:
        return Bar()
    return Counter()


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


class Counter:
    """Writes one line on stderr, over and over; a hundred times at most."""

    def __init__(self) -> None:
        self._shown = -1

    def update(self, done: int, total: int) -> None:
        """See `Display`."""
        percent = done * 100 // total
        if percent != self._shown:
            self._shown = percent
            sys.stderr.write(f"\r{done}/{total} answered")
            sys.stderr.flush()

    def close(self) -> None:
        """See `Display`."""
        if self._shown >= 0:
            sys.stderr.write("\n")
            sys.stderr.flush()


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
