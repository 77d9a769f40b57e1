"""The documents show code that runs: every block of Python in them is a file in `examples/`, or a section of one."""

import re
import runpy
from pathlib import Path

import pytest

import ceylon
from ceylon import errors
from ceylon.testing import record
from support.callers_status import public_verbs
from support.examples import DEMOS, EXAMPLES, ROOT, SNIPPETS, run_example

PAGES = sorted((ROOT / "docs").rglob("*.md"))
ON_THE_FRONT_PAGE = ("hello", "calls", "composed")
FRONT = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "examples/README.md")]
BLOCK = re.compile(r"^( *)```python[^\n]*\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
INCLUDED = re.compile(r'--8<-- "(examples/[\w/]+\.py)(?::(\w+))?"')
SECTION = r"^ *# --8<-- \[start:{0}\]\n(.*?)^ *# --8<-- \[end:{0}\]$"


def blocks(page: Path) -> list[str]:
    """Return the blocks of Python in *page*."""
    return [block for _, block in BLOCK.findall(page.read_text(encoding="utf-8"))]


def section(path: str, name: str) -> str:
    """Return the section *name* of an example, or all of it."""
    text = (ROOT / path).read_text(encoding="utf-8")
    if not name:
        return text
    (found,) = re.findall(SECTION.format(name), text, re.MULTILINE | re.DOTALL)
    return str(found)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_of_a_page_is_taken_from_an_example(page: Path) -> None:
    for block in blocks(page):
        found = INCLUDED.fullmatch(block.strip())
        assert found is not None, f"this code is in no example:\n{block}"
        assert section(found[1], found[2] or "").strip()


def test_the_blocks_of_the_readme_are_an_example_word_by_word() -> None:
    shown = blocks(ROOT / "README.md")

    assert shown == [section(f"examples/snippets/{name}.py", name) for name in ON_THE_FRONT_PAGE]


def test_every_section_of_a_snippet_is_shown_somewhere() -> None:
    shown = {found for page in PAGES for found in INCLUDED.findall(page.read_text(encoding="utf-8"))}
    shown |= {(f"examples/snippets/{name}.py", name) for name in ON_THE_FRONT_PAGE}
    marked = {
        (f"examples/snippets/{name}", found)
        for name in SNIPPETS
        for found in re.findall(r"\[start:(\w+)\]", (EXAMPLES / "snippets" / name).read_text(encoding="utf-8"))
    }
    assert marked - shown == set()


@pytest.mark.parametrize("page", [*PAGES, *FRONT], ids=lambda page: page.stem)
def test_what_a_page_names_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(r"\b(?:scripts|examples|docs|tests|benchmarks)/[\w./-]*\w", text))
    linked = {target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in target}

    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []
    assert [target for target in sorted(linked) if target and not (page.parent / target).exists()] == []


def test_the_examples_are_listed() -> None:
    text = (EXAMPLES / "README.md").read_text(encoding="utf-8")

    assert [name for name in [*DEMOS, "demo_notebook.ipynb", "snippets"] if f"]({name})" not in text] == []


def test_troubleshooting_has_the_headings_people_search_for() -> None:
    text = (ROOT / "docs/guides/troubleshooting.md").read_text(encoding="utf-8")

    for words in ("no running event loop", "Connection refused", "Slow with concurrent queries"):
        assert f"\n## {words}\n" in text


PROOF = re.compile(r"`(test_\w+)`")


def promises(text: str) -> list[str]:
    """Return the rows of the tables of promises and limits."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [line for line in lines if not line.startswith(("| ---", "| promise", "| limit"))]


def unproved(text: str, tests: set[str]) -> list[str]:
    """Return the rows that name no test, or one that there is not."""
    named = {row: PROOF.findall(row) for row in promises(text)}
    return [row for row, proofs in named.items() if not proofs or not tests.issuperset(proofs)]


def all_tests() -> set[str]:
    """Return the name of every test function."""
    files = (ROOT / "tests").rglob("test_*.py")
    return {name for path in files for name in re.findall(r"def (test_\w+)\(", path.read_text(encoding="utf-8"))}


def test_every_promise_names_tests_that_exist() -> None:
    text = (ROOT / "docs/explanation/delivery.md").read_text(encoding="utf-8")

    assert len(promises(text)) > 30
    assert unproved(text, all_tests()) == []


def test_a_promise_without_a_test_and_one_with_an_invented_test_are_found() -> None:
    rows = ["| Agents are nice. | |", "| Agents are nice. | `test_agents_are_nice` |"]

    assert unproved("\n".join(rows), {"test_other"}) == rows


FAULT = re.compile(r"^\| ([JKM]\d+) \|.*\| (.*?) \| (.*?) \|$", re.MULTILINE)


def untested(text: str, tests: set[str]) -> list[str]:
    """Return the rows of the table of faults that name no test, or one that there is not."""
    rows = FAULT.findall(text)
    return [row for row, proofs, _ in rows if not PROOF.findall(proofs) or not tests.issuperset(PROOF.findall(proofs))]


def test_every_fault_names_tests_that_exist() -> None:
    text = (ROOT / "docs/explanation/faults.md").read_text(encoding="utf-8")
    rows = [row for row, _, _ in FAULT.findall(text)]

    assert rows[:26] == [f"J{number}" for number in range(1, 27)]
    assert untested(text, all_tests()) == []
    assert set(PROOF.findall(text)) - all_tests() == set()


def test_every_dialect_meets_the_rows_that_say_so() -> None:
    text = (ROOT / "docs/explanation/faults.md").read_text(encoding="utf-8")
    sources = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")}
    every = re.compile(r"def (test_\w+)\(\s*(?:caller: Caller|name: str|way: str)")
    met = {name for source in sources.values() for name in every.findall(source)}
    fuzzed = {"test_bytes_at_random_raise_declared_errors_and_make_nothing_happen"}  # of all sessions; see its program

    for row, proofs, dialects in FAULT.findall(text):
        assert not dialects.startswith("all five") or (met | fuzzed).intersection(PROOF.findall(proofs)), row


def test_a_fault_without_a_test_and_one_with_an_invented_test_are_found() -> None:
    rows = "| J1 | x | y | | all five |\n| J2 | x | y | `test_invented` | – |\n| J3 | x | y | `test_real` | – |"

    assert untested(rows, {"test_real"}) == ["J1", "J2"]


def reference() -> dict[str, list[str]]:
    """Return what the reference has of each public thing: the members it lists, or nothing where it has all."""
    pages = [page.read_text(encoding="utf-8") for page in (ROOT / "docs/reference").glob("*.md")]
    entry = re.compile(r"^::: ceylon\.(\S+)\n((?: {4}.*\n)*)", re.MULTILINE)
    entries = [found for page in pages for found in entry.findall(f"{page}\n")]
    return {
        path.rpartition(".")[2]: re.findall(r"\w+", "".join(re.findall(r"members: \[(.*)\]", options)))
        for path, options in entries
    }


def test_the_reference_has_every_public_name() -> None:
    names = set(ceylon.__all__) - set(errors.__all__)

    assert "errors" in reference()
    assert names - set(reference()) == set()


def test_the_reference_has_every_public_verb() -> None:
    shown = reference()

    for verb in public_verbs() - {"default_mesh"}:
        owner, _, name = verb.partition(".")
        assert owner in shown, f"{owner} is not in the reference"
        assert not shown[owner] or name in shown[owner], f"{verb} is not in the reference"


def test_the_call_of_the_readme_runs_as_it_was_recorded(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the embedded model it mostly does; how often so small a model calls is its own affair."""
    monkeypatch.delenv("CEYLON_MODEL", raising=False)  # which "auto" would stand for
    with record(EXAMPLES / "recorded" / "cassettes" / "calls.cassette"):
        runpy.run_path(str(EXAMPLES / "snippets" / "calls.py"), run_name="calls")

    assert capsys.readouterr().out == "Weather(city='Colombo', degrees=31.0)\n"


@pytest.mark.model
@pytest.mark.process
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", [name for name in SNIPPETS if name != "calls.py"])
def test_the_snippets_of_a_page_run(name: str) -> None:
    done = run_example(f"snippets/{name}")

    assert done.returncode == 0, done.stderr
    assert "Traceback (most recent call last)" not in done.stderr  # the watchdog may show a stack on a busy machine
    assert done.stdout.strip()
