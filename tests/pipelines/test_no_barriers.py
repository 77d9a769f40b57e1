"""Every stage begins the moment its input is there, and ends the moment it is cancelled: on a clock of their own.

What is to happen when is worked out by `support.pipe_times`, which runs nothing.
"""

from typing import Any, Final

import anyio
import pytest
from ceylon.pipelines import each, parallel, pipeline

from ceylon import AskTimeoutError
from ceylon.testing import Simulation, simulate
from support.pipe_building import Kit, Span
from support.pipe_meaning import Errors
from support.pipe_running import as_ran, differences, mistake, outcome_of
from support.pipe_shapes import Shape
from support.pipe_times import GIVEN, cut, timed, timed_shape

FEW: Final = 40
MANY: Final = 500


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Keep what fails on purpose out of the log."""
    caplog.set_level("CRITICAL", "ceylon")


# -- times -------------------------------------------------------------------------------------------------------------


async def check_times(simulation: Simulation, shape: Shape) -> None:
    """Run *shape* and compare what happens when with what should."""
    spans: list[Span] = []
    expected = timed(shape, GIVEN)
    async with simulation.mesh() as mesh:
        kit = Kit(mesh, lambda number: Span(number, spans), threads=False)
        ref = mesh.add(kit.build(shape))
        start = anyio.current_time()
        outcome = await outcome_of(ref.ask(GIVEN, timeout=10_000))
        took = anyio.current_time() - start

    assert mistake(shape, expected.value, outcome) is None
    assert took == pytest.approx(expected.end, abs=1e-5)
    assert differences(expected.ran, as_ran(spans, start)) == []


@simulate(seeds=FEW)
async def test_each_stage_begins_when_its_input_is_there(simulation: Simulation) -> None:
    await check_times(simulation, timed_shape(simulation.random))


@simulate(seeds=FEW // 2, backend="trio")
async def test_each_stage_begins_when_its_input_is_there_on_trio(simulation: Simulation) -> None:
    await check_times(simulation, timed_shape(simulation.random))


@pytest.mark.slow
@simulate(seeds=range(FEW, MANY))
async def test_so_it_is_in_many_pipelines(simulation: Simulation) -> None:
    await check_times(simulation, timed_shape(simulation.random, depth=2 + simulation.seed % 3))


async def wait(seconds: float) -> None:
    """Take a time."""
    await anyio.sleep(seconds)


@simulate(seeds=5)
async def test_a_branch_of_four_stages_does_not_wait_for_a_slow_one_of_one(simulation: Simulation) -> None:
    began: dict[str, float] = {}

    def step(name: str, seconds: float) -> Any:
        async def function(value: Any) -> Any:
            began[name] = anyio.current_time()
            await anyio.sleep(seconds)
            return value

        return function

    quick = pipeline(*(step(f"quick {number}", 0.1) for number in range(4)))
    async with simulation.mesh() as mesh:
        start = anyio.current_time()
        await mesh.add(parallel(quick, step("slow", 1.0)) >> step("after both", 0.0)).ask("go")

    found = {name: at - start for name, at in began.items()}
    expected = {f"quick {number}": 0.1 * number for number in range(4)} | {"slow": 0.0, "after both": 1.0}
    assert found == pytest.approx(expected, abs=1e-6)


@simulate(seeds=5)
async def test_the_first_item_is_through_before_the_second_is_in(simulation: Simulation) -> None:
    seen: list[tuple[str, int, float]] = []

    def step(name: str, seconds: float) -> Any:
        async def function(item: int) -> int:
            seen.append((name, item, round(anyio.current_time() - start, 6)))
            await anyio.sleep(seconds)
            return item

        return function

    async with simulation.mesh() as mesh:
        start = anyio.current_time()
        stages = each(step("a", 1.0), concurrency=1) >> each(step("b", 0.5), concurrency=1)
        assert await mesh.add(stages).ask([1, 2, 3]) == [1, 2, 3]

    assert sorted(seen) == [("a", 1, 0.0), ("a", 2, 1.0), ("a", 3, 2.0), ("b", 1, 1.0), ("b", 2, 2.0), ("b", 3, 3.0)]


# -- ends --------------------------------------------------------------------------------------------------------------


async def check_end(simulation: Simulation, shape: Shape, *, by_deadline: bool) -> None:
    """End a run of *shape* at a moment that the seed decides: everything in it is over at that moment."""
    spans: list[Span] = []
    expected = timed(shape, GIVEN)
    after = expected.end * simulation.random.uniform(0.02, 0.98)
    async with simulation.mesh() as mesh:
        kit = Kit(mesh, lambda number: Span(number, spans), threads=False)
        ref = mesh.add(kit.build(shape))
        start = anyio.current_time()
        if by_deadline:
            with pytest.raises(AskTimeoutError):
                await ref.ask(GIVEN, timeout=after)
        else:
            with anyio.move_on_after(after):
                await ref.ask(GIVEN, timeout=10_000)
        assert anyio.current_time() - start == pytest.approx(after, abs=1e-5)
        await mesh.drain()
        assert anyio.current_time() - start == pytest.approx(after, abs=1e-5)

    assert [span for span in spans if span.how == "runs"] == []
    assert differences(cut(expected.ran, after), as_ran(spans, start)) == []


@simulate(seeds=FEW)
async def test_a_run_that_is_cancelled_ends_everything_in_it(simulation: Simulation) -> None:
    await check_end(simulation, timed_shape(simulation.random), by_deadline=False)


@simulate(seeds=FEW)
async def test_a_run_whose_time_is_over_ends_everything_in_it(simulation: Simulation) -> None:
    await check_end(simulation, timed_shape(simulation.random), by_deadline=True)


@pytest.mark.slow
@simulate(seeds=range(FEW, MANY))
async def test_so_do_many_ends(simulation: Simulation) -> None:
    await check_end(simulation, timed_shape(simulation.random), by_deadline=simulation.seed % 2 == 0)


@pytest.mark.slow
@simulate(seeds=MANY // 5, backend="trio")
async def test_so_do_many_ends_on_trio(simulation: Simulation) -> None:
    await check_end(simulation, timed_shape(simulation.random), by_deadline=simulation.seed % 2 == 0)


async def check_mesh_end(simulation: Simulation, shape: Shape) -> None:
    """Stop the mesh, or the pipeline alone, at a moment that the seed decides."""
    spans: list[Span] = []
    expected = timed(shape, GIVEN)
    after = expected.end * simulation.random.uniform(0.02, 0.98)
    whole = simulation.random.random() < 0.5
    outcomes: list[Any] = []
    async with simulation.mesh() as mesh, anyio.create_task_group() as tasks:
        kit = Kit(mesh, lambda number: Span(number, spans), threads=False)
        ref = mesh.add(kit.build(shape))

        async def ask() -> None:
            outcomes.append(await outcome_of(ref.ask(GIVEN, timeout=10_000)))

        tasks.start_soon(ask)
        await anyio.sleep(after)
        await (mesh.stop(at_once=True) if whole else mesh.stop(ref.address, at_once=True))

    assert len(outcomes) == 1
    assert isinstance(outcomes[0], Errors)
    assert [span for span in spans if span.how == "runs"] == []


@simulate(seeds=FEW // 2)
async def test_a_mesh_that_stops_leaves_nothing_of_a_pipeline_behind(simulation: Simulation) -> None:
    await check_mesh_end(simulation, timed_shape(simulation.random))
