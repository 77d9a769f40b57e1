"""What a pipeline at random means in plain Python: loops, lists, `try`; no tasks, no time, nothing of the library's.

Where several things fail beside each other the library may raise any of them, so the meaning is then a set of errors.
"""

import functools
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

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
)
from support.pipe_values import Kept, Token, alike, apply, error_of, fold, name_of, weight

__all__ = ["AmbiguousError", "Errors", "Flow", "meaning", "pieces", "plain_meaning"]


class AmbiguousError(Exception):
    """Time alone decides what the result of a pipeline is: a test is to choose another one."""


class Errors(msgspec.Struct, frozen=True):
    """It fails, with one of these errors."""

    names: frozenset[str]


class Flow(msgspec.Struct, frozen=True):
    """Items on their way, and the errors that end them if there are any."""

    items: list[Any]
    errors: frozenset[str] = frozenset()

    def gathered(self) -> Any:
        """Return the list of them, or the errors."""
        return Errors(self.errors) if self.errors else list(self.items)


def plain_meaning(shape: Shape, value: Any) -> Any:
    """Return what *shape* makes of *value*: a value, or `Errors`.

    Raises:
        AmbiguousError: that depends on time.
    """
    return _settled(meaning(shape, value))


def meaning(shape: Shape, value: Any) -> Any:
    """Return what *shape* makes of *value*, which may be a `Flow`, as the result may be."""
    if isinstance(value, Errors):
        return value
    if isinstance(shape, InSequence):
        return functools.reduce(lambda given, step: meaning(step, given), shape.steps, value)
    if isinstance(shape, Each | Gather | Reduce | Take):
        return _OF_FLOWS[type(shape)](shape, value)
    value = _settled(value)
    return value if isinstance(value, Errors) else _OF_VALUES[type(shape)](shape, value)


def _settled(value: Any) -> Any:
    return value.gathered() if isinstance(value, Flow) else value


def _failed(shape: Shape, kind: str = "bad") -> Errors:
    return Errors(frozenset({name_of(error_of(kind, shape.number))}))


def _union(errors: Iterable[Any]) -> frozenset[str]:
    return frozenset[str]().union(*(each.names for each in errors if isinstance(each, Errors)))


def _kept(errors: Errors) -> Kept:
    """Return the failure that is kept."""
    if len(errors.names) > 1:
        raise AmbiguousError
    return Kept(*errors.names)


# -- of values ---------------------------------------------------------------------------------------------------------


def _leaf(shape: Leaf, value: Any) -> Any:
    return _failed(shape, shape.kind) if shape.fails_on(weight(value)) else apply(shape.effect, value)


def _flaky(shape: Flaky, token: Token) -> Any:
    token.tries += 1
    return _failed(shape, shape.kind) if token.tries <= shape.failures else [token.value, token.tries]


def pieces(value: Any) -> list[int]:
    """Return what a generator makes of *value*."""
    heavy = weight(value)
    return [heavy + 3 * each for each in range(heavy % 5)]


def _generate(shape: Generate, value: Any) -> Any:
    items = pieces(value)
    if shape.fails_at is None or shape.fails_at >= len(items):
        return Flow(items)
    return Flow(items[: shape.fails_at], _failed(shape).names)


def _parallel(shape: Parallel, value: Any) -> Any:
    results = [_settled(meaning(branch, value)) for branch in shape.branches]
    errors = [each for each in results if isinstance(each, Errors)]
    if errors and shape.on_failure == "keep":
        results = [_kept(each) if isinstance(each, Errors) else each for each in results]
    elif errors:
        return errors[0] if shape.on_failure == "wait" else Errors(_union(errors))
    return results if shape.names is None else dict(zip(shape.names, results, strict=True))


def _branch(shape: Branch, value: Any) -> Any:
    key = weight(value) % shape.modulus
    chosen = shape.cases[key] if key < len(shape.cases) else shape.default
    return Errors(frozenset({"NoBranchError"})) if chosen is None else meaning(chosen, value)


def _race(shape: Race, value: Any) -> Any:
    results = [_settled(meaning(runner, value)) for runner in shape.runners]
    values = [each for each in results if not isinstance(each, Errors)]
    if not values:
        return Errors(frozenset({"AllFailedError"}))
    if not all(alike(each, values[0]) for each in values):
        raise AmbiguousError
    return values[0]


def is_enough(shape: Loop, value: Any) -> bool:
    """Say whether a loop ends with *value*."""
    return shape.until is not None and weight(value) % 5 == shape.until


def _loop(shape: Loop, value: Any) -> Any:
    for _ in range(shape.at_most):
        value = _settled(meaning(shape.step, value))
        if isinstance(value, Errors) or is_enough(shape, value):
            return value
    if shape.until is None or shape.at_limit == "keep":
        return value
    return Errors(frozenset({"LoopLimitError"}))


def _matches(errors: Errors, *, only_bad: bool) -> bool:
    """Say whether a policy takes these errors."""
    if not only_bad:
        return True
    matching = {each for each in errors.names if each.startswith("BadError of ")}
    if matching and matching != errors.names:
        raise AmbiguousError
    return bool(matching)


def _retry(shape: Retry, value: Any) -> Any:
    result: Any = None
    given = Token(value) if is_fed_by_token(shape) else value
    for _ in range(shape.times):
        result = _settled(meaning(shape.step, given))
        if not isinstance(result, Errors) or not _matches(result, only_bad=shape.only_bad):
            return result
    return result


def is_fed_by_token(shape: Retry) -> bool:
    """Say whether the step begins with one that counts its tries."""
    first = shape.step
    while isinstance(first, InSequence):
        first = first.steps[0]
    return isinstance(first, Flaky)


def _fallback(shape: Fallback, value: Any) -> Any:
    result: Any = None
    for choice in shape.choices:
        result = _settled(meaning(choice, value))
        if not isinstance(result, Errors) or not _matches(result, only_bad=shape.only_bad):
            return result
    return result


def _tap(shape: Tap, value: Any) -> Any:
    seen = _settled(meaning(shape.step, value))
    return seen if isinstance(seen, Errors) else value


# -- of flows ----------------------------------------------------------------------------------------------------------


def _flow(value: Any) -> Flow:
    return value if isinstance(value, Flow) else Flow(list(value))


def _each(shape: Each, value: Any) -> Any:
    flow = _flow(value)
    results = [_settled(meaning(shape.step, item)) for item in flow.items]
    errors = [each for each in results if isinstance(each, Errors)]
    good = [each for each in results if not isinstance(each, Errors)]
    if shape.on_failure == "keep":
        return Flow([_kept(each) if isinstance(each, Errors) else each for each in results], flow.errors)
    if shape.on_failure == "wait" and errors and not flow.errors:
        return Flow(good, errors[0].names)
    return Flow(good, flow.errors | _union(errors))


def _gather(shape: Gather, value: Any) -> Any:
    return _flow(value).gathered()


def _reduce(shape: Reduce, value: Any) -> Any:
    flow = _flow(value)
    fails = any(does_not_fold(shape, item) for item in flow.items)
    errors = flow.errors | (_failed(shape).names if fails else frozenset())
    return Errors(errors) if errors else functools.reduce(fold, flow.items, shape.initial)


def does_not_fold(shape: Reduce, item: Any) -> bool:
    """Say whether the function fails on *item*."""
    return shape.fails_on is not None and weight(item) % 7 == shape.fails_on


def _take(shape: Take, value: Any) -> Any:
    flow = _flow(value)
    if shape.lets_through:
        return Flow([weight(item) for item in flow.items], flow.errors)
    return Errors(flow.errors) if flow.errors else functools.reduce(fold, flow.items, 1)


_OF_VALUES: Final[dict[type[Shape], Callable[[Any, Any], Any]]] = {
    Leaf: _leaf,
    Flaky: _flaky,
    Generate: _generate,
    Parallel: _parallel,
    Branch: _branch,
    Race: _race,
    Loop: _loop,
    Retry: _retry,
    Fallback: _fallback,
    Timeout: lambda shape, value: meaning(shape.step, value),
    Tap: _tap,
}
_OF_FLOWS: Final[dict[type[Shape], Callable[[Any, Any], Any]]] = {
    Each: _each,
    Gather: _gather,
    Reduce: _reduce,
    Take: _take,
}
