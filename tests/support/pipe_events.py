"""The events of a run: what must be true of them, and runs at random to see whether it is."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import anyio

from ceylon.pipelines import StageEvent
from ceylon.testing import Simulation
from support.pipe_building import Kit, Span
from support.pipe_meaning import Errors
from support.pipe_running import as_ran, mistake, outcome_of
from support.pipe_shapes import Shape
from support.pipe_times import GIVEN, timed

__all__ = ["broken_rules", "check_events", "check_leaving", "leaf_times"]

ENDS: Final = frozenset({"ended", "failed", "cancelled"})


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
                events.append(event)  # noqa: PERF401 – what came before a failure counts
            return await stream.result()

        outcome = await outcome_of(read())

    broken = broken_rules(events)
    assert not broken, broken
    found = mistake(shape, expected.value, outcome)
    assert found is None, found
    ran = as_ran(spans, start)
    cuts = {round(event.at, 4) for event in events if event.what == "cancelled"}  # who ends then may be cut off or not
    for what in ("ended", "failed"):
        told = Counter(each for each in leaf_times(events, what).elements() if each[1] not in cuts)
        happened = Counter((each.number, round(each.ended, 4)) for each in ran if each.how == what)
        happened = Counter(each for each in happened.elements() if each[1] not in cuts)
        assert told == happened, (what, told, happened)
    last = events[-1]
    assert (last.parent, last.place) == (0, "")
    assert last.what == ("failed" if isinstance(outcome, Errors) else "ended")


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

    broken = broken_rules(events, is_whole=False)
    assert not broken, broken
    still = [span for span in spans if span.how == "runs"]
    assert not still, still
