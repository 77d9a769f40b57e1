"""The benchmarks run; what they find is for people to read, so no figure is judged here."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.process
def test_the_benchmarks_print_a_row_for_everything_that_is_promised(tmp_path: Path) -> None:
    written = tmp_path / "rows.json"
    command = [sys.executable, "-m", "benchmarks.bench", "--quick", "--json", str(written)]

    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 – our own module

    assert result.returncode == 0, result.stderr
    rows = json.loads(written.read_text(encoding="utf-8"))
    for start in (
        "tell",
        "ask",
        "waits graph",
        "messages to a sync handler",
        "memory",
        "agents made",
        "CPU of a model",
        "import",
    ):
        [printed, *_] = [printed for printed in result.stdout.splitlines() if printed.startswith(start)]
        [row, *_] = [row for row in rows if row["measured"].startswith(start)]
        assert printed.startswith(row["measured"])
        assert row["ceylon"] > 0
        assert row["holds"] in (True, False, None)
