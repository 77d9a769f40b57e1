"""Run pipelines at random in all the ways there are, and compare what comes of it with what they mean."""

from collections.abc import Awaitable, Sequence
from typing import Any

from support.pipe_building import Span
from support.pipe_meaning import Errors
from support.pipe_shapes import Shape, is_unordered
from support.pipe_times import Ran
from support.pipe_values import alike, name_of, plain

__all__ = ["as_ran", "differences", "mistake", "outcome_of", "result_of"]


async def outcome_of(run: Awaitable[Any]) -> Any:
    """Return what *run* gives, or the errors it raises."""
    try:
        return await run
    except Exception as error:  # noqa: BLE001 – whatever it raises is compared
        return Errors(frozenset({name_of(error)}))


def result_of(run: Any, *arguments: Any) -> Any:
    """Return what ``run(*arguments)`` gives, or the errors it raises."""
    try:
        return run(*arguments)
    except Exception as error:  # noqa: BLE001 – as above
        return Errors(frozenset({name_of(error)}))


def mistake(shape: Shape, expected: Any, outcome: Any) -> str | None:
    """Return what is wrong with the *outcome* of a run, if something is."""
    if isinstance(expected, Errors):
        is_fine = isinstance(outcome, Errors) and outcome.names <= expected.names
    else:
        is_fine = not isinstance(outcome, Errors) and alike(outcome, expected, sorts=is_unordered(shape))
    return None if is_fine else f"{_shown(outcome)} is not {_shown(expected)} for {shape!r}"


def _shown(outcome: Any) -> Any:
    return sorted(outcome.names) if isinstance(outcome, Errors) else plain(outcome)


def as_ran(spans: Sequence[Span], start: float) -> list[Ran]:
    """Return *spans* as the stopwatch has them, less those that were cancelled before any time had passed."""
    runs = [Ran(span.number, span.began - start, span.ended - start, span.how) for span in spans]
    return [each for each in runs if each.how != "cancelled" or each.ended - each.began > 1e-6]


def differences(expected: Sequence[Ran], seen: Sequence[Ran]) -> list[str]:
    """Return what has happened and should not have, and the other way round; a moment is a millionth of a second."""
    wanted, found = _rounded(expected), _rounded(seen)
    missing = [each for each in wanted if not any(_same(each, other) for other in found)]
    unwanted = [each for each in found if not any(_same(each, other) for other in wanted)]
    said = [f"expected: {each}" for each in missing] + [f"seen: {each}" for each in unwanted]
    return said if said or len(wanted) == len(found) else [f"{len(found)} runs of leaves, not {len(wanted)}"]


def _rounded(runs: Sequence[Ran]) -> list[Ran]:
    return sorted(each for each in runs if each.ended - each.began > 1e-6 or each.how != "cancelled")


def _same(one: Ran, other: Ran) -> bool:
    near = abs(one.began - other.began) < 1e-5 and abs(one.ended - other.ended) < 1e-5
    return near and one.number == other.number and one.how == other.how
