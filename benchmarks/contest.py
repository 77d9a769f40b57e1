"""What a scenario is, and how one contender of it is measured once, in a process of its own.

Rivals live in environments of their own, so this and every scenario imports the standard library only; a contender
imports its library inside its function. The parent side is `benchmarks.rounds`.
"""

import asyncio
import gc
import importlib
import inspect
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

__all__ = ["Entry", "Run", "Scenario", "Section", "main", "resident", "scenarios_of"]

Function = TypeVar("Function", bound=Callable[["Run"], Any])
Clock = Literal["cpu", "wall"]

MARK = "contest: "  # begins the line that the parent reads; a contender's library may print lines of its own


@dataclass
class Section:
    """One timed stretch: wall seconds, CPU seconds of the process, and the clock by which the contender is judged."""

    clock: Clock
    wall: float = 0.0
    cpu: float = 0.0

    @property
    def seconds(self) -> float:
        """The judged seconds."""
        return self.wall if self.clock == "wall" else self.cpu


@dataclass
class Run:
    """What a contender's function is given; it fills in what it measured.

    `size` is how much to do, `beside` is the line that the scenario's process beside it printed (a server's URL),
    `scenario` is its name.
    """

    size: int
    clock: Clock = "cpu"
    beside: str = ""
    scenario: str = ""
    count: int = 0
    total: int = 0
    section: Section | None = None
    figures: dict[str, float] = field(default_factory=dict)

    def passes(self, step: int = 1) -> Iterator[int]:
        """Yield how much to do in the warm-up, then in the measured pass, in multiples of *step*.

        `total` is the sum of both.
        """
        for size in (max(1, self.size // 10 // step) * step, max(1, self.size // step) * step):
            self.total += size
            yield size

    @contextmanager
    def timed(self, count: int) -> Iterator[Section]:
        """Time the block, in which *count* things are done; the last block timed is the one that is reported."""
        gc.collect()
        gc.freeze()
        self.count, self.section = count, Section(self.clock)
        cpu, wall = time.process_time(), time.perf_counter()
        yield self.section
        self.section.wall, self.section.cpu = time.perf_counter() - wall, time.process_time() - cpu

    def found(self, count: int, *, wall: float, cpu: float) -> None:
        """Report seconds that were taken elsewhere, as in a process that this one started."""
        self.count, self.section = count, Section(self.clock, wall, cpu)

    def figure(self, name: str, value: float) -> None:
        """Report *value* under *name*, beside or instead of what was timed."""
        self.figures[name] = value


@dataclass(frozen=True)
class Entry:
    """A contender's function; `share` of the scenario's size is what it is given, so that slow ones end as well."""

    function: Callable[[Run], Any]
    share: float = 1.0


@dataclass
class Scenario:
    """One thing that is measured, and who takes part.

    Args:
        name: What `--only` and the goals call it.
        title: What the tables call it.
        size: How much is done in a full run; `quick` is for `--quick`, with 0 only who asks for it by name measures it.
        shows: `rate`: things per second. `cost`: seconds per thing, in `unit`. `figure`: what the function reports
            under the scenario's name.
        unit: Of what is shown; "/s", "ms", "µs", "B".
        floor: The contender that every other one is compared with; empty if there is none.
        clock: By which everybody is judged; by default the contender's own (see `contenders`).
        beside: A module with its arguments that runs in a process of its own, on another core, while the scenario is
            measured; the first line it prints is `run.beside`.
        loops: What the home contenders run on; those that are no coroutine functions have no loop to choose.
        rounds: How often everybody is measured in a full run.
    """

    name: str
    title: str
    size: int
    quick: int
    shows: Literal["rate", "cost", "figure"] = "rate"
    unit: str = "/s"
    floor: str = "bare asyncio"
    clock: Clock | None = None
    beside: tuple[str, ...] = ()
    loops: tuple[str, ...] = ("asyncio", "uvloop")
    rounds: int = 3
    timeout: float = 60.0
    entries: dict[str, Entry] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)

    def contender(self, name: str, *, share: float = 1.0) -> Callable[[Function], Function]:
        """Let the function measure *name*; a coroutine function runs on the loop that is asked for."""

        def enter(function: Function) -> Function:
            self.entries[name] = Entry(function, share)
            return function

        return enter

    def without(self, name: str, reason: str) -> None:
        """Say why *name* does not take part."""
        self.absent[name] = reason

    def is_async(self, name: str) -> bool:
        """Whether *name* runs on a loop of ours."""
        return inspect.iscoroutinefunction(self.entries[name].function)

    @property
    def is_better_when_more(self) -> bool:
        """Whether a higher figure is the better one."""
        return self.shows == "rate"


def scenarios_of(module: str) -> list[Scenario]:
    """Return the scenarios that *module* defines, in its order."""
    found = [value for value in vars(importlib.import_module(module)).values() if isinstance(value, Scenario)]
    return list({scenario.name: scenario for scenario in found}.values())


def resident() -> int:
    """Return the bytes of this process that are in memory, garbage collected."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    """Measure what the first argument, as JSON, says; print one line of JSON."""
    order = json.loads(sys.argv[1])
    [scenario] = [each for each in scenarios_of(order["module"]) if each.name == order["scenario"]]
    run = Run(order["size"], order["clock"], order["beside"], scenario.name)
    try:
        _perform(scenario.entries[order["contender"]].function, run, order["loop"])
        assert run.section is not None if scenario.shows != "figure" else scenario.name in run.figures, (
            "nothing measured"
        )
        answer: dict[str, Any] = {"count": run.count, "figures": run.figures}
        if run.section is not None:
            answer |= {"wall": run.section.wall, "cpu": run.section.cpu}
    except BaseException:  # noqa: BLE001 – whatever it is, the row says so
        answer = {"error": traceback.format_exc()}
        order["leaves_threads"] = True  # what broke may wait for ever at its end
    sys.stdout.flush()
    sys.stdout.write(f"\n{MARK}{json.dumps(answer)}\n")
    sys.stdout.flush()
    if order["leaves_threads"]:
        os._exit(0)


def _perform(function: Callable[[Run], Any], run: Run, loop: str) -> None:
    if not inspect.iscoroutinefunction(function):
        function(run)
        return
    factory = importlib.import_module("uvloop").new_event_loop if loop == "uvloop" else None
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(function(run))
