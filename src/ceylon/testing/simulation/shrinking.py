"""Make a failing run smaller: less to do, fewer faults, fewer random decisions, while it still fails the same way.

The idea is delta debugging (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", IEEE TSE
2002), on what a seed decides instead of the input: the program stays, what happens in it and around it becomes less.
"""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ceylon.testing.simulation.choices import NO_CUTS, Cuts
from ceylon.testing.simulation.faults import KINDS, NO_FAULTS, Faults
from ceylon.testing.simulation.report import leaves

if TYPE_CHECKING:
    from ceylon.testing.simulation.engine import SimulationOutcome

__all__ = ["Rerun", "shrink"]

_SCHEDULES: Final = 6
"""So many schedules are tried when there is less to do: the one that led there led there with everything else."""
_RUNS: Final = 120
"""Runs that are spent on it, at most …"""
_SECONDS: Final = 20.0
"""… and seconds of the processor: on a busy machine no more is left than on another."""

Rerun = Callable[[Faults, Cuts], "SimulationOutcome"]
"""Runs the failing seed again with these faults, and so much left out."""


class _Search:
    def __init__(self, rerun: Rerun, failed: "SimulationOutcome", faults: Faults) -> None:
        self._rerun = rerun
        self._kinds = _kinds(failed)
        self.best = failed
        self._faults = faults
        self._cuts = NO_CUTS
        self._runs = 0
        self._until = time.process_time() + _SECONDS

    def fails(self, faults: Faults | None = None, **cuts: Any) -> bool:
        """Run once more, with *faults* or with *cuts* beside those found; go on from there if it fails the same way."""
        if self._runs >= _RUNS or time.process_time() > self._until:
            return False
        self._runs += 1
        tried = self._faults if faults is None else faults
        less = msgspec.structs.replace(self._cuts, **cuts)
        outcome = self._rerun(tried, less)
        if not _kinds(outcome) & self._kinds:
            return False
        self._faults, self._cuts = tried, less
        if len(outcome.history) <= len(self.best.history):
            self.best = outcome
        return True

    def fails_somehow(self, **cuts: Any) -> bool:
        """Do the same under a few schedules."""
        first = self._cuts.schedule
        return any(self.fails(schedule=schedule, **cuts) for schedule in range(first, first + _SCHEDULES))

    def drop_activities(self) -> None:
        """Leave out whatever is not needed of what the test chose to do: all but one, or one after the other."""
        names = sorted(self.best.activities)
        if len(names) < 2:  # noqa: PLR2004 – one is needed
            return
        everything = frozenset(names)
        if not any(self.fails_somehow(without=everything - {name}) for name in names):
            for name in names:
                self.fails_somehow(without=self._cuts.without | {name})

    def drop_repetitions(self) -> None:
        """Do things as seldom as it takes."""
        any(self.fails_somehow(repetitions=times) for times in range(1, self.best.repetitions))

    def drop_faults(self) -> None:
        """Switch off every kind of fault that is not needed: all of them, or one after the other."""
        if not self.best.faults or self.fails(NO_FAULTS):
            return
        for kind in [kind for kind in KINDS if getattr(self._faults, kind)]:
            self.fails(msgspec.structs.replace(self._faults, **{kind: 0.0}))

    def drop_decisions(self) -> None:
        """Find the smallest number of random decisions, by halving."""
        low, high = 0, self.best.choices
        if self.fails(decisions=0):
            return
        while high - low > 1:
            middle = (low + high) // 2
            if self.fails(decisions=middle):
                high = middle
            else:
                low = middle


def shrink(failed: "SimulationOutcome", faults: Faults, rerun: Rerun) -> "SimulationOutcome":
    """Return the shortest run found that fails as *failed* did."""
    search = _Search(rerun, failed, faults)
    search.drop_activities()
    search.drop_repetitions()
    search.drop_faults()
    search.drop_decisions()
    return search.best


def _kinds(outcome: "SimulationOutcome") -> set[type | str]:
    """Return how it failed, of which something must stay: the kinds of errors, and whether checks found something."""
    kinds: set[type | str] = {type(error) for error in leaves(outcome.error)}
    return kinds | {"checks"} if outcome.violations else kinds
