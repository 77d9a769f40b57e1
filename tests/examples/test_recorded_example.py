"""The example whose models are recorded: it replays without a model, and a changed prompt is shown as a difference."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.examples import EXAMPLES, ROOT

pytestmark = pytest.mark.process


def run(directory: Path) -> subprocess.CompletedProcess[str]:
    """Run the example in *directory* as its readers do, where no model can be reached: its file is not there."""
    variables = {"CEYLON_RECORD": "0", "CEYLON_LOCAL_MODEL": "nowhere", "PYTHONPATH": str(ROOT / "src")}
    options = [
        "-q",
        "-p",
        "ceylon.testing.plugin",
        "-p",
        "no:cacheprovider",
        "-c",
        os.devnull,
        "--rootdir",
        str(directory),
    ]
    return subprocess.run(  # noqa: S603 – our own script
        [sys.executable, "-m", "pytest", *options, str(directory)],
        cwd=directory,
        env={**os.environ, **variables},
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=100,
    )


def test_the_recorded_example_replays() -> None:
    done = run(EXAMPLES / "recorded")

    assert "5 passed" in done.stdout, done.stdout


def test_the_recorded_example_with_another_prompt_says_what_differs(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES / "recorded", tmp_path / "recorded")
    path = tmp_path / "recorded" / "test_tea_shop.py"
    path.write_text(path.read_text(encoding="utf-8").replace("one short sentence", "two sentences"), encoding="utf-8")

    done = run(tmp_path / "recorded")

    assert "4 failed" in done.stdout, done.stdout
    assert "-      text: What is Assam, the tea? Answer in one short sentence." in done.stdout, done.stdout
    assert "+      text: What is Assam, the tea? Answer in two sentences." in done.stdout
