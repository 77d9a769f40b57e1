"""Draw the plot from what comes in as JSON; runs in an environment that has matplotlib and none of ours.

Text stays text and ids are the same every time, so that the file can be read in a review.
"""

import json
import sys
from typing import Any, Final

__all__ = ["main"]

_COLOURS: Final = {"ceylon": "#c2410c", "ceylon, speed": "#f59e0b"}
_OTHERS: Final = (
    "#1d4ed8",
    "#0e7490",
    "#15803d",
    "#6d28d9",
    "#a16207",
    "#475569",
    "#be185d",
    "#0f766e",
    "#7c2d12",
    "#334155",
)
_MARKERS: Final = "sDv^<>pPXh"


def main() -> None:
    """Draw what comes in as JSON; `benchmarks.plot` calls this."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "ceylon", "font.family": "sans-serif", "font.size": 9}
    order = json.load(sys.stdin)
    _draw(order["lines"]).savefig(order["file"], metadata={"Date": None, "Creator": None}, bbox_inches="tight")


def _draw(lines: list[tuple[str, dict[str, float]]]) -> Any:
    from matplotlib import pyplot as plt
    from matplotlib.ticker import FuncFormatter

    figure, axes = plt.subplots(figsize=(9, 1.2 + 0.34 * len(lines)))
    names = list(dict.fromkeys(name for _, ratios in lines for name in ratios))
    for name in sorted(names, key=lambda name: name in _COLOURS):  # ours on top of the others
        points = [(ratios[name], at) for at, (_, ratios) in enumerate(lines) if name in ratios]
        colour, marker, size = _look(name, names)
        axes.scatter(*zip(*points, strict=True), c=colour, marker=marker, s=size, label=name, zorder=3)
    axes.axvline(1, color="#111827", linewidth=1)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlabel("times as good as the floor (1 = the floor; right is better), logarithmic")
    axes.set_yticks(range(len(lines)), [title for title, _ in lines])
    axes.invert_yaxis()
    axes.grid(axis="both", color="#e5e7eb", linewidth=0.6)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)
    return figure


def _look(name: str, names: list[str]) -> tuple[str, str, int]:
    """Return colour, marker and size; every rival has its own in the whole plot."""
    if name in _COLOURS:
        return _COLOURS[name], "o", 70
    at = [each for each in names if each not in _COLOURS].index(name)
    return _OTHERS[at % len(_OTHERS)], _MARKERS[at % len(_MARKERS)], 30


if __name__ == "__main__":
    main()
