"""Whoever watches a run sees every part of every stage, at any depth, in an order that makes sense."""

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

import anyio
import msgspec
import pytest

from ceylon import Agent, CeylonError, Mesh, on
from ceylon.pipelines import StageEvent, branch, each, fallback, loop, parallel, pipeline, race, retry, timeout
from ceylon.settings import DEFAULTS
from support.core_agents import until
from support.law import lawful_mesh
from support.virtual_time import run_virtually

ENDS = ("ended", "failed", "cancelled")


async def same(value: Any) -> Any:
    return value


async def double(value: int) -> int:
    return 2 * value


async def fail(value: Any) -> Any:
    raise ValueError(value)


def numbers(most: int) -> Iterator[int]:
    yield from range(most)


async def async_numbers(most: int) -> AsyncIterator[int]:
    for number in range(most):
        yield number


class Telling(Agent):
    """Answers in parts."""

    @on
    async def tell_parts(self, text: str) -> AsyncIterator[str]:
        for letter in text:
            yield letter


def check(events: Iterable[StageEvent]) -> None:
    """Fail unless each execution begins once, ends once, inside its parent, and nothing happens outside of that."""
    begun: dict[int, StageEvent] = {}
    ended: set[int] = set()
    for event in events:
        if event.what == "skipped":
            assert event.parent in begun.keys() - ended
            continue
        if event.what == "started":
            assert event.id not in begun
            assert event.parent == 0 or event.parent in begun.keys() - ended
            begun[event.id] = event
            continue
        assert event.id in begun.keys() - ended
        assert (event.place, event.label, event.parent) == (
            begun[event.id].place, begun[event.id].label, begun[event.id].parent
        )  # fmt: skip
        if event.what in ENDS:
            assert all(number in ended for number, each_ in begun.items() if each_.parent == event.id)
            ended.add(event.id)
    assert begun.keys() == ended


async def collect(built: Any, value: Any) -> list[StageEvent]:
    """Return the events of a run, whether it fails or not."""
    events: list[StageEvent] = []
    try:
        async for event in built.stream(value):
            events.append(event)  # noqa: PERF401 – those before a failure count
    except (ValueError, CeylonError):
        assert any(event.what == "failed" for event in events)
    check(events)
    return events


async def test_every_word_tells_in_order(mesh: Mesh) -> None:
    tries = Counter[str]()

    async def fail_once(value: Any) -> Any:
        tries["fail"] += 1
        if tries["fail"] == 1:
            raise ValueError("once")
        return value

    built = (
        pipeline(numbers, each(double), sum)
        >> parallel(a=same, b=double)
        >> branch(len, {2: same, 3: len})
        >> race(same, fail)
        >> retry(fail_once, pause=0)
        >> fallback(fail, same, len)
        >> loop(same, at_most=2)
    )
    mesh.add(built)
    events = await collect(built, 3)

    assert events[0] == StageEvent(1, 0, "", "pipeline", "started", at=events[0].at)
    assert events[-1].what == "ended"
    assert events[-1].value == {"a": 6, "b": 12}
    assert [event.value for event in events if event.what == "part" and event.place == "1"] == [0, 2, 4]
    assert [(event.place, event.label) for event in events if event.what == "skipped"] == [
        ("4.1", "len"),
        ("7.2", "len"),
    ]
    retried = [event for event in events if event.what == "retried"]
    assert [(event.place, event.index, event.error) for event in retried] == [("6", 0, "ValueError: once")]
    assert [event.index for event in events if event.place == "6.0" and event.what == "started"] == [0, 1]
    assert [event.index for event in events if event.place == "8.0" and event.what == "started"] == [0, 1]


async def test_the_items_of_a_step_carry_their_numbers_and_parents(mesh: Mesh) -> None:
    built = pipeline(each(double, concurrency=2))
    mesh.add(built)
    events = await collect(built, [5, 6, 7])

    step = [event for event in events if event.place == "0.0" and event.what == "ended"]
    assert {event.index: event.value for event in step} == {0: 10, 1: 12, 2: 14}
    parent = next(event.id for event in events if event.place == "0")
    assert {event.parent for event in step} == {parent}


async def test_the_end_of_a_long_flow_does_not_hold_all_its_items(anyio_backend: str) -> None:
    few = msgspec.structs.replace(DEFAULTS, flow_items_told=3)
    async with lawful_mesh(settings=few) as mesh:
        built = pipeline(each(double))
        mesh.add(built)
        ends = {}
        for count in (3, 4):
            events = await collect(built, range(count))
            ends[count] = next(event.value for event in events if event.place == "0" and event.what == "ended")
            assert [event.value for event in events if event.what == "part"][:count] == [
                2 * each for each in range(count)
            ]

            assert await built.stream(range(count)).result() == [2 * number for number in range(count)]

    assert ends == {3: [0, 2, 4], 4: None}


@pytest.mark.parametrize(
    "build",
    [
        lambda: pipeline(same, fail),
        lambda: parallel(fail, pipeline(same, anyio.sleep)),
        lambda: pipeline(numbers, each(fail), each(double)),
        lambda: pipeline(numbers, each(double), each(fail)),
        lambda: timeout(pipeline(same, anyio.sleep), 0.01),
        lambda: race(fail, fail),
    ],
)
async def test_failed_runs_tell_every_end(build: Any, mesh: Mesh) -> None:
    built = build()
    mesh.add(built)
    events = await collect(built, 60)

    assert events[-1].what == "failed"
    assert events[-1].parent == 0


async def test_the_events_of_a_nested_run_are_renumbered_below_its_stage(mesh: Mesh) -> None:
    inner = mesh.add(pipeline(same, each(double), name="inner"))
    built = pipeline(same, inner, name="outer")
    mesh.add(built)
    events = await collect(built, [1, 2])

    stage = next(event for event in events if event.place == "1")
    assert stage.label == "inner"
    below = [event for event in events if event.place.startswith("1.") and event.what == "started"]
    assert Counter(event.place for event in below) == {"1.0": 1, "1.1": 1, "1.1.0": 2}
    assert {event.parent for event in below if event.place in {"1.0", "1.1"}} == {stage.id}
    assert len({event.id for event in events}) == len([event for event in events if event.what == "started"])
    assert events[-1].value == [2, 4]


async def test_the_parts_of_an_agents_answer_are_shown(mesh: Mesh) -> None:
    built = mesh.add(Telling("telling")) >> len
    mesh.add(built)
    events = await collect(built, "abc")

    assert [event.value for event in events if event.what == "part"] == ["a", "b", "c"]
    assert events[-1].value == 3
    assert await built.run("abc") == 3


async def test_a_consumer_that_stalls_slows_the_run(mesh: Mesh) -> None:
    begun: list[int] = []

    async def note(number: int) -> int:
        begun.append(number)
        return number

    built = pipeline(async_numbers, each(note, concurrency=1))
    mesh.add(built)
    async with built.stream(100_000) as events:
        await anext(events)
        await until(lambda: len(begun) > 1)
        await anyio.wait_all_tasks_blocked()
        assert 1 < len(begun) < 100


async def test_a_consumer_that_leaves_cancels_the_run(mesh: Mesh) -> None:
    begun, ended = anyio.Event(), anyio.Event()

    async def hang(_: Any) -> None:
        begun.set()
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()

    built = pipeline(same, parallel(hang, hang))
    mesh.add(built)
    async with built.stream(1) as events:
        async for event in events:
            if event.label == "hang":
                break
        await begun.wait()
    with anyio.fail_after(60):
        await ended.wait()
    await mesh.drain()


async def test_the_result_comes_with_the_last_event(mesh: Mesh) -> None:
    built = pipeline(same, double)
    mesh.add(built)
    stream = built.stream(4)
    await anext(stream)

    assert await stream.result() == 8
    assert await stream.result() == 8


async def test_a_stream_that_was_left_has_no_result(mesh: Mesh) -> None:
    built = pipeline(same)
    mesh.add(built)
    stream = built.stream(4)
    await stream.aclose()

    with pytest.raises(Exception, match="no result"):
        await stream.result()


async def test_progress_may_be_a_function(mesh: Mesh) -> None:
    seen: list[StageEvent] = []
    built = pipeline(same, double)
    mesh.add(built)

    assert await built.run(4, progress=seen.append) == 8
    check(seen)
    assert await anyio.to_thread.run_sync(lambda: built.blocking.run(4, progress=seen.append)) == 8
    assert len(seen) == 12
    with pytest.raises(ValueError, match="x"):
        await pipeline(fail).run("x", progress=seen.append)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_events_have_the_time_since_the_run_began(backend: str) -> None:
    async def wait(value: Any) -> Any:
        await anyio.sleep(1.5)
        return value

    async def run() -> list[tuple[str, float]]:
        async with Mesh() as mesh:
            built = pipeline(wait, wait)
            mesh.add(built)
            return [(event.place, round(event.at, 6)) async for event in built.stream(1) if event.what == "ended"]

    assert run_virtually(backend, run) == [("0", 1.5), ("1", 3.0), ("", 3.0)]


async def test_nobody_watching_makes_no_events(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    monkeypatch.setattr("ceylon.pipelines.watching.StageEvent", lambda *facts, **more: made.append(facts))

    await mesh.add(pipeline(numbers, each(double), parallel(same, same))).ask(3)
    assert made == []
