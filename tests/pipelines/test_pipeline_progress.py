"""How far a run is, on a terminal: a live table, one line, a function, or nothing at all."""

import io
import re
import sys
from typing import Any

import anyio
import anyio.to_thread
import pytest
import rich.console

from ceylon import ArgumentError, Mesh
from ceylon.pipelines import each, pipeline
from ceylon.pipelines.live import Live
from ceylon.pipelines.progress import Counter, display_for_pipeline
from ceylon.pipelines.rows import rows_of
from ceylon.pipelines.showing import display_for
from support.charts import node, placed, stage
from support.terminals import terminal

PIPELINE = placed(
    {
        **node(
            "sequence",
            stage("fetch"),
            node("each", node("sequence", stage("translate", "agent"), stage("polish")), facts={"concurrency": 4}),
            node("retry", stage("save"), facts={"times": 3}),
            label="news",
        ),
        "name": "news",
    }
)


def event(identity: int, parent: int, place: str, what: str, at: float, **more: Any) -> dict[str, Any]:
    """Return an event as plain data."""
    return {"id": identity, "parent": parent, "place": place, "label": "", "what": what, "at": at, **more}


BEGUN = [
    event(1, 0, "", "started", 0.0),
    event(2, 1, "0", "started", 0.0),
    event(2, 1, "0", "ended", 0.5),
    event(3, 1, "1", "started", 0.5),
    *(event(10 + item, 3, "1.0.0", "started", 0.5) for item in range(5)),
    *(event(10 + item, 3, "1.0.0", "ended", 1.0) for item in range(3)),
    event(13, 3, "1.0.0", "failed", 1.5, error="no tea"),
]


def table(display: Live, **options: Any) -> list[str]:
    """Return the lines of what a display shows now."""
    console = rich.console.Console(file=io.StringIO(), width=80, **options)
    with console.capture() as captured:
        console.print(display.table())
    return [line.rstrip() for line in captured.get().splitlines()]


def live(width: int = 80, height: int = 25) -> Live:
    """Return a display on a console of this size that shows the run that has begun, two seconds later."""
    now = [0.0]
    display = Live(PIPELINE, rich.console.Console(file=io.StringIO(), width=width, height=height), lambda: now[0])
    for begun in BEGUN:
        display.see(begun)
    display.close()
    now[0] = 2.0
    return display


# -- the table ---------------------------------------------------------------------------------------------------------


def test_the_table_shows_what_is_over_what_runs_and_what_has_not_begun() -> None:
    shown = [" ".join(line.split()) for line in table(live())]

    assert shown == [
        "news 3.50 s",
        "✓ fetch 0.50 s",
        "● each ×4 3.00 s",
        "● translate 4/5, 1 failed",
        "· polish",
        "· retry, 3 tries",
        "· save",
    ]


def test_stages_are_indented_below_what_they_are_part_of() -> None:
    assert [(row.place, row.depth) for row in rows_of(PIPELINE)] == [
        ("0", 0),
        ("1", 0),
        ("1.0.0", 1),
        ("1.0.1", 1),
        ("2", 0),
        ("2.0", 1),
    ]


def test_a_low_terminal_gets_what_runs_and_what_failed() -> None:
    shown = table(live(height=5))

    assert len(shown) == 4
    assert "translate" in shown[2]
    assert "4 more" in shown[3]


def test_a_name_cannot_move_the_cursor() -> None:
    hostile = placed({**node("sequence", stage("a\x1b[2Jb\rc")), "name": "x"})

    assert rows_of(hostile)[0].label == "a\ufffd[2Jb\ufffdc"


def test_a_name_is_no_markup_of_rich() -> None:
    hostile = placed({**node("sequence", stage("[red]a[/red]")), "name": "[bold]x"})

    assert "[red]a[/red]" in table(Live(hostile, rich.console.Console(file=io.StringIO())))[1]


# -- terminals ---------------------------------------------------------------------------------------------------------


def run(progress: Any) -> None:
    """Show a run as *progress* asks for."""
    display: Any = display_for(progress, lambda: PIPELINE)
    if display is None:
        return
    for happened in [*BEGUN, event(1, 0, "", "ended", 2.0)]:
        display.see(happened)
    display.close()


def test_a_terminal_shows_a_live_table_that_is_gone_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    with terminal() as (file, screen):
        monkeypatch.setattr(sys, "stderr", file)
        run(None)

    assert "translate" in screen.text
    assert "\x1b[2K" in screen.text.rpartition("translate")[2], "its lines are wiped away"
    assert "\x1b[?25h" in screen.text.rpartition("\x1b[?25l")[2], "the cursor is there again"
    assert re.search(r"\x1b\[[0-9;]*3[0-9]m", screen.text), "it is in colour"


def test_no_colour_is_used_where_none_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1")
    with terminal() as (file, screen):
        monkeypatch.setattr(sys, "stderr", file)
        run(None)

    assert "translate" in screen.text
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", screen.text)


@pytest.mark.parametrize("without", ["a cursor", "rich"])
def test_a_simple_terminal_gets_one_line(monkeypatch: pytest.MonkeyPatch, without: str) -> None:
    if without == "rich":
        monkeypatch.setitem(sys.modules, "rich", None)  # as if it were not installed
    else:
        monkeypatch.setenv("TERM", "dumb")
    with terminal() as (file, screen):
        monkeypatch.setattr(sys, "stderr", file)
        run(None)

    assert "\x1b" not in screen.text
    assert screen.text.endswith("news: 5 ended, 1 failed, 2 running\r\n")
    assert screen.text.count("\n") == 1


def shout(word: str) -> str:
    return word.upper()


@pytest.mark.parametrize("way", ["run", "blocking.run"])
async def test_a_real_run_shows_itself_on_a_terminal(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    made = pipeline(str.split, each(shout)).named("words")
    async with Mesh("test") as mesh:
        mesh.add(made)
        with terminal() as (file, screen):
            monkeypatch.setattr(sys, "stderr", file)
            if way == "run":
                result = await made.run("one two")
            else:
                result = await anyio.to_thread.run_sync(made.blocking.run, "one two")

    assert result == ["ONE", "TWO"]
    assert "shout" in screen.text
    assert "2/2" in screen.text


def test_nothing_is_shown_when_stderr_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    run(None)
    run(False)  # noqa: FBT003 – what a user writes

    assert capsys.readouterr() == ("", "")
    assert display_for_pipeline(None, PIPELINE) is None


def test_asked_for_it_is_written_to_a_file_once(capsys: pytest.CaptureFixture[str]) -> None:
    run(True)  # noqa: FBT003 – as above
    shown = capsys.readouterr()

    assert shown.out == ""
    assert shown.err.count("translate") == 1


def test_a_function_gets_every_event() -> None:
    told: list[Any] = []
    run(told.append)

    assert told == [*BEGUN, event(1, 0, "", "ended", 2.0)]


def test_anything_else_is_refused() -> None:
    with pytest.raises(ArgumentError, match="a function of an event"):
        run("yes")


def test_thousands_of_events_do_not_write_thousands_of_times(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    now = [0.0]
    counter = Counter("news", lambda: now[0])
    for number in range(1, 5_001):
        counter.see(event(number, 0, "0", "started", 0.0))
        now[0] += 0.001
    counter.close()

    assert written.getvalue().count("\r") <= 52
