"""Pictures as SVG, by the extra `drawing`: what was asked for and nothing else, the same bytes each time."""

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import example, given, settings
from IPython.core.formatters import DisplayFormatter

from ceylon import DrawingError
from ceylon.core.mermaid import Chart, fold
from ceylon.core.svg import mimebundle, svg_of
from ceylon.pipelines import pipeline
from ceylon.pipelines.mermaid import draw
from support.charts import HOSTILE, descriptions, read
from support.svgs import words_of


def clean(text: str) -> str:
    return text.strip()


def split(text: str) -> list[str]:
    return text.split()


PIPELINE = pipeline(clean, split).named("words")


def test_a_pipeline_has_a_picture() -> None:
    assert words_of(PIPELINE.svg()) == ["clean", "split", "words"]


def test_a_run_is_in_the_picture() -> None:
    events = [
        {"id": 1, "parent": 0, "place": "", "what": "started"},
        {"id": 2, "parent": 1, "place": "0", "what": "started"},
        {"id": 2, "parent": 1, "place": "0", "what": "failed", "at": 0.5, "error": "no tea"},
    ]
    svg = PIPELINE.svg(events)

    assert "cleanfailed after 0.50 sno tea" in words_of(svg)
    assert "#ffebe9" in svg


def test_hostile_names_are_words_in_the_picture_and_nothing_else() -> None:
    chart = Chart(" ".join(HOSTILE))
    with chart.group("gn", " ".join(HOSTILE)):
        for number, name in enumerate(HOSTILE):
            chart.node(f"n{number}", [name])
    chart.edge("n0", "n1", HOSTILE[0])
    words = words_of(svg_of(chart.text()))

    for name in HOSTILE:
        assert "".join(fold(name)) in words or not fold(name)[0], name


def test_the_same_pipeline_gives_the_same_bytes_and_another_one_other_ids() -> None:
    first, again, other = PIPELINE.svg(), PIPELINE.svg(), PIPELINE.svg(direction="right")

    assert first == again
    assert ids(first) & ids(other) == set()


def ids(svg: str) -> set[str]:
    """Return the ids of a picture: two on one page must share none."""
    return {part.partition('"')[0] for part in svg.split(' id="')[1:]}


def test_without_the_extra_the_error_has_the_line_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mermaidx", None)  # as if it were not installed

    with pytest.raises(DrawingError, match=r'pip install -e "\.\[drawing\]"'):
        PIPELINE.svg()
    assert "clean" in PIPELINE.draw()


def test_what_the_renderer_refuses_is_an_error_with_its_words() -> None:
    with pytest.raises(DrawingError, match="Parse error"):
        svg_of("flowchart TD\n    a[ --> b")


def test_a_cell_of_a_notebook_shows_the_picture_of_its_last_value() -> None:
    formatter: Any = DisplayFormatter()
    shown, _ = formatter.format(PIPELINE)

    assert words_of(shown["image/svg+xml"]) == ["clean", "split", "words"]
    assert shown["text/plain"] == repr(PIPELINE)


def test_a_notebook_without_the_extra_gets_the_text_to_be_drawn_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mermaidx", None)
    shown = mimebundle(PIPELINE.draw, "plain")

    assert set(shown) == {"text/plain", "text/markdown"}
    assert shown["text/markdown"].startswith("```mermaid\n---\ntitle:")


def test_a_notebook_is_not_told_of_a_picture_that_cannot_be_drawn() -> None:
    assert set(mimebundle(lambda: "no chart", "plain")) == {"text/plain", "text/markdown"}


FORKED = """
import os, sys
from ceylon.core.svg import svg_of

chart = "flowchart TD\\n    a --> b"
drawn = svg_of(chart)
child = os.fork()
if child == 0:
    os._exit(0 if svg_of(chart) == drawn else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.process
def test_a_forked_process_draws_as_well() -> None:
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKED]  # of threads while forking

    done = subprocess.run(command, check=False, timeout=50, capture_output=True, text=True)  # noqa: S603 – this Python

    assert (done.returncode, done.stderr) == (0, "")


@settings(max_examples=2, deadline=None)
@example({"kind": "sequence", "place": "", "children": [{"kind": "stage", "label": "$$x^2$$$", "place": "0"}]})
@given(descriptions(leaves=3))
def test_the_renderer_takes_any_pipeline(description: dict[str, Any]) -> None:
    check(description)


@pytest.mark.slow
@settings(max_examples=6, deadline=None)
@given(descriptions(leaves=8))
def test_the_renderer_takes_any_pipeline_at_length(description: dict[str, Any]) -> None:
    check(description)


def check(description: dict[str, Any]) -> None:
    """Render it, and look for every word of every box."""
    text = draw(description)
    words = words_of(svg_of(text))
    for lines in read(text).boxes.values():
        assert "".join(lines).strip("\xa0 ") in {*words, ""}


def test_the_check_turns_red_at_a_label_that_was_not_escaped() -> None:
    text = draw({"kind": "sequence", "place": "", "children": [{"kind": "stage", "label": "innocent", "place": "0"}]})

    with pytest.raises(AssertionError, match="is no part of a drawing"):
        words_of(svg_of(text.replace("innocent", "<i>guilty</i>")))
