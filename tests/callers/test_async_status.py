"""`ASYNC_STATUS.md` is true: every test it names exists and passes, and every public verb has its row."""

import subprocess
import sys
from pathlib import Path

import pytest

from plugins.outcomes import Outcomes
from plugins.sabotage import RULES
from support.callers_processes import environment
from support.callers_status import STATUS, Status, complaints, public_verbs, read_status

ROOT = STATUS.parent
HERE = Path(__file__).relative_to(ROOT).as_posix()
DEADLINE = 110.0
SABOTAGED = {
    "a topic reaches its subscribers": "mesh.publish",
    "a reply reaches its asker": "agent.send_message",
    "a sync handler runs in a thread": "mesh.ask_of_a_sync_handler",
}


@pytest.fixture
def status() -> Status:
    """The page as it is."""
    return read_status(STATUS.read_text(encoding="utf-8"))


def run_pytest(*arguments: str, sabotage: str = "") -> subprocess.CompletedProcess[str]:
    plugins = ["-p", "no:randomly", "-p", "no:cacheprovider", "-p", "plugins.sabotage"]
    settings = {name: value for name, value in environment().items() if not name.startswith(("COV_", "PYTEST_"))}
    return subprocess.run(  # noqa: S603 – our own tests
        [sys.executable, "-m", "pytest", "-q", *plugins, *arguments],
        cwd=ROOT,
        env={**settings, "CEYLON_SABOTAGE": sabotage},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )


def test_every_public_verb_has_a_row(status: Status) -> None:
    assert public_verbs() - status.verbs == set(), "these verbs have no row"
    assert status.verbs - public_verbs() == set(), "these rows have no verb"


def test_every_cell_names_a_test(status: Status) -> None:
    assert status.bare == []


def test_every_example_has_a_row(status: Status) -> None:
    rows = " ".join(proof.row for proof in status.proofs)
    examples = [path.name for path in (ROOT / "examples").iterdir() if path.suffix in {".ipynb", ".py"}]

    assert [name for name in examples if f"(examples/{name})" not in rows] == []


@pytest.mark.process
def test_every_named_test_exists(status: Status) -> None:
    paths = sorted({proof.path for proof in status.proofs})
    collected = run_pytest("--collect-only", *paths)
    nodeids = [line for line in collected.stdout.splitlines() if "::" in line]

    assert collected.returncode == 0, collected.stdout
    assert [proof for proof in status.proofs if not proof.find(nodeids)] == []


def test_every_named_test_of_this_run_has_passed(status: Status, outcomes: Outcomes) -> None:
    assert complaints(status, outcomes.by_nodeid) == []


# -- the harness can turn red ------------------------------------------------------------------------------------------


@pytest.mark.process
@pytest.mark.parametrize("rule", ["", *RULES])
def test_breaking_a_rule_of_the_core_turns_the_status_red(rule: str) -> None:
    verb = SABOTAGED.get(rule, "mesh.ask")
    test = f"tests/callers/test_callers.py::test_caller[asyncio-{verb}]"
    judge = f"{HERE}::test_every_named_test_of_this_run_has_passed"
    result = run_pytest(judge, test, sabotage=rule)
    failed = [line.split()[1] for line in result.stdout.splitlines() if line.startswith("FAILED")]

    assert failed == ([test, judge] if rule else []), result.stdout


PAGE = """
| verb | script | web handler |
| --- | --- | --- |
| `Mesh.ask` | [`script-mesh.ask`](tests/callers/test_a.py) | [test_handler](tests/callers/test_b.py) |
| `Mesh.tell` | – | [`*-mesh.tell`](tests/callers/test_a.py) |
"""
PASSED = "passed"


def test_a_page_is_read_row_by_row() -> None:
    status = read_status(PAGE)

    assert status.verbs == {"Mesh.ask", "Mesh.tell"}
    assert [proof.pattern for proof in status.proofs] == ["script-mesh.ask", "test_handler", "*-mesh.tell"]
    assert status.bare == ["`Mesh.tell`: –"]


@pytest.mark.parametrize("outcome", ["failed", "skipped"])
def test_a_named_test_that_did_not_pass_is_a_complaint(outcome: str) -> None:
    nodeids = [
        "tests/callers/test_a.py::test_caller[script-mesh.ask]",
        "tests/callers/test_b.py::test_handler[trio-1]",
        "tests/callers/test_a.py::test_caller[loop-mesh.tell]",
        "tests/callers/test_a.py::test_other",
    ]
    for number, nodeid in enumerate(nodeids):
        ended = dict.fromkeys(nodeids, PASSED) | {nodeid: outcome}

        assert len(complaints(read_status(PAGE), ended)) == (number < 3)


def test_a_name_that_no_test_has_is_found_nowhere() -> None:
    proof = read_status(PAGE).proofs[0]

    assert proof.find(["tests/callers/test_a.py::test_caller[script-mesh.call]"]) == []
    assert proof.find(["tests/callers/test_c.py::test_caller[script-mesh.ask]"]) == []
