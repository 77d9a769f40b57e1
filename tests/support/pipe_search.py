"""What looks for bugs in pipelines without knowing any: one check at random for each seed."""

from typing import Final

from ceylon.testing import Simulation, SimulationOutcome, run_simulation
from support.pipe_checks import check_end, check_mesh_end, check_times
from support.pipe_events import check_events, check_leaving
from support.pipe_flows import check_back_pressure, check_order, check_unordered
from support.pipe_policies import check_policies
from support.pipe_times import timed_shape

__all__ = ["CHECKS", "check_something", "search"]

CHECKS: Final = 13


async def check_something(simulation: Simulation) -> None:
    """Check what the seed says."""
    match simulation.seed % CHECKS:
        case 0:
            await check_order(simulation)
        case 1:
            await check_unordered(simulation)
        case 2:
            await check_back_pressure(simulation)
        case 3:
            await check_events(simulation, timed_shape(simulation.random))
        case 4:
            await check_leaving(simulation, timed_shape(simulation.random))
        case 5:
            await check_end(simulation, timed_shape(simulation.random), by_deadline=False)
        case 6:
            await check_end(simulation, timed_shape(simulation.random), by_deadline=True)
        case 7 | 12:
            await check_policies(simulation)
        case 8:
            await check_mesh_end(simulation, timed_shape(simulation.random))
        case _:
            await check_times(simulation, timed_shape(simulation.random))


def search(seeds: int) -> SimulationOutcome | None:
    """Return the first run that shows a bug."""
    for seed in range(seeds):
        outcome = run_simulation(check_something, seed=seed)
        if outcome.error is not None:
            return outcome
    return None
