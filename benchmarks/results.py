"""What a run of the benchmarks found, as it is written to JSON; tables, plot and documents are made from this alone."""

import os
import platform
import statistics
from collections.abc import Callable
from pathlib import Path

import msgspec
from benchmarks.contest import Clock, Scenario
from benchmarks.rounds import Entrant, Measurement

__all__ = ["Machine", "Results", "Row", "Spread", "figure", "machine"]

_SCALE = {"s": 1.0, "ms": 1e3, "µs": 1e6}


class Spread(msgspec.Struct, frozen=True):
    """A median, and between what it lies."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> "Spread":
        """Return the spread of *values*."""
        return cls(statistics.median(values), min(values), max(values))


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Where it was measured."""

    python: str
    system: str
    processor: str
    cores: int
    memory: int


class Row(msgspec.Struct, kw_only=True):
    """A scenario with everybody who took part, and why others did not."""

    scenario: str
    title: str
    shows: str
    unit: str
    floor: str
    entrants: list[Entrant]
    absent: dict[str, str]

    @classmethod
    def of(cls, scenario: Scenario, entrants: list[Entrant], absent: dict[str, str]) -> "Row":
        """Return the row of *scenario*, with nothing measured yet."""
        return cls(
            scenario=scenario.name,
            title=scenario.title,
            shows=scenario.shows,
            unit=scenario.unit,
            floor=scenario.floor,
            entrants=entrants,
            absent=absent,
        )

    @property
    def is_better_when_more(self) -> bool:
        """Whether a higher figure is the better one."""
        return self.shows == "rate"

    def entrant(self, contender: str, python: str | None = None, loop: str = "asyncio") -> Entrant | None:
        """Return who fits and was measured without a fault; without *python* the first one."""
        for each in self.entrants:
            fits = each.contender == contender and each.loop == loop and python in {None, each.python}
            if fits and each.measurements and each.error is None:
                return each
        return None

    def value(self, entrant: Entrant, figure: str | None = None) -> Spread:
        """Return what *entrant* is shown with, or the *figure* it reported beside that."""
        reader = self._reader(entrant.clock, figure)
        return Spread.of([reader(each) for each in entrant.measurements])

    def by_the_other_clock(self, entrant: Entrant) -> Spread | None:
        """Return the same by wall seconds for who is judged by CPU seconds, and the other way round."""
        if self.shows == "figure":
            return None
        reader = self._reader("cpu" if entrant.clock == "wall" else "wall", None)
        return Spread.of([reader(each) for each in entrant.measurements])

    def ratio(self, ours: Entrant, theirs: Entrant) -> Spread:
        """Return how many times as good *ours* is, round by round; above 1 it is better."""
        pairs = self._pairs(ours, theirs)
        return Spread.of([mine / other if self.is_better_when_more else other / mine for mine, other in pairs])

    def share(self, ours: Entrant, theirs: Entrant) -> Spread:
        """Return the figure of *ours* as a share of the figure of *theirs*, round by round."""
        return Spread.of([mine / other for mine, other in self._pairs(ours, theirs)])

    def difference(self, ours: Entrant, theirs: Entrant) -> Spread:
        """Return by how much *ours* is above *theirs*, round by round."""
        return Spread.of([mine - other for mine, other in self._pairs(ours, theirs)])

    def _pairs(self, ours: Entrant, theirs: Entrant) -> list[tuple[float, float]]:
        """Return both figures of every round, by one clock: CPU seconds only if both work on one thread."""
        clock: Clock = "cpu" if ours.clock == theirs.clock == "cpu" else "wall"
        reader = self._reader(clock, None)
        pairs = zip(ours.measurements, theirs.measurements, strict=False)
        return [(reader(mine), reader(other)) for mine, other in pairs]

    def _reader(self, clock: Clock, figure: str | None) -> Callable[[Measurement], float]:
        if figure is not None or self.shows == "figure":
            name = figure or self.scenario
            return lambda each: each.figures[name]

        def read(each: Measurement) -> float:
            seconds = max((each.wall if clock == "wall" else each.cpu) or 0.0, 1e-9)
            return each.count / seconds if self.shows == "rate" else seconds / each.count * _SCALE[self.unit]

        return read


class Results(msgspec.Struct, kw_only=True):
    """A whole run; `versions` is what each environment was asked to hold, `installed` everything that is there."""

    machine: Machine
    settings: dict[str, float | None]
    versions: dict[str, list[str]]
    installed: dict[str, list[str]]
    rows: list[Row]
    skipped: dict[str, str]
    rounds: str
    took: float = 0.0

    def row(self, scenario: str) -> Row | None:
        """Return the row of *scenario*, if it was measured."""
        return next((each for each in self.rows if each.scenario == scenario), None)

    def broken(self) -> list[str]:
        """Return what broke: the scenario, who, and the last line of the complaint."""
        return [
            f"{row.scenario}: {each.contender} ({each.python}, {each.loop}): {each.error.strip().splitlines()[-1]}"
            for row in self.rows
            for each in row.entrants
            if each.error is not None
        ]


def figure(number: float) -> str:
    """Write *number* with about three digits that count."""
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"


def machine() -> Machine:
    """Return the facts of this machine."""
    return Machine(
        python=f"{platform.python_implementation()} {platform.python_version()}",
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
    )


def _processor() -> str:
    described = Path("/proc/cpuinfo")
    lines = described.read_text(encoding="utf-8").splitlines() if described.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor())
