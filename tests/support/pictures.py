"""The pictures in docs/pictures: pipelines of the examples, drawn by themselves, and a run of each drawn over it.

A snippet names what is to be drawn: ``PICTURES = {"newsroom": (newsroom, "tea")}``, a pipeline and a value to run it
with. The run is simulated, so that its times are the same on every machine. The demos are drawn without a run: theirs
is in threads and models. `python -m support.pictures --write` draws all anew; a test holds the files to what would be
drawn.
"""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ceylon import LlmAgent
from ceylon.core.svg import svg_of
from ceylon.testing import Simulation
from ceylon.testing.simulation.engine import run_simulation
from support.examples import EXAMPLES, ROOT, demo

if TYPE_CHECKING:
    from ceylon.pipelines import Pipeline, StageEvent

__all__ = ["FOLDER", "Picture", "pictures"]

FOLDER: Final = ROOT / "docs" / "pictures"
_SEED: Final = 1
_MARK: Final = "\nPICTURES: "


class Picture(msgspec.Struct, frozen=True):
    """A pipeline of an example, and what it is run with, if it is."""

    name: str
    pipeline: Any
    value: Any = None

    def files(self) -> list[str]:
        """Return the names of what `draw` gives."""
        return [f"{self.name}.svg", f"{self.name}-run.svg"][: 1 if self.value is None else 2]

    def draw(self) -> dict[str, str]:
        """Return the files: the pipeline, and a run over it."""
        drawn = (self.pipeline.svg, lambda: svg_of(self.draw_run()))
        return {name: draw() for name, draw in zip(self.files(), drawn, strict=False)}

    def draw_run(self) -> str:
        """Return a simulated run as Mermaid text."""
        text: str = self.pipeline.draw(_events(self.pipeline, self.value))
        return text


def pictures() -> Iterator[Picture]:
    """Give what the examples want drawn."""
    for path in sorted(EXAMPLES.rglob("*.py")):
        if _MARK in path.read_text(encoding="utf-8"):
            for name, (pipeline, value) in _load(path).PICTURES.items():
                yield Picture(name, pipeline, value)
    for name, pipeline in _demos().items():
        yield Picture(f"demo-{name}", pipeline)


def _demos() -> "dict[str, Pipeline]":
    """Return the pipelines of the demos; no model is opened for a picture."""
    triage = demo("demo_triage")
    clerk, technician = LlmAgent("clerk", "auto"), LlmAgent("technician", "auto")
    return {
        "newsroom": demo("demo_newsroom").newsroom(LlmAgent("reporter", "auto")),
        "triage": triage.triage(clerk, technician, triage.Cashier("cashier")),
        "map-reduce": demo("demo_map_reduce").overview(LlmAgent("writer", "auto")),
        "debate": demo("demo_debate").debate_of("auto", 2),
    }


def _load(path: Path) -> Any:
    name = f"pictures_of_{path.stem}"
    found = importlib.util.spec_from_file_location(name, path)
    assert found is not None
    assert found.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def _events(pipeline: "Pipeline", value: Any) -> "list[StageEvent]":
    """Run *pipeline* in virtual time."""
    events: list[StageEvent] = []

    async def run(simulation: Simulation) -> None:
        async with simulation.mesh("pictures") as mesh:
            events.extend([event async for event in mesh.add(pipeline).stream(value)])

    error = run_simulation(run, seed=_SEED).error
    if error is not None:
        raise error
    return events


def _write() -> None:
    FOLDER.mkdir(exist_ok=True)
    for picture in pictures():
        for name, svg in picture.draw().items():
            (FOLDER / name).write_text(svg, encoding="utf-8")
            sys.stdout.write(f"pictures: wrote docs/pictures/{name}\n")


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        raise SystemExit("the one argument is --write")
    _write()
