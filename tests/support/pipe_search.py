"""What looks for bugs in pipelines without knowing any: one check at random for each seed."""

import functools
from collections.abc import Awaitable, Callable
from typing import Final

from ceylon.testing import Simulation, SimulationOutcome, run_simulation
from support.pipe_checks import check_end, check_mesh_end, check_several, check_times
from support.pipe_events import check_events, check_leaving
from support.pipe_flows import check_back_pressure, check_order, check_unordered
from support.pipe_policies import check_policies
from support.pipe_times import timed_shape

__all__ = ["CHECKS", "check_something", "search"]

_OF_THEIR_OWN: Final = (check_order, check_unordered, check_back_pressure, check_policies)
"""Those that make their pipelines themselves."""

CHECKS: Final[tuple[Callable[..., Awaitable[None]], ...]] = (
    *_OF_THEIR_OWN,
    check_policies,
    check_events,
    check_leaving,
    functools.partial(check_end, by_deadline=False),
    functools.partial(check_end, by_deadline=True),
    check_mesh_end,
    check_several,
    *[check_times] * 5,
)


async def check_something(simulation: Simulation) -> None:
    """Check what the seed says."""
    check = CHECKS[simulation.seed % len(CHECKS)]
    await (check(simulation) if check in _OF_THEIR_OWN else check(simulation, timed_shape(simulation.random)))


def search(seeds: int) -> SimulationOutcome | None:
    """Return the first run that shows a bug."""
    for seed in range(seeds):
        outcome = run_simulation(check_something, seed=seed)
        if outcome.error is not None:
            return outcome
    return None
