"""The demos of pipelines: on a scripted model word by word, on a real one by their structure."""

import re

import pytest

from ceylon import Reply, Usage
from ceylon.models.turns import Request
from support.examples import MODEL, demo, printed_with, run_example

_TOKENS = Usage(input=10, output=5)


def section(title: str, printed: str) -> str:
    """Return what stands between *title* and the next empty line."""
    return printed.partition(f"{title}\n")[2].partition("\n\n")[0]


def headline(request: Request) -> Reply:
    """Write about what the wire says, in so many words."""
    words = " ".join(re.findall(r"\w+", request.turns[-1].text)[8:10])
    return Reply(text=f"{words} " + "more " * 30, usage=_TOKENS)


def test_newsroom(capsys: pytest.CaptureFixture[str]) -> None:
    found = printed_with("demo_newsroom", capsys, *[headline] * 3)

    page = section("The page", found).splitlines()
    assert [line.split("(Archive: ")[1].split(":")[0].split(".")[0].split(")")[0] for line in page if line] == [
        "2020",
        "nothing",
        "A landslide closed the line in October",
    ]
    assert all(len(line.split()) <= 26 for line in page)
    run = section("The run", found)
    assert run.count("reporter ended") == run.count("look_up ended") == 3
    assert "shorten ended" in run
    assert found.count("×3") >= 4


def clerk_and_technician(request: Request) -> str:
    return '{"value": "other"}' if request.output is not None else "Log in once more."


def test_triage(capsys: pytest.CaptureFixture[str]) -> None:
    found = printed_with("demo_triage", capsys, *[clerk_and_technician] * 2)

    assert section("Answers", found).splitlines() == [
        "  1: 20 paid back",
        "  answered: Log in once more.",
        "  3: a letter says that we are sorry",
        "  4: forwarded to the office",
    ]
    assert '-->|"refund"|' in found


def test_map_reduce(capsys: pytest.CaptureFixture[str]) -> None:
    found = printed_with("demo_map_reduce", capsys, "An actor mesh.")

    assert re.search(r"^  \d\d pages, 1 not read, \d{4,} long words$", found, re.MULTILINE)
    assert re.search(r"^  most often: (\w+, ){4}\w+$", found, re.MULTILINE)
    assert found.endswith("  it may be about: An actor mesh.\n")


def speaker(request: Request) -> Reply:
    """Say which side one is on, and how much was said before; or judge."""
    text = request.turns[-1].text
    if request.output is not None:
        return Reply(text='{"winner": "against", "points": 2}', usage=_TOKENS)
    side = "for" if "Speak for" in text else "against"
    return Reply(text=f"{side} after {text.count('after')}", usage=_TOKENS)


def test_debate(capsys: pytest.CaptureFixture[str]) -> None:
    found = printed_with("demo_debate", capsys, *[speaker] * 5)

    assert found.splitlines() == [
        "The debate",
        "  for: for after 0",
        "  against: against after 0",
        "  for: for after 2",
        "  against: against after 2",
        "In the hall: debate, judge, speaker-against, speaker-for",
        "The judge says: against, by 2",
        "5 requests, 75 tokens",
    ]


@pytest.mark.parametrize("name", ["demo_newsroom", "demo_triage", "demo_debate"])
def test_what_a_pipeline_of_a_demo_says_of_itself_is_what_it_draws(name: str) -> None:
    module = demo(name)
    made = {
        "demo_newsroom": lambda: module.newsroom(str.upper),
        "demo_triage": lambda: module.triage(str.upper, str.upper, module.Cashier("cashier")),
        "demo_debate": lambda: module.debate_of("scripted::model", 2),
    }[name]()

    assert made.describe()["label"] == made.name
    assert made.draw().count("flowchart TD") == 1


@pytest.mark.model
@pytest.mark.process
@pytest.mark.timeout(300)
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "ends"),
    [
        ("demo_newsroom.py", r"classDef group [^\n]+\n(    class [^\n]+\n)+$"),
        ("demo_triage.py", r"(    class [^\n]+\n)+$"),
        ("demo_map_reduce.py", r"  it may be about: [^\n]*\n$"),
        ("demo_debate.py", r"The judge says: ((for|against), by [123]|nothing)\n\d requests, \d+ tokens\n$"),
    ],
)
def test_on_a_real_model(name: str, ends: str) -> None:
    done = run_example(name, "--model", MODEL)

    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(ends, done.stdout)
