"""The decorator that makes a simulated test a plain test function."""

import functools
import inspect
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final, Literal

from ceylon.errors import ArgumentError, DefinitionError
from ceylon.testing.seeds import check_seeds, seeds_for
from ceylon.testing.simulation.choices import NO_CUTS, Cuts
from ceylon.testing.simulation.engine import Check, SimulationOutcome, run_simulation
from ceylon.testing.simulation.faults import NO_FAULTS, Faults
from ceylon.testing.simulation.report import report
from ceylon.testing.simulation.shrinking import Rerun, shrink
from ceylon.testing.simulation.simulation import Simulation

__all__ = ["simulate"]

_GIVEN: Final = "simulation"
_BACKENDS: Final = ("asyncio", "trio")


def simulate(
    seeds: int | Iterable[int] = 100,
    *,
    faults: Faults | None = None,
    backend: Literal["asyncio", "trio"] = "asyncio",
    checks: Sequence[Check] = (),
) -> Callable[[Callable[..., Awaitable[Any]]], Callable[..., None]]:
    """Run an async test under many seeds; it takes `simulation`, a `Simulation`, and fixtures as any test does.

    Args:
        seeds: How many, or which; ``--ceylon-seed`` and ``--ceylon-seeds`` say otherwise.
        faults: What may go wrong; `None` for nothing.
        backend: ``"asyncio"``; or ``"trio"``, whose clock is not held while threads of others or sockets are under way,
            and where tasks left behind are not looked for.
        checks: Read the history of every run and return what is wrong with it, beside the checkers that always do.

    Raises:
        ArgumentError: there would be no seed to run, or no such backend.
        AssertionError: by the test, for the first seed that fails: with the seed, the command that replays it, and the
            part of the history that matters.
    """
    wanted = _check(seeds, backend)

    def decorate(function: Callable[..., Awaitable[Any]]) -> Callable[..., None]:
        if not inspect.iscoroutinefunction(function) or _GIVEN not in inspect.signature(function).parameters:
            message = f"simulate is for an `async def` test that takes `{_GIVEN}`, not for {function!r}"
            raise DefinitionError(message)

        @functools.wraps(function)
        def test(*arguments: Any, **fixtures: Any) -> None:
            def bound(simulation: Simulation) -> Awaitable[Any]:
                return function(*arguments, **fixtures, simulation=simulation)

            def run(seed: int, some: Faults | None = faults, cuts: Cuts = NO_CUTS) -> SimulationOutcome:
                return run_simulation(bound, seed=seed, faults=some, backend=backend, checks=checks, cuts=cuts)

            for seed in seeds_for(wanted):
                outcome = run(seed)
                if isinstance(outcome.error, BaseException) and type(outcome.error).__name__ == "Skipped":
                    raise outcome.error
                if outcome.error is not None:
                    _fail(function, outcome, faults, functools.partial(run, seed))

        test.__signature__ = _without_simulation(function)  # type: ignore[attr-defined]
        return test

    return decorate


def _check(seeds: Any, backend: str) -> int | tuple[int, ...]:
    """Return *seeds* as they can be read again and again, unless something cannot be."""
    if callable(seeds):
        message = "simulate is called with what it takes, perhaps nothing: write `@simulate()`, not `@simulate`"
        raise DefinitionError(message)
    if backend not in _BACKENDS:
        message = f"backend={backend!r} cannot be; it is one of {', '.join(_BACKENDS)}"
        raise ArgumentError(message)
    return check_seeds(seeds)


def _fail(
    function: Callable[..., Any],
    failed: SimulationOutcome,
    faults: Faults | None,
    rerun: Rerun,
) -> None:
    """Raise what there is to say about *failed*."""
    smallest = shrink(failed, NO_FAULTS if faults is None else faults, rerun)
    raise AssertionError(report(function, failed, smallest)) from failed.error


def _without_simulation(function: Callable[..., Any]) -> inspect.Signature:
    """Return the signature that pytest is to see: `simulation` is no fixture."""
    signature = inspect.signature(function)
    kept = [parameter for name, parameter in signature.parameters.items() if name != _GIVEN]
    return signature.replace(parameters=kept, return_annotation=None)
