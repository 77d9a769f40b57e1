"""When everything in a pipeline at random happens, as a stopwatch and a pencil find it: nobody waits for a neighbour.

Pipelines for this are made by `timed_shape`, in which nothing is left open: the times of their leaves are all
different, and an `each` is either wide enough for all its items or lets its results go as they come.
"""

import heapq
import itertools
import math
import random
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from support.pipe_meaning import Errors, does_not_fold, is_enough, is_fed_by_token, pieces
from support.pipe_random import Maker
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
    Tap,
    Timeout,
)
from support.pipe_values import Kept, Token, apply, error_of, fold, name_of, weight

__all__ = ["GIVEN", "Ran", "Trace", "cut", "timed", "timed_shape"]


GIVEN: Final = 17
"""What the pipelines made here are given."""
_LONGEST: Final = 200.0
"""Virtual seconds that one may take: less than what a handler has in half of the simulations."""


class Ran(NamedTuple):
    """One run of a leaf."""

    number: int
    began: float
    ended: float
    how: str


class Trace(msgspec.Struct, frozen=True):
    """What has happened: the runs of leaves, the result, and when it was there."""

    end: float
    value: Any
    ran: Sequence[Ran] = ()


class TimedFlow(msgspec.Struct, frozen=True):
    """Items and when each of them is there."""

    items: list[tuple[float, Any]]
    end: float


def cut(ran: Sequence[Ran], at: float) -> list[Ran]:
    """Return what is left of *ran* when it is cancelled *at* a moment."""
    begun = [each for each in ran if each.began < at]
    return [each if each.ended <= at else each._replace(ended=at, how="cancelled") for each in begun]


def timed(shape: Shape, value: Any, start: float = 0.0) -> Trace:
    """Return what happens when *shape* gets *value* at *start*."""
    trace = _timed(shape, value, start)
    return trace if not isinstance(trace.value, TimedFlow) else _gathered(trace)


def _gathered(trace: Trace) -> Trace:
    return Trace(trace.end, [item for _, item in trace.value.items], trace.ran)


def _timed(shape: Shape, value: Any, start: float) -> Trace:
    if isinstance(shape, InSequence):
        return _sequence(shape, value, start)
    if isinstance(value, TimedFlow) and not isinstance(shape, Each | Gather | Reduce):
        value = [item for _, item in value.items]
    return _MEANINGS[type(shape)](shape, value, start)


def _sequence(shape: InSequence, value: Any, start: float) -> Trace:
    ran: list[Ran] = []
    for step in shape.steps:
        trace = _timed(step, value, start)
        ran += trace.ran
        start, value = trace.end, trace.value
        if isinstance(value, Errors):
            break
    return Trace(start, value, ran)


def _fail(shape: Shape, kind: str = "bad") -> Errors:
    return Errors(frozenset({name_of(error_of(kind, shape.number))}))


def _leaf(shape: Leaf, value: Any, start: float) -> Trace:
    end = start + shape.seconds
    if shape.fails_on(weight(value)):
        return Trace(end, _fail(shape, shape.kind), [Ran(shape.number, start, end, "failed")])
    return Trace(end, apply(shape.effect, value), [Ran(shape.number, start, end, "ended")])


def _flaky(shape: Flaky, token: Token, start: float) -> Trace:
    token.tries += 1
    end = start + shape.seconds
    if token.tries <= shape.failures:
        return Trace(end, _fail(shape, shape.kind), [Ran(shape.number, start, end, "failed")])
    return Trace(end, [token.value, token.tries], [Ran(shape.number, start, end, "ended")])


def _generate(shape: Generate, value: Any, start: float) -> Trace:
    items = []
    for piece in pieces(value):
        start += shape.pause
        items.append((start, piece))
    return Trace(start, TimedFlow(items, start))


def _all_of(traces: Sequence[Trace], until: float = math.inf) -> list[Ran]:
    return [each for trace in traces for each in cut(trace.ran, until)]


def _parallel(shape: Parallel, value: Any, start: float) -> Trace:
    traces = [timed(branch, value, start) for branch in shape.branches]
    failed = [trace for trace in traces if isinstance(trace.value, Errors)]
    end = max(trace.end for trace in traces)
    if failed and shape.on_failure == "cancel":
        first = min(failed, key=lambda trace: trace.end)
        return Trace(first.end, first.value, _all_of(traces, first.end))
    if failed and shape.on_failure == "wait":
        return Trace(end, failed[0].value, _all_of(traces))
    results = [_kept(trace.value) for trace in traces]
    return Trace(end, results if shape.names is None else dict(zip(shape.names, results, strict=True)), _all_of(traces))


def _kept(value: Any) -> Any:
    return Kept(*value.names) if isinstance(value, Errors) else value


def _branch(shape: Branch, value: Any, start: float) -> Trace:
    key = weight(value) % shape.modulus
    chosen = shape.cases[key] if key < len(shape.cases) else shape.default
    if chosen is None:
        return Trace(start, Errors(frozenset({"NoBranchError"})))
    return _timed(chosen, value, start)


def _race(shape: Race, value: Any, start: float) -> Trace:
    traces = [timed(runner, value, start) for runner in shape.runners]
    won = [trace for trace in traces if not isinstance(trace.value, Errors)]
    if not won:
        return Trace(max(trace.end for trace in traces), Errors(frozenset({"AllFailedError"})), _all_of(traces))
    first = min(won, key=lambda trace: trace.end)
    return Trace(first.end, first.value, _all_of(traces, first.end))


def _loop(shape: Loop, value: Any, start: float) -> Trace:
    ran: list[Ran] = []
    for _ in range(shape.at_most):
        trace = timed(shape.step, value, start)
        ran += trace.ran
        start, value = trace.end, trace.value
        if isinstance(value, Errors) or is_enough(shape, value):
            return Trace(start, value, ran)
    is_over = shape.until is not None and shape.at_limit == "raise"
    return Trace(start, Errors(frozenset({"LoopLimitError"})) if is_over else value, ran)


def _goes_on(value: Any, *, only_bad: bool) -> bool:
    """Say whether there is another try after *value*."""
    return isinstance(value, Errors) and (not only_bad or all(each.startswith("BadError of ") for each in value.names))


def _retry(shape: Retry, value: Any, start: float) -> Trace:
    ran: list[Ran] = []
    given = Token(value) if is_fed_by_token(shape) else value
    for attempt in itertools.count(1):
        trace = timed(shape.step, given, start)
        ran += trace.ran
        if attempt == shape.times or not _goes_on(trace.value, only_bad=shape.only_bad):
            return Trace(trace.end, trace.value, ran)
        start = trace.end + shape.pause * 2.0 ** (attempt - 1)
    raise AssertionError


def _fallback(shape: Fallback, value: Any, start: float) -> Trace:
    ran: list[Ran] = []
    result: Any = None
    for choice in shape.choices:
        trace = timed(choice, value, start)
        ran += trace.ran
        start, result = trace.end, trace.value
        if not _goes_on(result, only_bad=shape.only_bad):
            break
    return Trace(start, result, ran)


def _timeout(shape: Timeout, value: Any, start: float) -> Trace:
    trace = timed(shape.step, value, start)
    over = start + shape.seconds
    if trace.end <= over:
        return trace
    return Trace(over, Errors(frozenset({"StageTimeoutError"})), cut(trace.ran, over))


def _tap(shape: Tap, value: Any, start: float) -> Trace:
    trace = timed(shape.step, value, start)
    return trace if isinstance(trace.value, Errors) else Trace(trace.end, value, trace.ran)


# -- flows -------------------------------------------------------------------------------------------------------------


def _flow(value: Any, start: float) -> TimedFlow:
    return value if isinstance(value, TimedFlow) else TimedFlow([(start, item) for item in value], start)


def _each(shape: Each, value: Any, start: float) -> Trace:
    flow = _flow(value, start)
    slots = [0.0] * shape.concurrency
    traces: list[Trace] = []
    for there, item in flow.items:
        began = max(there, heapq.heappop(slots))
        traces.append(timed(shape.step, item, began))
        heapq.heappush(slots, traces[-1].end)
    failed = [trace for trace in traces if isinstance(trace.value, Errors)]
    end = max([flow.end, *(trace.end for trace in traces)])
    if failed and shape.on_failure == "cancel":
        first = min(failed, key=lambda trace: trace.end)
        return Trace(first.end, first.value, _all_of(traces, first.end))
    if failed and shape.on_failure == "wait":
        return Trace(end, failed[0].value, _all_of(traces))
    return Trace(end, TimedFlow(_leaving(shape, traces), end), _all_of(traces))


def _leaving(shape: Each, traces: Sequence[Trace]) -> list[tuple[float, Any]]:
    """Return when which result leaves."""
    results = [(trace.end, _kept(trace.value)) for trace in traces]
    if not shape.ordered:
        return sorted(results, key=lambda result: result[0])
    latest = 0.0
    for place, (there, result) in enumerate(results):
        latest = max(latest, there)
        results[place] = (latest, result)
    return results


def _reduce(shape: Reduce, value: Any, start: float) -> Trace:
    flow = _flow(value, start)
    total = shape.initial
    for _, item in flow.items:
        assert not does_not_fold(shape, item)
        total = fold(total, item)
    return Trace(flow.end, total)


def _gather(shape: Gather, value: Any, start: float) -> Trace:
    flow = _flow(value, start)
    return Trace(flow.end, [item for _, item in flow.items])


_MEANINGS: Final[dict[type[Shape], Callable[[Any, Any, float], Trace]]] = {
    Leaf: _leaf,
    Flaky: _flaky,
    Generate: _generate,
    Parallel: _parallel,
    Branch: _branch,
    Race: _race,
    Loop: _loop,
    Retry: _retry,
    Fallback: _fallback,
    Timeout: _timeout,
    Tap: _tap,
    Each: _each,
    Reduce: _reduce,
    Gather: _gather,
}


class _TimedMaker(Maker):
    """Makes pipelines whose times are not open to dispute."""

    def _timeout(self, depth: int) -> Shape:
        seconds = 3 * self._time() if self._failures and self._flip() else 1_000.0
        return Timeout(step=self.piece(depth), seconds=seconds)

    def _branch(self, depth: int) -> Shape:
        """See `Maker`; a key that is missing would be an error that takes no time, so that two could be first."""
        cases = self.pieces(depth)
        return Branch(cases=cases, modulus=len(cases))

    def flow(self, depth: int) -> list[Shape]:
        """See `Maker`; where two follow one another nothing fails, because it is open what that does to the second."""
        source: Shape = Leaf(effect="spread", seconds=self._time())
        generates = self._flip()
        if generates:
            source = Generate(way=self._one(("async", "agent", "ref")), pause=self._time())
        steps = [source, self._wide_or_unordered(depth, generates=generates)]
        if self._flip():
            is_failing, self._failures = self._failures, False
            steps = [source, *(self._wide_or_unordered(depth, generates=True) for _ in range(2))]
            self._failures = is_failing
        end = self._below(3)
        return [*steps, *([Gather()] if end == 1 else [Reduce(is_sync=self._flip())] if end == 2 else [])]

    def _wide_or_unordered(self, depth: int, *, generates: bool) -> Shape:
        step, policy = self.piece(depth), self._one(("cancel", "wait", "keep"))
        if generates or policy == "wait" or self._flip():
            return Each(step=step, concurrency=8, ordered=self._flip(), on_failure=policy)
        return Each(step=step, concurrency=self._below(3) + 1, ordered=False, on_failure=policy)


def timed_shape(chance: random.Random, *, depth: int = 3, failures: bool = True) -> Shape:
    """Return a pipeline at random, in which every leaf takes a time of its own."""
    maker = _TimedMaker(chance.randrange, seconds=lambda: round(chance.uniform(0.01, 1.0), 6), failures=failures)
    while True:
        shape = maker.shape(depth)
        if 0.0 < timed(shape, GIVEN).end < _LONGEST:
            return shape
