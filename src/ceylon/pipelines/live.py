"""A live table of a run's stages, drawn by `rich` on stderr and gone when the run is over."""

import importlib
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from ceylon.core.mermaid import Mark
from ceylon.pipelines.rows import Row, Shown, rows_of
from ceylon.pipelines.tally import Tally, seconds_of

__all__ = ["Live"]

_GLYPHS: Final[dict[str, tuple[str, str, str]]] = {  # a sign, the same for simple terminals, a style
    "ended": ("✓", "+", "green"),
    "failed": ("✗", "x", "bold red"),
    "partly": ("!", "!", "yellow"),
    "running": ("●", "*", "bold cyan"),
    "cancelled": ("–", "-", "dim"),
    "never": ("·", ".", "dim"),
}
_BUSY: Final = frozenset[Mark]({"running", "failed", "partly"})
_MARGIN: Final = 3  # lines of the terminal that are not rows: the title, what is left out, the cursor's own
_A_SECOND: Final = 8  # times that the table is drawn


class Live:
    """Shows a row for each stage: its sign, its name, how many executions, how long.

    Args:
        description: The pipeline's `describe()`.
        console: Where to draw; on stderr if not given.
        clock: Gives seconds, for what is under way.
    """

    def __init__(
        self, description: Mapping[str, Any], console: Any = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._name = str(description.get("name") or "pipeline")
        self._rows = rows_of(description)
        self._clock = clock
        self._seen_at = 0.0
        self._tally = Tally()
        self._console = console if console is not None else _rich("console").Console(stderr=True)
        self._live: Any = None

    def see(self, event: Any) -> None:
        """See `Display`."""
        self._tally.see(event)
        self._seen_at = self._clock()
        if self._live is None:
            self._live = _rich("live").Live(
                get_renderable=self.table,
                console=self._console,
                refresh_per_second=_A_SECOND,
                transient=self._console.is_terminal,  # what is written to a file stays there, once
                redirect_stdout=False,  # of a program that writes its own
                redirect_stderr=False,
            )
            self._live.start()

    def close(self) -> None:
        """See `Display`."""
        if self._live is not None:
            self._live.stop()

    def table(self) -> Any:
        """Return what to draw now; called by a thread of `rich`, while events come in."""
        now = self._tally.now + self._clock() - self._seen_at
        text, grid = _rich("text").Text, _rich("table").Table.grid(padding=(0, 1))
        for _ in range(3):
            grid.add_column(no_wrap=True, overflow="ellipsis")
        grid.add_column(no_wrap=True, justify="right")
        grid.add_row("", text(self._name, style="bold"), "", text(seconds_of(now), style="dim"))
        shown = [(row, row.shown(self._tally, now)) for row in self._rows]
        room = max(1, self._console.size.height - _MARGIN)
        fitting = shown if len(shown) <= room else _busiest(shown)[:room]
        for row, state in fitting:
            sign, simple, style = _GLYPHS[state.mark]
            glyph = text(simple if self._console.options.ascii_only else sign, style=style)
            label = text("  " * row.depth + row.label, style="dim" if state.mark == "never" else "")
            grid.add_row(glyph, label, text(state.counts), text(state.time, style="dim"))
        if len(fitting) < len(shown):
            grid.add_row("", text(f"{len(shown) - len(fitting):,} more", style="dim"), "", "")
        return grid


def _busiest(shown: Iterable[tuple[Row, Shown]]) -> list[tuple[Row, Shown]]:
    """Return what matters most while there is no room for all: what runs and what failed."""
    return [(row, state) for row, state in shown if state.mark in _BUSY]


def _rich(name: str) -> Any:
    """Return a part of the extra `progress`."""
    return importlib.import_module(f"rich.{name}")
