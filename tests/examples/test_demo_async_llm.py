"""`examples/demo_async_llm.py` on a real model: what it prints has the structure it promises."""

import re
from itertools import pairwise

import pytest

from support.examples import MODEL, heading, run_example

pytestmark = [pytest.mark.model, pytest.mark.process, pytest.mark.timeout(300)]

REPORT = re.compile(r"^    \[(\S+): (\d+) tokens in, (\d+) out(?:, (\d+\.\d) tokens/s)?\]$", re.MULTILINE)
RUN = r"{} +8 answers, (\d+) tokens in \d+\.\d\d s: \d+\.\d tokens/s\n"


@pytest.fixture(scope="module")
def printed() -> str:
    """What the demo prints."""
    done = run_example("demo_async_llm.py", "--model", MODEL, "--max-tokens", "16")
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_it_says_which_model_answers(printed: str) -> None:
    first, second, *_ = printed.splitlines()

    assert first == f"Loading the model {MODEL!r} …"
    assert re.fullmatch(r"\S+ gave its first answer after \d+\.\d s", second)


def test_concurrent_and_sequential_queries_are_measured(printed: str) -> None:
    shown = heading("1. ", printed)

    assert all(
        int(re.findall(RUN.format(re.escape(how)), shown)[0]) > 0 for how in ("one after the other", "asyncio.gather")
    )
    assert re.search(r"^speed-up of concurrent over sequential: \d+\.\d\d ×$", shown, re.MULTILINE)


@pytest.mark.parametrize(("section", "replies"), [("1. ", 8), ("2. ", 4), ("4. ", 2)])
def test_the_engine_reports_model_and_tokens(section: str, replies: int, printed: str) -> None:
    reports = REPORT.findall(heading(section, printed))

    assert len(reports) >= replies
    assert all(int(given) > 0 and 0 < int(taken) <= 16 for _, given, taken, _ in reports)
    if MODEL == "local::smollm2":
        assert {model for model, *_ in reports} == {"smollm2:135m"}
        assert all(float(speed) > 0 for *_, speed in reports)


def test_progressive_results_come_one_by_one(printed: str) -> None:
    times = [float(words) for words in re.findall(r"^  after (\d+\.\d) s$", heading("2. ", printed), re.MULTILINE)]

    assert len(times) == 4
    assert all(earlier <= later for earlier, later in pairwise(times))


def test_a_batch_tells_its_progress_and_keeps_the_order(printed: str) -> None:
    shown = heading("3. ", printed)

    assert re.findall(r"^  (\d) of 4 answered", shown, re.MULTILINE)[-4:] == list("1234")
    assert re.findall(r"^  (\w[^?.\n]+[?.])$", shown, re.MULTILINE) == [
        "Name a fruit.",
        "Describe a forest at night.",
        "What is 2+2?",
        "Explain how tea is grown.",
    ]


def test_errors_stand_among_the_answers(printed: str) -> None:
    shown = heading("4. ", printed)

    assert "  ''\n    ArgumentError: the query is empty" in shown
    assert "  10,000 characters\n    " in shown
    if MODEL == "local::smollm2":
        assert re.search(r"10,000 characters\n    ModelStatusError: .* exceeds the available context size", shown)
        assert shown.rstrip().endswith("2 answered, 2 failed, none lost")
