"""Draw a pipeline: its description, and if there was a run what became of each place, as a flowchart."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from ceylon.core.mermaid import Chart, Direction, Mark, Shape
from ceylon.pipelines.tally import Tally, tally_of

__all__ = ["draw"]

_SHAPES: Final[dict[str, Shape]] = {
    "agent": "round",
    "ref": "round",
    "action": "double",
    "generator": "slanted",
    "pipeline": "double",
}
_SENTENCES: Final = {  # what a combinator says of itself; facts it does not name follow as they are
    "retry": ("times", "retry, {} tries"),
    "timeout": ("seconds", "at most {} s"),
    "each": ("concurrency", "each ×{}"),
    "loop": ("at_most", "loop, at most {}"),
}
_USUAL: Final = {"on_failure": "cancel", "at_limit": "raise", "ordered": True, "on": "Exception", "factor": 2.0, "pause": 0.1}


class Fragment(msgspec.Struct, frozen=True):
    """A part of the chart: where its value comes in, and where it goes out, with a word for each arrow from there."""

    entry: str
    exits: tuple[tuple[str, str], ...]


def draw(
    description: Mapping[str, Any], events: Iterable[Any] | None = None, *, direction: Direction = "down"
) -> str:
    """Return the pipeline of this `describe()` as Mermaid text.

    Args:
        description: What to draw.
        events: Those of a run, its `StageEvent`s; the run is drawn over the pipeline, also if it is not over yet.
        direction: Where the arrows lead.
    """
    name = description.get("name") or ""
    tallies = None if events is None else tally_of(events)
    drawing = _Drawing(Chart(str(name), direction), tallies)
    drawing.node(description)
    return drawing.chart.text()
