"""What a pipeline at random is made of: shapes, which know nothing of how the library holds or runs a pipeline."""

from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

import msgspec

__all__ = [
    "SHAPES",
    "Branch",
    "Each",
    "Fallback",
    "Flaky",
    "Gather",
    "Generate",
    "InSequence",
    "Leaf",
    "Loop",
    "Parallel",
    "Policy",
    "Race",
    "Reduce",
    "Retry",
    "Shape",
    "Take",
    "Tap",
    "Timeout",
    "is_unordered",
    "leaves",
    "number",
]

Policy: TypeAlias = Literal["cancel", "wait", "keep"]


class Shape(msgspec.Struct, kw_only=True):
    """A piece of a pipeline; `number` tells it from all others."""

    number: int = 0

    @property
    def parts(self) -> "Sequence[Shape]":
        """The pieces it is made of."""
        return ()


class Leaf(Shape):
    """One stage: what it does, what it is for the library, on what weights it fails, and how long it takes."""

    effect: str = "same"
    way: str = "async"
    modulus: int = 0  # 0: it never fails
    remainder: int = 0
    kind: str = "bad"
    seconds: float = 0.0

    def fails_on(self, heavy: int) -> bool:
        """Say whether it fails on something of this weight."""
        return self.modulus > 0 and heavy % self.modulus == self.remainder


class Flaky(Shape):
    """A stage that fails the first times it gets one and the same token."""

    failures: int = 0
    kind: str = "bad"
    seconds: float = 0.0


class Generate(Shape):
    """A stage whose items are a flow, a function or an agent; it may fail before one of them."""

    way: str = "async"
    fails_at: int | None = None
    pause: float = 0.0


class Take(Shape):
    """A function that is given the flow itself and sums it up."""

    lets_through: bool = False  # a generator then: one item for one item


class InSequence(Shape):
    """One after the other; built by ``>>`` or by one call, with a name or without."""

    steps: list[Shape]
    name: str | None = None
    by_arrows: bool = False

    @property
    def parts(self) -> Sequence[Shape]:
        return self.steps


class Parallel(Shape):
    """All of them on the same value."""

    branches: list[Shape]
    names: list[str] | None = None
    on_failure: Policy = "cancel"

    @property
    def parts(self) -> Sequence[Shape]:
        return self.branches


class Branch(Shape):
    """One of them, by the weight of the value."""

    cases: list[Shape]
    modulus: int = 2
    default: Shape | None = None

    @property
    def parts(self) -> Sequence[Shape]:
        return [*self.cases, *([] if self.default is None else [self.default])]


class Race(Shape):
    """Whichever is first; all that can win give the same."""

    runners: list[Shape]

    @property
    def parts(self) -> Sequence[Shape]:
        return self.runners


class Loop(Shape):
    """Again and again."""

    step: Shape
    at_most: int = 1
    until: int | None = None  # the weight that is enough, modulo 5
    at_limit: Literal["raise", "keep"] = "raise"

    @property
    def parts(self) -> Sequence[Shape]:
        return (self.step,)


class Each(Shape):
    """For every item."""

    step: Shape
    concurrency: int = 8
    ordered: bool = True
    on_failure: Policy = "cancel"

    @property
    def parts(self) -> Sequence[Shape]:
        return (self.step,)


class Gather(Shape):
    """A flow made a list."""


class Reduce(Shape):
    """A flow made one number."""

    initial: int = 0
    fails_on: int | None = None  # an item's weight modulo 7
    is_sync: bool = True


class Retry(Shape):
    """Tried again; a step that is flaky gets a token."""

    step: Shape
    times: int = 3
    only_bad: bool = True
    pause: float = 0.0

    @property
    def parts(self) -> Sequence[Shape]:
        return (self.step,)


class Fallback(Shape):
    """The next one, where one fails."""

    choices: list[Shape]
    only_bad: bool = True

    @property
    def parts(self) -> Sequence[Shape]:
        return self.choices


class Timeout(Shape):
    """Within so many seconds."""

    step: Shape
    seconds: float = 1_000.0

    @property
    def parts(self) -> Sequence[Shape]:
        return (self.step,)


class Tap(Shape):
    """Looked at in passing."""

    step: Shape

    @property
    def parts(self) -> Sequence[Shape]:
        return (self.step,)


SHAPES: Final = (
    Leaf, Flaky, Generate, Take, InSequence, Parallel, Branch, Race, Loop, Each, Gather, Reduce, Retry, Fallback,
    Timeout, Tap,
)  # fmt: skip


def leaves(shape: Shape) -> list[Shape]:
    """Return the pieces at the ends, from left to right."""
    if not shape.parts:
        return [shape]
    return [leaf for part in shape.parts for leaf in leaves(part)]


def number(shape: Shape, start: int = 1) -> int:
    """Number all pieces, also those met twice, and return the next number."""
    shape.number = start
    start += 1
    for part in shape.parts:
        start = number(part, start)
    return start


def is_unordered(shape: Shape) -> bool:
    """Say whether results may leave some part of it in any order."""
    return (isinstance(shape, Each) and not shape.ordered) or any(map(is_unordered, shape.parts))
