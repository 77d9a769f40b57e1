"""Shapes of pipelines at random: whoever draws numbers decides, Hypothesis or a seed."""

import copy
from collections.abc import Callable
from typing import Any, Final

from support.pipe_shapes import (
    Branch,
    Each,
    Fallback,
    Flaky,
    Gather,
    Generate,
    InSequence,
    Leaf,
    Loop,
    Parallel,
    Race,
    Reduce,
    Retry,
    Shape,
    Take,
    Tap,
    Timeout,
    number,
)

__all__ = ["Maker"]

Below = Callable[[int], int]
"""Returns a number from 0 on, below another; smaller ones make simpler pipelines."""

_EFFECTS: Final = ("add", "triple", "text", "pair", "named", "spread", "same")
_WAYS: Final = ("async", "sync", "context", "agent", "ref", "action", "call")
_POLICIES: Final[tuple[Any, ...]] = ("cancel", "wait", "keep")


class Maker:
    """Makes shapes. With *seconds* every leaf is async and takes a time that no other takes."""

    def __init__(
        self, below: Below, *, seconds: Callable[[], float] | None = None, failures: bool = True, flows: bool = True
    ) -> None:
        self._below = below
        self._seconds = seconds
        self._failures = failures
        self._flows = flows

    def shape(self, depth: int = 3) -> Shape:
        """Return a whole pipeline."""
        made = self.piece(depth)
        number(made)
        return made

    # -- drawing -------------------------------------------------------------------------------------------------------

    def _one(self, things: Any) -> Any:
        return things[self._below(len(things))]

    def _flip(self) -> bool:
        return self._below(2) == 1

    def _fails(self) -> bool:
        return self._failures and self._below(8) == 7

    def _time(self) -> float:
        return 0.0 if self._seconds is None else self._seconds()

    # -- pieces --------------------------------------------------------------------------------------------------------

    def leaf(self) -> Leaf:
        """Return one stage."""
        way = self._one(_WAYS if self._seconds is None else ("async", "context", "agent", "ref", "call"))
        made = Leaf(effect=self._one(_EFFECTS), way=way, seconds=self._time())
        if self._fails():
            made.modulus = self._below(4) + 1
            made.remainder = self._below(made.modulus)
            made.kind = self._one(("bad", "other"))
        return made

    def piece(self, depth: int) -> Shape:
        """Return something that takes any value and gives one, no deeper than *depth*."""
        if depth <= 0:
            return self.leaf()
        makers = [self._leaf, self._sequence, self._parallel, self._branch, self._race, self._loop, self._retry]
        makers += [self._fallback, self._timeout, self._tap]
        if self._flows:
            makers += [self._flow, self._flow]
        made: Shape = self._one(makers)(depth - 1)
        return made

    def pieces(self, depth: int, least: int = 1, most: int = 3) -> list[Shape]:
        """Return some of them."""
        return [self.piece(depth) for _ in range(least + self._below(most - least + 1))]

    def _leaf(self, _: int) -> Shape:
        return self.leaf()

    def _sequence(self, depth: int) -> Shape:
        name = self._one((None, "inner"))
        return InSequence(steps=self.pieces(depth), name=name, by_arrows=self._flip())

    def _parallel(self, depth: int) -> Shape:
        branches = self.pieces(depth)
        names = ["left", "middle", "right"][: len(branches)] if self._flip() else None
        return Parallel(branches=branches, names=names, on_failure=self._one(_POLICIES))

    def _branch(self, depth: int) -> Shape:
        cases = self.pieces(depth)
        modulus = len(cases) + (self._below(2) if self._failures else 0)
        default = self.piece(depth) if modulus > len(cases) and self._flip() else None
        return Branch(cases=cases, modulus=modulus, default=default)

    def _race(self, depth: int) -> Shape:
        runner = self.piece(depth)
        runners: list[Shape] = [runner, *(self._twin(runner) for _ in range(self._below(2)))]
        if self._failures and self._flip():
            runners.insert(self._below(len(runners) + 1), Leaf(modulus=1, seconds=self._time()))
        return Race(runners=runners)

    def _twin(self, shape: Shape) -> Shape:
        """Return one that means the same and takes another time."""
        twin = copy.deepcopy(shape)
        self._retime(twin)
        return twin

    def _retime(self, shape: Shape) -> None:
        if isinstance(shape, Leaf | Flaky):
            shape.seconds = self._time()
        for part in shape.parts:
            self._retime(part)

    def _loop(self, depth: int) -> Shape:
        until = self._one((None, *range(5)))
        at_limit: Any = self._one(("keep", "raise")) if self._failures else "keep"
        return Loop(step=self.piece(depth), at_most=self._below(4) + 1, until=until, at_limit=at_limit)

    def _retry(self, depth: int) -> Shape:
        if not self._failures or self._flip():
            return Retry(step=self.piece(depth), times=self._below(3) + 1, only_bad=self._flip(), pause=self._pause())
        flaky = Flaky(failures=self._below(4), kind=self._one(("bad", "other")), seconds=self._time())
        step: Shape = InSequence(steps=[flaky, self.piece(depth)]) if self._flip() else flaky
        return Retry(step=step, times=self._below(3) + 1, only_bad=self._flip(), pause=self._pause())

    def _pause(self) -> float:
        return 0.0 if self._seconds is None else self._time()

    def _fallback(self, depth: int) -> Shape:
        return Fallback(choices=self.pieces(depth), only_bad=self._flip())

    def _timeout(self, depth: int) -> Shape:
        return Timeout(step=self.piece(depth))

    def _tap(self, depth: int) -> Shape:
        return Tap(step=self.piece(depth))

    def _flow(self, depth: int) -> Shape:
        return InSequence(steps=self.flow(depth), by_arrows=self._flip())

    def flow(self, depth: int) -> list[Shape]:
        """Return steps that make a flow, do something with it, and perhaps end it."""
        source: Shape = Leaf(effect="spread", seconds=self._time())
        if self._flip():
            fails_at = self._below(4) if self._fails() else None
            source = Generate(way=self._one(("async", "sync", "agent", "ref")), fails_at=fails_at)
        steps: list[Shape] = [source, self._step_of_a_flow(depth)]
        if self._flip():
            steps.append(Take(lets_through=True) if self._below(4) == 3 else self._step_of_a_flow(depth))
        end = self._below(4)
        if end == 1:
            steps.append(Gather())
        elif end == 2:
            fails_on = self._below(7) if self._fails() else None
            steps.append(Reduce(initial=self._below(5), fails_on=fails_on, is_sync=self._flip()))
        elif end == 3 and isinstance(steps[-1], Each | Take):
            steps.append(Take())
        return steps

    def _step_of_a_flow(self, depth: int) -> Shape:
        policy = self._one(_POLICIES)
        concurrency = self._one((8, 1, 2, 3))
        return Each(step=self.piece(depth), concurrency=concurrency, ordered=not self._flip(), on_failure=policy)
