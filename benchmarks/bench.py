"""Measure Ceylon beside everybody else in one run; `scripts/bench` runs this.

The exit code says whether the measurements worked, not whether the figures please.
"""

import argparse
import fnmatch
import importlib
import pkgutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from benchmarks import environments, goals, plot, report, rounds
from benchmarks.contenders import CONTENDERS, Contender, find
from benchmarks.contest import Scenario, scenarios_of
from benchmarks.environments import Environment, MissingEnvironmentError, default_python
from benchmarks.results import Results, Row, machine
from benchmarks.rounds import Entrant

from ceylon.settings import DEFAULTS

__all__ = ["SCENARIOS", "everything", "main"]

SCENARIOS = "benchmarks.scenarios"

# The files of scenarios in the order in which they are shown; others follow by name, language models last.
_ORDER = (
    "tell",
    "sync_tell",
    "ask",
    "ask_in_flight",
    "ping_pong",
    "ring",
    "chain",
    "fan",
    "publish",
    "stream",
    "spawn",
    "memory",
    "growth",
    "imports",
    "start",
    "stop",
    "waits",
)


class Contest:
    """Everybody, everything that is measured, and what was found."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._places: dict[tuple[str, str], Environment] = {}
        self.results = Results(
            machine=machine(),
            settings=msgspec.structs.asdict(DEFAULTS),
            versions={},
            installed={},
            rows=[],
            skipped={},
            rounds="quick" if options.quick else "full",
        )

    def measure(self, module: str, scenario: Scenario) -> Row:
        """Measure *scenario* with everybody in turn."""
        row = Row.of(scenario, self._entrants(scenario), dict(scenario.absent))
        self.results.rows.append(row)
        with rounds.beside(scenario) as line:
            for number in range(self._options.rounds or (1 if self._options.quick else scenario.rounds)):
                for entrant in row.entrants:
                    if entrant.error is None:
                        place = find(entrant.contender), self._places[entrant.contender, entrant.python]
                        entrant.measurements.append(rounds.measure(scenario, module, entrant, place, (number, line)))
        return row

    def _entrants(self, scenario: Scenario) -> list[Entrant]:
        """Return who takes part; home contenders on every Python that a rival needs, so that no ratio crosses them."""
        taking_part = [each for each in CONTENDERS if each.name in scenario.entries and self._is_wanted(each)]
        rivals = [
            each for each in taking_part if not each.home and self._is_there(each, each.python or default_python())
        ]
        pythons = {each.python for each in rivals if each.python is not None} - {default_python()}
        entrants = [
            self._entrant(scenario, each, python, loop)
            for each in sorted(taking_part, key=lambda each: each.name != scenario.floor)
            if each.home
            for python in (default_python(), *sorted(pythons))
            if self._is_there(each, python)
            for loop in _loops(scenario, each, python)
        ]
        return entrants + [self._entrant(scenario, each, _python(each), "asyncio") for each in rivals]

    def _entrant(self, scenario: Scenario, contender: Contender, python: str, loop: str) -> Entrant:
        size = scenario.quick if self._options.quick else scenario.size
        return Entrant(
            contender=contender.name,
            python=python,
            loop=loop,
            clock=scenario.clock or contender.clock,
            size=max(1, int(size * scenario.entries[contender.name].share)),
        )

    def _is_wanted(self, contender: Contender) -> bool:
        return not self._options.contender or contender.name in self._options.contender

    def _is_there(self, contender: Contender, python: str) -> bool:
        """Say whether *contender* has an environment; the first time it has none, say so."""
        if (contender.name, python) in self._places:
            return True
        if contender.name in self.results.skipped:
            return False
        try:
            place = environments.environment(contender, python, install=self._options.rivals)
        except MissingEnvironmentError as error:
            self.results.skipped[contender.name] = str(error)
            print(f"skipped: {error}", flush=True)
            return False
        self._places[contender.name, python] = place
        key = f"{'ceylon and floors' if contender.home else contender.name}, Python {python}"
        self.results.versions[key], self.results.installed[key] = list(place.direct), list(place.installed)
        return True


def main() -> None:
    """Measure, print, and write what was asked for."""
    options = _options()
    chosen = list(_chosen(options))
    if options.list:
        print("\n".join(f"{scenario.name:32}{scenario.title}" for _, scenario in chosen))
        return
    results = _read(options.source) if options.source else _measure(options, chosen)
    print(report.closing(results, goals.judge(results)))
    if options.json is not None:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(results)) + b"\n")
    if options.docs is not None:
        report.write_into(options.docs, results, goals.judge(results))
    if options.plot is not None:
        plot.write(options.plot, results)
    raise SystemExit(bool(results.broken()))


def _measure(options: argparse.Namespace, chosen: list[tuple[str, Scenario]]) -> Results:
    began = time.monotonic()
    contest = Contest(options)
    print(report.opening(contest.results), flush=True)
    for module, scenario in chosen:
        print(report.table(contest.measure(module, scenario)), flush=True)
    contest.results.took = time.monotonic() - began
    return contest.results


def _read(source: Path) -> Results:
    return msgspec.json.decode(source.read_bytes(), type=Results)


def _python(rival: Contender) -> str:
    """Return the Python that *rival* runs on: the default one, unless it needs a newer one."""
    return max(
        default_python(), rival.python or "", key=lambda version: [int(part) for part in version.split(".") if part]
    )


def _loops(scenario: Scenario, contender: Contender, python: str) -> tuple[str, ...]:
    """Return what a home contender runs on; uvloop only on the default Python."""
    chooses = contender.home and scenario.is_async(contender.name) and python == default_python()
    return scenario.loops if chooses else scenario.loops[:1]


def _chosen(options: argparse.Namespace) -> Iterator[tuple[str, Scenario]]:
    """Yield the module and the scenario of everything that was asked for."""
    return ((module, scenario) for module, scenario in everything(options.scenarios) if _is_chosen(options, scenario))


def everything(package: str) -> Iterator[tuple[str, Scenario]]:
    """Yield the module and the scenario of all that is measured."""
    found = importlib.import_module(package)
    names = [f"{found.__name__}.{each.name}" for each in pkgutil.iter_modules(found.__path__)]
    for module in sorted(names, key=_place):
        for scenario in scenarios_of(module):
            yield module, scenario


def _is_chosen(options: argparse.Namespace, scenario: Scenario) -> bool:
    if options.only:
        return any(fnmatch.fnmatch(scenario.name, pattern) for pattern in options.only)
    return bool(scenario.quick or not options.quick)


def _place(module: str) -> tuple[int, str]:
    name = module.rpartition(".")[2]
    if name in _ORDER:
        return _ORDER.index(name), ""
    return len(_ORDER) + name.startswith("llm_"), name


def _optional(file: str) -> dict[str, Any]:
    page = environments.ROOT / "docs" / "explanation" / "performance"
    return {"type": Path, "nargs": "?", "const": page.with_suffix(Path(file).suffix), "metavar": file}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure Ceylon beside everybody else, in one run.")
    add = parser.add_argument
    add("--quick", action="store_true", help="one round of small sizes; the figures mean little")
    add("--only", nargs="+", metavar="PATTERN", help="these scenarios, as `--list` names them; * and ? are understood")
    add("--contender", nargs="+", metavar="NAME", help="these contenders only")
    add("--rounds", type=int, metavar="N", help="how often everybody is measured")
    add("--rivals", action="store_true", help="make the rivals' environments also for --quick")
    add("--json", type=Path, metavar="FILE", help="write every measurement there")
    add("--plot", **_optional("FILE.svg"), help="draw the ratios there, or beside the page on performance")
    add("--docs", **_optional("FILE.md"), help="write the tables between the markers of this page, or of that one")
    add("--from", dest="source", type=Path, metavar="FILE", help="measure nothing, use what --json wrote")
    add("--list", action="store_true", help="name the scenarios")
    add("--scenarios", default=SCENARIOS, metavar="PACKAGE", help="where the scenarios are")
    options = parser.parse_args()
    options.rivals = options.rivals or not options.quick
    return options


if __name__ == "__main__":
    main()
