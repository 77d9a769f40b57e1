"""The plot: for every scenario a line with a dot for every contender, by how many times as good as the floor it is.

`benchmarks.drawing` draws it, in the environment that has matplotlib.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Final

from benchmarks.contenders import Contender
from benchmarks.environments import ROOT, default_python, environment
from benchmarks.results import Results, Row

__all__ = ["dots", "write"]

_PLOTTER: Final = Contender("plot", ("matplotlib==3.11.2",))


def write(file: Path, results: Results) -> None:
    """Draw the ratios of *results* into *file*, an SVG.

    Raises:
        MissingEnvironmentError: matplotlib could not be installed.
    """
    python = environment(_PLOTTER, default_python(), install=True).python
    lines = json.dumps({"file": str(file.resolve()), "lines": dots(results)})
    command = [python, "-m", "benchmarks.drawing"]
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(command, cwd=ROOT, env=variables, input=lines, text=True, check=True)  # noqa: S603 – our own module


def dots(results: Results) -> list[tuple[str, dict[str, float]]]:
    """Return for every scenario that has a floor how many times as good as it each contender is."""
    lines = [(row.title, _ratios(row)) for row in results.rows if row.shows != "figure" or row.unit == "B"]
    return [(title, ratios) for title, ratios in lines if ratios]


def _ratios(row: Row) -> dict[str, float]:
    found: dict[str, float] = {}
    for each in row.entrants:
        floor = row.entrant(row.floor, each.python)
        good = each.loop == "asyncio" and each.error is None and each.measurements
        if good and floor is not None and each.contender != row.floor:
            found.setdefault(each.contender, row.ratio(each, floor).median)
    return found
