"""Every stage begins the moment its input is there, and ends the moment it is cancelled: on a clock of their own.

What is to happen when is worked out by `support.pipe_times`, which runs nothing.
"""

from typing import Any, Final

import anyio
import pytest

from ceylon.pipelines import each, parallel, pipeline
from ceylon.testing import Simulation, simulate
from support.pipe_checks import check_end, check_mesh_end, check_several, check_times
from support.pipe_policies import check_policies
from support.pipe_times import timed_shape

FEW: Final = 40
MANY: Final = 500


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Keep what fails on purpose out of the log."""
    caplog.set_level("CRITICAL", "ceylon")


# -- times -------------------------------------------------------------------------------------------------------------


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


@simulate(seeds=FEW // 2)
async def test_runs_of_one_pipeline_are_each_as_if_alone(simulation: Simulation) -> None:
    await check_several(simulation, timed_shape(simulation.random))


@pytest.mark.slow
@simulate(seeds=range(FEW // 2, MANY // 2))
async def test_so_are_many_runs(simulation: Simulation) -> None:
    await check_several(simulation, timed_shape(simulation.random))


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


# -- policies ----------------------------------------------------------------------------------------------------------


@simulate(seeds=FEW)
async def test_a_policy_does_what_it_says_and_no_more(simulation: Simulation) -> None:
    await check_policies(simulation)


@pytest.mark.slow
@simulate(seeds=range(FEW, MANY))
async def test_so_do_policies_many_times(simulation: Simulation) -> None:
    await check_policies(simulation)


# -- ends --------------------------------------------------------------------------------------------------------------


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


@simulate(seeds=FEW // 2)
async def test_a_mesh_that_stops_leaves_nothing_of_a_pipeline_behind(simulation: Simulation) -> None:
    await check_mesh_end(simulation, timed_shape(simulation.random))
