"""The caller matrix, where the caller is a process of its own: a script, and a worker forked off a busy server."""

from typing import Any

import pytest

from support.callers_expected import EXPECTED
from support.callers_processes import run_program
from support.callers_report import read_reports

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def script(model_url: str) -> dict[str, Any]:
    """What a script says of every verb."""
    return read_reports(run_program("script.py", model_url))


@pytest.fixture(scope="module")
def prefork(model_url: str) -> dict[str, Any]:
    """What a server and its forked worker say of every verb."""
    return read_reports(run_program("prefork.py", model_url))


@pytest.mark.parametrize("verb", EXPECTED)
@pytest.mark.parametrize("caller", ["script"])
def test_script(caller: str, verb: str, script: dict[str, Any]) -> None:
    assert script[verb] == EXPECTED[verb]


@pytest.mark.parametrize("verb", EXPECTED)
@pytest.mark.parametrize("form", ["blocking", "awaited"])
def test_prefork_child(form: str, verb: str, prefork: dict[str, Any]) -> None:
    assert prefork[f"{form}.{verb}"] == EXPECTED[verb]


def test_a_fork_leaves_the_parent_and_many_children_working(prefork: dict[str, Any]) -> None:
    assert prefork["parent.before"] == ["echo: hi", 7]
    assert prefork["child.question"] == "echo: hi"
    assert set(prefork["children"]) == {0}
    assert prefork["parent.after"] == ["echo: hi", 7, 7]


def test_a_mesh_that_came_through_a_fork_says_so(prefork: dict[str, Any]) -> None:
    assert "fork" in prefork["child.inherited"]
    assert "fork" in prefork["child.inherited_default"]
