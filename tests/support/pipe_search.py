"""What looks for bugs in pipelines without knowing any: one check at random for each seed."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from ceylon.testing import Simulation, SimulationOutcome, run_simulation
from support.pipe_checks import check_end, check_mesh_end, check_several, check_times
from support.pipe_events import check_events, check_leaving
from support.pipe_flows import check_back_pressure, check_order, check_unordered
from support.pipe_policies import check_policies
from support.pipe_times import timed_shape

__all__ = ["CHECKS", "check_something", "search"]

Check = Callable[[Simulation], Awaitable[None]]


def _at_random(check: Callable[..., Awaitable[None]], **facts: Any) -> Check:
    """Return *check* for a pipeline at random."""
    return lambda simulation: check(simulation, timed_shape(simulation.random), **facts)


CHECKS: Final[tuple[Check, ...]] = (
    check_order,
    check_unordered,
    check_back_pressure,
    check_policies,
    check_policies,
    _at_random(check_events),
    _at_random(check_leaving),
    _at_random(check_end, by_deadline=False),
    _at_random(check_end, by_deadline=True),
    _at_random(check_mesh_end),
    _at_random(check_several),
    *[_at_random(check_times)] * 5,
)


async def check_something(simulation: Simulation) -> None:
    """Check what the seed says."""
    await CHECKS[simulation.seed % len(CHECKS)](simulation)


def search(seeds: int) -> SimulationOutcome | None:
    """Return the first run that shows a bug."""
    for seed in range(seeds):
        outcome = run_simulation(check_something, seed=seed)
        if outcome.error is not None:
            return outcome
    return None
