"""Bugs are planted in the pipelines, one at a time, and a search that knows none of them finds every one."""

import importlib.util
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

import pytest

from support.pipe_search import search

SEEDS: Final = 500
PLANTED: Final = sorted((Path(__file__).parent / "planted").glob("*.py"))

ALWAYS: Final = frozenset(
    {"agents_answer_awaited_whole", "barrier_before_each", "failure_swallowed", "levels", "order_lost"}
)
"""Those that are looked for in every run of the tests; the others once."""

pytestmark = [
    pytest.mark.breaks_the_law,
    # Broken pipelines leave coroutines and generators behind that nobody runs to their end.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore:coroutine:RuntimeWarning"),
]


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Keep what fails on purpose out of the log."""
    caplog.set_level("CRITICAL", "ceylon")


def bug_in(path: Path) -> Callable[[], AbstractContextManager[None]]:
    """Return what plants the bug of this file."""
    specification = importlib.util.spec_from_file_location(f"planted_{path.stem}", path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    plant: Callable[[], AbstractContextManager[None]] = module.plant
    return plant


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, id=path.stem, marks=[] if path.stem in ALWAYS else [pytest.mark.slow]) for path in PLANTED],
)
def test_a_planted_bug_is_found_within_500_seeds(path: Path) -> None:
    with bug_in(path)():
        found = search(SEEDS)

    assert found is not None
    does_not_run = [error for error in ("AttributeError", "NameError", "TypeError") if error in f"{found.error!r}"]
    assert isinstance(found.error, AssertionError), f"a bug that merely does not run: {found.error!r}"
    assert not does_not_run, f"likewise: {found.error!r}"


def test_there_are_bugs_to_find() -> None:
    assert len(PLANTED) >= 12


def test_nothing_is_found_where_nothing_is_planted() -> None:
    found = search(32)

    assert found is None, f"seed {found.seed}: {found.error!r}"
