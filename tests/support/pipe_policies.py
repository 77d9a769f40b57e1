"""One step for several, some of which fail: what each policy makes of it, worked out by hand."""

from collections.abc import Callable
from typing import Any

import anyio

from ceylon import AllFailedError
from ceylon.pipelines import Failed, Pipeline, each, parallel, race
from ceylon.testing import Simulation
from support.pipe_values import BadError, root_of

__all__ = ["check_policies"]


class Steps:
    """Several that begin at once, take times of their own, and fail or not."""

    def __init__(self, simulation: Simulation) -> None:
        chance = simulation.random
        self.times = chance.sample([round(0.01 * number, 2) for number in range(1, 100)], simulation.times(6) + 1)
        self.failing = {number for number in range(len(self.times)) if chance.random() < 0.4}
        self.ends: dict[int, str] = {}

    async def run(self, number: int) -> int:
        """Be one of them."""
        self.ends[number] = "cancelled"
        await anyio.sleep(self.times[number])
        self.ends[number] = "failed" if number in self.failing else "ended"
        if number in self.failing:
            raise BadError(number)
        return number

    def until(self, last: float) -> dict[int, str]:
        """Return how they end if what runs at *last* is cancelled."""
        fails = {number: "failed" if number in self.failing else "ended" for number in range(len(self.times))}
        return {number: end if self.times[number] <= last else "cancelled" for number, end in fails.items()}

    def first(self, numbers: set[int]) -> int:
        """Return the one of *numbers* that ends first."""
        return min(numbers, key=lambda number: self.times[number])


def expected(steps: Steps, policy: str) -> tuple[float, list[Any], Any]:
    """Return when it ends, and with what: a value, or the numbers of an error."""
    everybody, slowest = set(range(len(steps.times))), max(steps.times)
    good = everybody - steps.failing
    if policy == "race":
        if not good:
            return slowest, ["error", *sorted(everybody)], None
        return steps.times[steps.first(good)], [], steps.first(good)
    if policy == "keep" or not steps.failing:
        kept = [["failed", number] if number in steps.failing else number for number in sorted(everybody)]
        return slowest, [], kept
    if policy == "wait":
        return slowest, ["error", min(steps.failing)], None
    return steps.times[steps.first(steps.failing)], ["error", steps.first(steps.failing)], None


def built(steps: Steps, policy: Any, *, by_each: bool) -> tuple[Pipeline, Any]:
    """Return the pipeline, and what it is given."""

    def one(number: int) -> Callable[[Any], Any]:
        async def step(_: Any) -> int:
            return await steps.run(number)

        return step

    numbers = list(range(len(steps.times)))
    if policy == "race":
        return race(*map(one, numbers)), None
    if by_each:
        return each(steps.run, len(numbers), on_failure=policy), numbers
    return parallel(*map(one, numbers), on_failure=policy), None


async def check_policies(simulation: Simulation) -> None:
    """Run several at once under a policy; compare the result, its time, and what has become of each of them."""
    steps, policy = Steps(simulation), simulation.random.choice(["cancel", "wait", "keep", "race"])
    stages, value = built(steps, policy, by_each=simulation.random.random() < 0.5)
    end, error, result = expected(steps, policy)
    raised: list[Any] = []
    outcome: Any = None
    async with simulation.mesh() as mesh:
        start = anyio.current_time()
        try:
            outcome = await mesh.add(stages).ask(value, timeout=1_000)
        except Exception as failure:  # noqa: BLE001 – compared below
            root = root_of(failure)
            several = root.errors if isinstance(root, AllFailedError) else [root]
            raised = ["error", *(each.args[0] for each in several)]
        took = anyio.current_time() - start

    seen = list(map(_plain, outcome)) if isinstance(outcome, list) else outcome
    assert (raised, seen) == (error, result), (policy, raised, seen, error, result)
    assert abs(took - end) < 1e-6, (policy, took, end)
    assert steps.ends == steps.until(end), (policy, steps.ends, steps.until(end))


def _plain(result: Any) -> Any:
    return ["failed", *result.error.args] if isinstance(result, Failed) else result
