"""Programs in the style of `ceylonai-next`: they print what they should, warn of nothing, leave nothing behind.

What each prints lies beside it, as ``.txt``. The same programs run on the published packages, by
`support.compat_programs`.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ceylon.testing.model_server import ModelServer
from support.compat_programs import PROGRAMS, model_server, run_program

STRICT = ("-W", "error")
NAMES = sorted(path.stem for path in PROGRAMS.glob("*.py"))
EVERYWHERE = {
    "first_steps",
    "assistant_with_actions",
    "submit_and_collect",
}  # the others run on one Python: they cost time


def marks_of(program: str) -> list[pytest.MarkDecorator]:
    return [] if program in EVERYWHERE else [pytest.mark.slow]


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    """A model for all of them."""
    with model_server() as running:
        yield running


@pytest.mark.process
@pytest.mark.parametrize("program", [pytest.param(name, marks=marks_of(name)) for name in NAMES])
def test_a_program_runs_with_only_the_import_changed(program: str, server: ModelServer, tmp_path: Path) -> None:
    path = PROGRAMS / f"{program}.py"

    done = run_program(str(path), server.base_url, tmp_path, options=STRICT)

    assert done.stderr == ""
    assert done.stdout == path.with_suffix(".txt").read_text(encoding="utf-8")
    assert done.returncode == 0
    assert list(tmp_path.iterdir()) == []  # also its temporary files


@pytest.mark.process
def test_a_program_that_fails_or_leaves_something_is_seen(server: ModelServer, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("import warnings\nopen('left', 'w').close()\nwarnings.warn('noise')\n", encoding="utf-8")

    done = run_program(str(program), server.base_url, tmp_path, options=STRICT)

    assert done.returncode == 1
    assert "UserWarning: noise" in done.stderr
    assert (tmp_path / "left").exists()
