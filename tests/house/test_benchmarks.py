"""The benchmarks run, and say so when a contender breaks; what they find is for people, no figure is judged here."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from benchmarks.bench import SCENARIOS, everything
from benchmarks.contenders import CONTENDERS
from benchmarks.goals import GOALS, RIVALS

ROOT = Path(__file__).parents[2]
PAGE = "# Performance\n\nbefore\n\n<!-- benchmarks: begin -->\n\nold\n\n<!-- benchmarks: end -->\n\nafter\n"
BROKEN = """
from benchmarks.contest import Run, Scenario

odd = Scenario(name="odd", title="something odd", size=2, quick=2)


@odd.contender("bare asyncio")
async def bare(run: Run) -> None:
    for size in run.passes():
        with run.timed(size):
            sum(range(1000))


@odd.contender("ceylon")
async def ceylon(run: Run) -> None:
    for size in run.passes():
        with run.timed(size):
            pass
    assert run.total == 0, "lost count"
"""


def bench(*arguments: str | Path, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command behind `scripts/bench`; *path* is where it finds other scenarios."""
    found = [str(path)] if path is not None else []
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join([*found, os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "benchmarks.bench", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)  # noqa: S603 – ours


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return the JSON of a small run, and what was printed."""
    written = tmp_path_factory.mktemp("benchmarks") / "run.json"
    found = bench(
        "--quick", "--only", "stop", "growth_depth", "--contender", "ceylon", "bare asyncio", "--json", written
    )
    assert found.returncode == 0, found.stdout + found.stderr
    return written, found.stdout


def test_every_goal_names_a_scenario_and_contenders_that_are_measured() -> None:
    entries = {scenario.name: scenario.entries for _, scenario in everything(SCENARIOS)}
    asked = [(goal.scenario, name) for goal in GOALS for name in (goal.ceylon, goal.beside) if name not in {"", RIVALS}]

    assert [(scenario, name) for scenario, name in asked if name not in entries.get(scenario, {})] == []


def test_whoever_takes_part_is_a_contender_and_every_floor_is_measured() -> None:
    scenarios = [scenario for _, scenario in everything(SCENARIOS)]
    known = {each.name for each in CONTENDERS}

    assert len({each.name for each in scenarios}) == len(scenarios)
    assert {name for each in scenarios for name in [*each.entries, *each.absent]} - known == set()
    assert [each.name for each in scenarios if each.floor not in {"", *each.entries}] == []


@pytest.mark.process
def test_a_run_measures_everybody_and_writes_all_of_it(run: tuple[Path, str]) -> None:
    results: dict[str, Any] = json.loads(run[0].read_text(encoding="utf-8"))

    assert {row["scenario"] for row in results["rows"]} == {"stop", "growth_depth"}
    for row in results["rows"]:
        assert {each["contender"] for each in row["entrants"]} == {"ceylon", "bare asyncio"}
        for entrant in row["entrants"]:
            (measured,) = entrant["measurements"]
            assert measured["error"] is None
            assert measured["wall"] > 0
    assert results["machine"]["python"].endswith(sys.version.split()[0])
    assert results["settings"]["mailbox_capacity"] == 1_000


@pytest.mark.process
def test_a_run_prints_a_line_for_everybody_and_the_goals(run: tuple[Path, str]) -> None:
    titles = [line for line in run[1].splitlines() if line and not line.startswith(" ")]
    entrants = [line for line in run[1].splitlines() if line.startswith(("  ceylon ", "  bare asyncio "))]

    assert "stop with 10,000 messages pending" in titles
    assert len(entrants) >= 4
    assert "growth of tell, mailbox depth 1 to the bound" in run[1]


@pytest.mark.process
def test_the_page_is_written_from_what_was_found(run: tuple[Path, str], tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(PAGE, encoding="utf-8")

    again = [bench("--from", run[0], "--docs", page), bench("--from", run[0], "--docs", page)]

    text = page.read_text(encoding="utf-8")
    assert [each.returncode for each in again] == [0, 0]
    assert text.startswith("# Performance\n\nbefore\n\n<!-- benchmarks: begin -->")
    assert text.endswith("<!-- benchmarks: end -->\n\nafter\n")
    assert "| ceylon |" in text
    assert "\nold\n" not in text
    assert text.count("### stop with 10,000 messages pending") == 1


@pytest.mark.process
def test_a_goal_that_is_missed_is_not_hidden(run: tuple[Path, str], tmp_path: Path) -> None:
    results: dict[str, Any] = json.loads(run[0].read_text(encoding="utf-8"))
    for row in results["rows"]:
        for entrant in row["entrants"]:
            for measured in entrant["measurements"]:
                measured["figures"] = dict.fromkeys(measured["figures"], 99.0)
    worse = tmp_path / "worse.json"
    worse.write_text(json.dumps(results), encoding="utf-8")

    lines = [[*bench("--from", file).stdout.splitlines()] for file in (run[0], worse)]

    verdicts = [next(line.split()[-1] for line in each if "mailbox depth 1" in line) for each in lines]
    assert verdicts == ["yes", "NO"]


@pytest.mark.process
def test_a_contender_that_breaks_breaks_its_row_only(tmp_path: Path) -> None:
    (tmp_path / "planted").mkdir()
    (tmp_path / "planted" / "odd.py").write_text(BROKEN, encoding="utf-8")
    (tmp_path / "planted" / "__init__.py").touch()

    found = bench("--quick", "--scenarios", "planted", "--json", tmp_path / "run.json", path=tmp_path)

    (row,) = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))["rows"]
    errors = {each["contender"]: each["measurements"][0]["error"] for each in row["entrants"]}
    assert found.returncode == 1
    assert errors["bare asyncio"] is None
    assert "lost count" in errors["ceylon"]
    assert "BROKEN: odd: ceylon" in found.stdout
    assert "something odd" in found.stdout
