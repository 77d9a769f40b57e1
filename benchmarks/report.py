"""The table: one row per measurement, printed as soon as it is known."""

import msgspec

__all__ = ["Row", "head", "line"]

_WIDTHS = (42, 13, 36, 36, 13)
_TITLES = ("measured", "ceylon", "beside", "compared", "expected")


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured.

    `compared` is the figure that is held against the expectation: a ratio, a difference, or `ceylon` itself; `spread`
    holds its lowest and highest round.
    """

    measured: str
    unit: str
    ceylon: float
    beside: str = ""
    bare: float | None = None
    compared: float
    compared_unit: str
    spread: tuple[float, float] | None = None
    at_least: float | None = None
    at_most: float | None = None

    @property
    def holds(self) -> bool | None:
        """Whether the expectation holds; `None`: there is none."""
        if self.at_least is not None:
            return self.compared >= self.at_least
        return None if self.at_most is None else self.compared <= self.at_most


def head() -> str:
    """Return the table's first lines."""
    titles = "  ".join(title.ljust(width) for title, width in zip(_TITLES, _WIDTHS, strict=True))
    return f"{titles}  holds\n{'-' * (len(titles) + 7)}"


def line(row: Row) -> str:
    """Return *row* as a line of the table."""
    bare = "" if row.bare is None else f"{_figure(row.bare)} {row.unit}  {row.beside}"
    cells = (row.measured, f"{_figure(row.ceylon)} {row.unit}", bare, _compared(row), _expected(row))
    verdict = {True: "yes", False: "NO", None: ""}[row.holds]
    return "  ".join([*(cell.ljust(width) for cell, width in zip(cells, _WIDTHS, strict=True)), verdict]).rstrip()


def _compared(row: Row) -> str:
    words = [] if row.compared == row.ceylon else [f"{_figure(row.compared)} {row.compared_unit}"]
    if row.spread is not None:
        words.append(f"({_figure(row.spread[0])} … {_figure(row.spread[1])})")
    return "  ".join(words)


def _expected(row: Row) -> str:
    if row.at_least is not None:
        return f"≥ {_figure(row.at_least)} {row.compared_unit}"
    return "" if row.at_most is None else f"≤ {_figure(row.at_most)} {row.compared_unit}"


def _figure(number: float) -> str:
    """Write *number* with about three digits that count."""
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"
