"""Make a failing run smaller: fewer activities, faults and random decisions, while it still fails the same way.

The idea is delta debugging (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", IEEE TSE
2002), on the decisions instead of the input: the program stays, what happens around it becomes ordinary.
"""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import msgspec

from ceylon.testing.simulation.faults import KINDS, NO_FAULTS, Faults

if TYPE_CHECKING:
    from ceylon.testing.simulation.engine import SimulationOutcome

__all__ = ["shrink"]

_RUNS: Final = 40
"""Runs that are spent on it, at most …"""
_SECONDS: Final = 20.0
"""… and real seconds."""

Rerun = Callable[[Faults, "int | None", frozenset[str]], "SimulationOutcome"]
"""Runs the failing seed again with these faults and so many random decisions, without these activities."""


class _Search:
    def __init__(self, rerun: Rerun, failed: "SimulationOutcome", faults: Faults) -> None:
        self._rerun = rerun
        self._signature = _signature(failed)
        self.best = failed
        self._faults = faults
        self._limit: int | None = None
        self._without = frozenset[str]()
        self._runs = 0
        self._until = time.monotonic() + _SECONDS

    def fails(self, faults: Faults, limit: int | None, without: frozenset[str] | None = None) -> bool:
        """Run once more, and go on from there if it fails the same way."""
        without = self._without if without is None else without
        if self._runs >= _RUNS or time.monotonic() > self._until:
            return False
        self._runs += 1
        outcome = self._rerun(faults, limit, without)
        if _signature(outcome) != self._signature:
            return False
        self._faults, self._limit, self._without = faults, limit, without
        if len(outcome.history) <= len(self.best.history):
            self.best = outcome
        return True

    def drop_activities(self) -> None:
        """Leave out whatever is not needed of what the test chose to do: all but one, or one after the other."""
        names = frozenset(self.best.activities)
        if len(names) < 2 or any(self.fails(self._faults, self._limit, names - {name}) for name in sorted(names)):  # noqa: PLR2004 – one is needed
            return
        for name in sorted(names):
            self.fails(self._faults, self._limit, self._without | {name})

    def drop_faults(self) -> None:
        """Switch off every kind of fault that is not needed: all of them, or one after the other."""
        if not self.best.faults or self.fails(NO_FAULTS, self._limit):
            return
        for kind in [kind for kind in KINDS if getattr(self._faults, kind)]:
            self.fails(msgspec.structs.replace(self._faults, **{kind: 0.0}), self._limit)

    def drop_decisions(self) -> None:
        """Find the smallest number of random decisions, by halving."""
        low, high = 0, self.best.choices
        if self.fails(self._faults, 0):
            return
        while high - low > 1:
            middle = (low + high) // 2
            if self.fails(self._faults, middle):
                high = middle
            else:
                low = middle


def shrink(failed: "SimulationOutcome", faults: Faults, rerun: Rerun) -> "SimulationOutcome":
    """Return the shortest run found that fails as *failed* did."""
    search = _Search(rerun, failed, faults)
    search.drop_activities()
    search.drop_faults()
    search.drop_decisions()
    return search.best


def _signature(outcome: "SimulationOutcome") -> tuple[type | None, bool]:
    """Return what must stay: the kind of error, and whether it was a check that found it."""
    return type(outcome.error) if outcome.error is not None else None, bool(outcome.violations)
