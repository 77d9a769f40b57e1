"""What a run tells while it lasts: every execution begins once and ends once, inside the one that contains it."""

from typing import Any, Final

import pytest

from ceylon.pipelines import Pipeline, StageEvent, each, pipeline, retry
from ceylon.testing import Simulation, simulate
from ceylon.testing.fixtures import checked_mesh
from support.pipe_events import broken_rules, check_events, check_leaving
from support.pipe_times import timed_shape

FEW: Final = 40
MANY: Final = 500


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Keep what fails on purpose out of the log."""
    caplog.set_level("CRITICAL", "ceylon")


@simulate(seeds=FEW)
async def test_every_start_has_its_one_end(simulation: Simulation) -> None:
    await check_events(simulation, timed_shape(simulation.random))


@pytest.mark.slow
@simulate(seeds=range(FEW, MANY))
async def test_so_it_has_in_many_runs(simulation: Simulation) -> None:
    await check_events(simulation, timed_shape(simulation.random))


@simulate(seeds=FEW)
async def test_whoever_leaves_ends_the_run(simulation: Simulation) -> None:
    await check_leaving(simulation, timed_shape(simulation.random))


# -- what is in them ---------------------------------------------------------------------------------------------------


async def events_of(built: Pipeline, value: Any) -> list[StageEvent]:
    """Run *built* in a mesh of its own and return what it told."""
    async with checked_mesh() as mesh:
        mesh.add(built)
        events: list[StageEvent] = []
        try:
            async for event in built.stream(value):
                events.append(event)  # noqa: PERF401 – what came before a failure counts
        except ValueError:
            pass
        except Exception as error:
            if not isinstance(getattr(error, "root", None), ValueError):
                raise
        return events


async def double(value: int) -> int:
    """Return it twice."""
    return 2 * value


async def test_a_nested_pipeline_is_seen_stage_by_stage() -> None:
    inner = pipeline(double, double, name="inner")
    events = await events_of(pipeline(double, inner, name="outer"), 1)

    assert broken_rules(events) == []
    started = [event.label for event in events if event.what == "started"]
    assert started.count("double") == 3
    assert "inner" in started
    inner_id = next(event.id for event in events if event.label == "inner")
    assert [event.value for event in events if event.parent == inner_id and event.what == "ended"] == [4, 8]


async def test_a_pipeline_that_is_an_agent_of_its_own_is_seen_too() -> None:
    async with checked_mesh() as mesh:
        ref = mesh.add(pipeline(double, double, name="inner"))
        outer = pipeline(double) >> ref
        mesh.add(outer.named("outer"))
        events = [event async for event in outer.stream(1)]

    assert broken_rules(events) == []
    assert [event.value for event in events if event.label == "double" and event.what == "ended"] == [2, 4, 8]


async def test_items_and_tries_are_numbered() -> None:
    tries = [0]

    async def flaky(value: int) -> int:
        tries[0] += 1
        if tries[0] < 3:
            raise ValueError(value)
        return value

    events = await events_of(pipeline(retry(flaky, times=3, pause=0)), 1)
    retried = [event for event in events if event.what == "retried"]

    assert broken_rules(events) == []
    assert len(retried) == 2
    assert all("ValueError" in event.error for event in retried)

    events = await events_of(pipeline(each(double)), [5, 6, 7])
    indexes = {event.index for event in events if event.label == "double" and event.what == "started"}

    assert broken_rules(events) == []
    assert indexes == {0, 1, 2}


async def test_a_failure_is_told_with_its_words() -> None:
    async def fail(value: int) -> int:
        message = "no tea"
        raise ValueError(message)

    events = await events_of(pipeline(double, fail, double), 1)

    assert broken_rules(events) == []
    assert [event.label for event in events if event.what == "started"].count("double") == 1
    failed = [event for event in events if event.what == "failed"]
    assert {event.label for event in failed} >= {"fail"}
    assert all("no tea" in event.error for event in failed)


async def test_the_checker_sees_what_is_wrong() -> None:
    def event(number: int, what: Any, parent: int = 0) -> StageEvent:
        return StageEvent(id=number, parent=parent, place="", label="x", what=what, at=0.0, index=None)

    started, ended = event(1, "started"), event(1, "ended")
    inner, inner_end = event(2, "started", 1), event(2, "ended", 1)

    assert broken_rules([started, inner, inner_end, ended]) == []
    assert broken_rules([started, inner, ended]) != []
    assert broken_rules([started]) != []
    assert broken_rules([started, ended, ended]) != []
    assert broken_rules([inner, started, ended]) != []
    assert broken_rules([started, ended, inner, inner_end]) != []
    assert broken_rules([started, inner, inner_end, inner, ended]) != []
