"""What a run tells while it lasts: every execution begins once and ends once, inside the one that contains it."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import anyio
import pytest
from ceylon.pipelines import Pipeline, StageEvent, each, pipeline, retry

from ceylon.testing import Simulation, simulate
from ceylon.testing.fixtures import checked_mesh
from support.pipe_building import Kit, Span
from support.pipe_meaning import Errors
from support.pipe_running import as_ran, mistake, outcome_of
from support.pipe_shapes import Shape
from support.pipe_times import GIVEN, timed, timed_shape

FEW: Final = 40
MANY: Final = 500
ENDS: Final = frozenset({"ended", "failed", "cancelled"})


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Keep what fails on purpose out of the log."""
    caplog.set_level("CRITICAL", "ceylon")


def broken_rules(events: Sequence[StageEvent], *, is_whole: bool = True) -> list[str]:
    """Return what is wrong with the events of one run; one that is not *is_whole* was left early."""
    said: list[str] = []
    parents: dict[int, int] = {}
    ended: set[int] = set()
    latest = 0.0
    for event in events:
        name = f"{event.what} of {event.id} ({event.label}, at {event.place!r})"
        if event.at < latest - 1e-9:
            said.append(f"{name} goes back in time")
        latest = max(latest, event.at)
        if event.what == "skipped":
            continue
        if event.what == "started":
            said += _about_start(event, name, parents, ended)
            parents[event.id] = event.parent
        elif event.id not in parents:
            said.append(f"{name} comes before its start")
        elif event.id in ended:
            said.append(f"{name} comes after its end")
        if event.what in ENDS:
            open_children = [child for child, parent in parents.items() if parent == event.id and child not in ended]
            said += [f"{name} comes before the end of {child}" for child in open_children]
            ended.add(event.id)
    if is_whole:
        said += [f"{each} never ended" for each in parents if each not in ended]
    roots = [each for each, parent in parents.items() if parent == 0]
    if len(roots) != 1:
        said.append(f"there are {len(roots)} roots: {roots}")
    return said


def _about_start(event: StageEvent, name: str, parents: dict[int, int], ended: set[int]) -> list[str]:
    if event.id in parents:
        return [f"{name} comes twice"]
    if event.parent and event.parent not in parents:
        return [f"{name} comes before that of its parent {event.parent}"]
    if event.parent in ended:
        return [f"{name} comes after the end of its parent {event.parent}"]
    return []


def leaf_times(events: Sequence[StageEvent], what: str) -> Counter[tuple[int, float]]:
    """Return when which leaf has begun or ended; its number is at the end of its label."""
    leaf = re.compile(r"(?:leaf|flaky|worker)[_-](\d+)(?:\.work)?$")
    found = [(match, event) for event in events if event.what == what and (match := leaf.search(event.label))]
    return Counter((int(match[1]), round(event.at, 4)) for match, event in found)


async def check_events(simulation: Simulation, shape: Shape) -> None:
    """Watch one run from its beginning to its end."""
    spans: list[Span] = []
    events: list[StageEvent] = []
    expected = timed(shape, GIVEN)
    async with simulation.mesh() as mesh:
        kit = Kit(mesh, lambda number: Span(number, spans), threads=False)
        built = kit.build(shape)
        mesh.add(built)
        start = anyio.current_time()
        stream = built.stream(GIVEN, timeout=10_000)

        async def read() -> Any:
            async for event in stream:
                events.append(event)
            return await stream.result()

        outcome = await outcome_of(read())

    assert broken_rules(events) == []
    assert mistake(shape, expected.value, outcome) is None
    ran = as_ran(spans, start)
    for what, how in (("ended", "ended"), ("failed", "failed")):
        assert leaf_times(events, what) == Counter(
            (each.number, round(each.ended, 4)) for each in ran if each.how == how
        )
    last = events[-1]
    assert (last.parent, last.place) == (0, "")
    assert last.what == ("failed" if isinstance(outcome, Errors) else "ended")


@simulate(seeds=FEW)
async def test_every_start_has_its_one_end(simulation: Simulation) -> None:
    await check_events(simulation, timed_shape(simulation.random))


@pytest.mark.slow
@simulate(seeds=range(FEW, MANY))
async def test_so_it_has_in_many_runs(simulation: Simulation) -> None:
    await check_events(simulation, timed_shape(simulation.random))


async def check_leaving(simulation: Simulation, shape: Shape) -> None:
    """Leave a run at an event that the seed decides: it is cancelled."""
    spans: list[Span] = []
    events: list[StageEvent] = []
    async with simulation.mesh() as mesh:
        kit = Kit(mesh, lambda number: Span(number, spans), threads=False)
        built = kit.build(shape)
        mesh.add(built)
        leaves_at = simulation.random.randint(1, 15)
        try:
            async with built.stream(GIVEN, timeout=10_000) as stream:
                async for event in stream:
                    events.append(event)
                    if len(events) == leaves_at:
                        break
        except Exception as error:  # noqa: BLE001 – the run may fail before
            simulation.note(type(error).__name__)
        left = anyio.current_time()
        await mesh.drain()
        assert anyio.current_time() - left < 1e-5

    assert broken_rules(events, is_whole=False) == []
    assert [span for span in spans if span.how == "runs"] == []


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
                events.append(event)
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
