"""Pictures of pipelines as Mermaid text: every kind of node, runs drawn over them, and names that are only names."""

from typing import Any

import pytest
from hypothesis import given, settings

from ceylon import ArgumentError, Mesh
from ceylon.core.mermaid import Chart, escape, fold
from ceylon.pipelines import StageEvent, each, gather, parallel, pipeline
from ceylon.pipelines.mermaid import draw
from ceylon.pipelines.tally import seconds_of
from support.charts import HOSTILE, descriptions, labels_in, node, placed, read, stage


def told(*steps: dict[str, Any], name: str = "demo") -> dict[str, Any]:
    """Return the description of a pipeline of *steps*."""
    return placed({**node("sequence", *steps, label=name), "name": name})


def event(identity: int, parent: int, place: str, what: str, at: float, **more: Any) -> dict[str, Any]:
    """Return an event as plain data."""
    return {"id": identity, "parent": parent, "place": place, "label": "", "what": what, "at": at, **more}


def execution(identity: int, place: str, begin: float, end: float, what: str = "ended", **more: Any) -> list[Any]:
    """Return the two events of one execution that is part of the whole run."""
    return [event(identity, 1, place, "started", begin), event(identity, 1, place, what, end, **more)]


# -- kinds of nodes ----------------------------------------------------------------------------------------------------


def test_stages_follow_each_other() -> None:
    chart = read(draw(told(stage("clean"), stage("split"), stage("write"))))

    assert chart.boxes == {"n0": ["clean"], "n1": ["split"], "n2": ["write"]}
    assert chart.edges == [("n0", "n1", ""), ("n1", "n2", "")]


def test_branches_of_a_parallel_leave_a_fork_and_meet_again() -> None:
    both = node("parallel", stage("news"), stage("stock"), facts={"on_failure": "keep"}, keys=["a", "b"])
    chart = read(draw(told(stage("first"), both, stage("last"))))

    assert chart.boxes["n1"] == ["parallel", "failures kept"]
    assert {("n1", "n1_0", "a"), ("n1", "n1_1", "b"), ("n1_0", "n1j", ""), ("n1_1", "n1j", "")} <= {*chart.edges}
    assert {("n0", "n1", ""), ("n1j", "n2", "")} <= {*chart.edges}


def test_a_branch_is_a_diamond_whose_arrows_carry_the_keys() -> None:
    choice = node("branch", stage("x"), stage("y"), facts={"by": "kind_of", "default": True}, keys=["a", "default"])
    chart = read(draw(told(choice, stage("last"))))

    assert chart.boxes["n0"] == ["kind_of?"]
    assert {("n0", "n0_0", "a"), ("n0", "n0_1", "default"), ("n0_0", "n1", ""), ("n0_1", "n1", "")} == {*chart.edges}


def test_what_finds_the_key_of_a_branch_stands_before_the_diamond_if_it_is_a_stage_of_its_own() -> None:
    choice = node("branch", stage("x"), stage("judge", "agent"), facts={"by": "judge"}, keys=["a", "by"])
    chart = read(draw(told(stage("first"), choice)))

    assert chart.edges == [("n1_1", "n1", ""), ("n1", "n1_0", "a"), ("n0", "n1_1", "")]


def test_a_loop_has_a_way_back_and_says_its_limit() -> None:
    chart = read(draw(told(node("loop", stage("improve"), facts={"at_most": 5, "until": "is_good"}), stage("last"))))

    assert chart.frames == {"gn0": "loop, at most 5 times"}
    assert chart.edges == [("n0_0", "n0", ""), ("n0", "n0_0", "again"), ("n0", "n1", "done")]
    assert chart.boxes["n0"] == ["is_good?"]


def test_each_is_a_frame_that_says_how_many_at_once() -> None:
    facts = {"concurrency": 8, "ordered": False, "on_failure": "cancel"}
    chart = read(draw(told(node("each", stage("f"), facts=facts), node("gather"))))

    assert chart.frames == {"gn0": "each ×8 · unordered"}
    assert chart.edges == [("n0_0", "n1", "")]


def test_a_race_ends_with_the_first() -> None:
    chart = read(draw(told(node("race", stage("x"), stage("y")))))

    assert chart.boxes["n0j"] == ["first"]
    assert len(chart.edges) == 4


def test_a_fallback_leads_from_what_failed_to_the_other_and_from_both_onwards() -> None:
    chart = read(draw(told(node("fallback", stage("big"), stage("small")), stage("last"))))

    assert chart.edges == [("n0_0", "n0_1", "if it fails"), ("n0_0", "n1", ""), ("n0_1", "n1", "")]


def test_a_retry_and_a_timeout_of_one_stage_are_lines_in_its_box() -> None:
    wrapped = node("retry", node("timeout", stage("ask"), facts={"seconds": 5}), facts={"times": 3, "on": ["OSError"]})
    chart = read(draw(told(wrapped)))

    assert chart.boxes == {"n0_0_0": ["ask", "timeout 5 s", "retry, 3 tries", "on OSError"]}
    assert chart.frames == {}


def test_a_retry_of_several_stages_is_a_frame() -> None:
    chart = read(draw(told(node("retry", node("sequence", stage("a"), stage("b")), facts={"times": 2}))))

    assert chart.frames == {"gn0": "retry, 2 tries"}


def test_a_pipeline_inside_another_is_a_frame_with_its_name() -> None:
    chart = read(draw(told(stage("a"), node("sequence", stage("b"), stage("c"), label="inner"))))

    assert chart.frames == {"gn1": "inner"}
    assert ("n0", "n1_0", "") in chart.edges


def test_a_picture_may_lead_to_the_right() -> None:
    assert "flowchart LR\n" in draw(told(stage("a")), direction="right")


def split(text: str) -> list[str]:
    return text.split()


def shout(word: str) -> str:
    return word.upper()


def test_a_real_pipeline_draws_itself() -> None:
    made = pipeline(split, each(shout, concurrency=3), gather(), parallel(a=len, b=list)).named("words")
    chart = read(made.draw())

    assert {line for lines in chart.boxes.values() for line in lines} >= {"split", "shout", "gather", "len", "list"}
    assert chart.frames == {"gn1": "each ×3"}
    assert 'title: "words"' in made.draw()


# -- runs --------------------------------------------------------------------------------------------------------------


def test_a_run_is_drawn_over_the_pipeline() -> None:
    events = [
        event(1, 0, "", "started", 0),
        *execution(2, "0", 0, 0.82),
        *execution(3, "1", 0.82, 1.0, "failed", error="ValueError: no tea"),
        event(1, 0, "", "failed", 1.0, error="ValueError: no tea"),
    ]
    text = draw(told(stage("clean"), stage("split"), stage("write")), events)
    chart = read(text)

    assert chart.boxes == {
        "n0": ["clean", "0.82 s"],
        "n1": ["split", "failed after 0.18 s", "ValueError: no tea"],
        "n2": ["write"],
    }
    assert chart.classes == {"n0": "ended", "n1": "failed", "n2": "never"}
    assert 'title: "demo: failed after 1.00 s"' in text


def test_a_run_that_goes_on_shows_what_is_under_way_and_what_was_cancelled() -> None:
    events = [
        event(1, 0, "", "started", 0),
        event(2, 1, "0", "started", 0),
        *execution(3, "1", 0, 0.5, "cancelled"),
        event(4, 1, "2", "skipped", 0),
    ]
    chart = read(draw(told(stage("a"), stage("b"), stage("c")), events))

    assert chart.boxes == {"n0": ["a", "running"], "n1": ["b", "cancelled after 0.50 s"], "n2": ["c", "skipped"]}
    assert chart.classes == {"n0": "running", "n1": "cancelled", "n2": "never"}


def test_many_executions_of_a_stage_are_counted() -> None:
    items = [execution(10 + at, "0.0", 0, 0.25, "failed" if at < 2 else "ended", error="x") for at in range(40)]
    events = [event(1, 0, "", "started", 0), *(each for pair in items for each in pair)]
    chart = read(draw(told(node("each", stage("f"), facts={"concurrency": 8})), events))

    assert chart.boxes["n0_0"][:3] == ["f", "×40, 2 failed", "0.25 s each"]
    assert chart.classes["n0_0"] == "partly"


def test_a_retry_that_helped_is_green_and_says_what_it_took() -> None:
    wrapped = node("retry", stage("ask"), facts={"times": 3})
    events = [
        event(1, 0, "", "started", 0),
        event(2, 1, "0", "started", 0),
        event(3, 2, "0.0", "started", 0),
        event(3, 2, "0.0", "failed", 0.1, error="busy"),
        event(2, 1, "0", "retried", 0.1),
        event(4, 2, "0.0", "started", 0.2),
        event(4, 2, "0.0", "ended", 0.3),
        event(2, 1, "0", "ended", 0.3),
    ]
    chart = read(draw(told(wrapped), events))

    assert chart.boxes["n0_0"] == ["ask", "retry, 3 tries", "×2, 1 failed", "0.10 s each", "1 retried", "busy"]
    assert chart.classes["n0_0"] == "ended"


def test_stages_of_a_pipeline_behind_an_agent_are_not_taken_for_ours() -> None:
    events = [
        event(1, 0, "", "started", 0),
        event(2, 1, "0", "started", 0),
        event(3, 2, "", "started", 0),  # the agent's own run, with places of its own tree
        event(4, 3, "1", "started", 0),
        event(4, 3, "1", "failed", 0.1, error="not ours"),
    ]
    chart = read(draw(told(stage("desk", "agent"), stage("b")), events))

    assert chart.boxes == {"n0": ["desk", "running"], "n1": ["b"]}


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.001, "<0.01 s"), (0.82, "0.82 s"), (12.34, "12.3 s"), (125, "2 min 05 s")]
)
def test_times_are_as_exact_as_one_wants_to_know(seconds: float, said: str) -> None:
    assert seconds_of(seconds) == said


def refuse(words: list[str]) -> str:
    raise ValueError(" ".join(words))


async def test_a_real_run_that_failed_shows_where() -> None:
    made = pipeline(split, each(shout), refuse, len).named("words")
    events: list[StageEvent] = []
    async with Mesh("test") as mesh:
        mesh.add(made)
        with pytest.raises(ValueError, match="A B C"):
            async for happened in made.stream("a b c"):
                events.append(happened)  # noqa: PERF401 – those before the failure are wanted
    chart = read(made.draw(events))

    assert chart.boxes["n1_0"][:2] == ["shout", "×3"]
    assert chart.boxes["n2"][0] == "refuse"
    assert "A B C" in chart.boxes["n2"][-1]
    assert [chart.classes[key] for key in ("n0", "n1_0", "n2", "n3")] == ["ended", "ended", "failed", "never"]


# -- names -------------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(descriptions())
def test_any_pipeline_is_drawn_with_every_label_and_nothing_else(description: dict[str, Any]) -> None:
    check(description)


@pytest.mark.slow
@settings(max_examples=800, deadline=None)
@given(descriptions(leaves=30))
def test_any_pipeline_is_drawn_with_every_label_and_nothing_else_at_length(description: dict[str, Any]) -> None:
    check(description)


def check(description: dict[str, Any]) -> None:
    """Draw it, read that strictly, and look for every name."""
    chart = read(draw(description))
    shown = {line for lines in chart.boxes.values() for line in lines} | {word for *_, word in chart.edges}
    whole = "\n".join(shown)
    for label in labels_in(description):
        assert any(all(part in whole for part in fold(label, width)) for width in (20, 30)), label


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_a_label_wherever_it_stands(name: str) -> None:
    chart = Chart(name)
    with chart.group("gn0", name):
        chart.node("n0", [name])
        chart.node("n1", [name], shape="diamond")
    chart.edge("n0", "n1", name)

    assert len(read(chart.text()).boxes) == 2


@pytest.mark.parametrize("name", ['"]; evil["x', "<script>", "%% x", "a|b", "`x`", "$$x$$", "a\nb --> c", "#quot;"])
def test_the_reader_turns_red_at_a_name_that_was_not_escaped(name: str) -> None:
    good = draw(told(stage("innocent")))

    with pytest.raises(AssertionError):
        read(good.replace("innocent", name))


def test_usual_names_can_be_read_in_the_text_as_they_are() -> None:
    assert escape("fetch_page shop.stock 0.82 s (≤ 5)") == "fetch_page shop.stock 0.82 s (≤ 5)"


def test_long_names_are_broken_where_a_reader_would_and_cut_at_last() -> None:
    assert fold("a_name_of_many_words_in_one_line", 20) == ["a_name_of_many_", "words_in_one_line"]
    assert fold("x" * 200, 20) == ["x" * 20] * 3 + ["x" * 19 + "…"]


def test_what_is_no_direction_and_no_event_is_refused() -> None:
    for direction in ("LR", "up"):
        with pytest.raises(ArgumentError, match="one of 'down', 'right'"):
            pipeline(len).draw(direction=direction)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="'started' is no event"):
        pipeline(len).draw(["started"])
