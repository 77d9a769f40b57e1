"""The words a pipeline is written in: each takes stages and returns a pipeline."""

from collections.abc import Mapping
from typing import Any, Final, get_args

from ceylon.core.names import check_name
from ceylon.errors import DefinitionError
from ceylon.pipelines.checking import Checked
from ceylon.pipelines.nodes import (
    AtLimit,
    Branch,
    Each,
    Fallback,
    Gather,
    Loop,
    Node,
    OnFailure,
    Parallel,
    Race,
    Reduce,
    Retry,
    Sequence,
    Tap,
    Timeout,
)
from ceylon.pipelines.options import On, check_choice, check_number, check_seconds, check_share, errors_of
from ceylon.pipelines.stages import as_function, as_node
from ceylon.pipelines.stages import call as call_stage
from ceylon.pipelines.value import Pipeline
from ceylon.settings import DEFAULTS

__all__ = [
    "branch",
    "call",
    "each",
    "fallback",
    "gather",
    "loop",
    "parallel",
    "pipeline",
    "race",
    "reduce",
    "retry",
    "tap",
    "timeout",
]

_ON_FAILURE: Final = get_args(OnFailure)
_AT_LIMIT: Final = get_args(AtLimit)


def pipeline(*stages: Any, name: str | None = None) -> Pipeline:
    """Return *stages* in sequence: what one returns, the next one gets.

    A stage is a ref, an agent, an action of an agent (``shop.stock``, or `call`), a plain function of a value, or of a
    value and a context, a generator function, or a pipeline. What a generator yields, be it a function's or the handler
    of an agent, is a *flow*: `each`, `gather` and `reduce` take its items one by one as they come, everything else gets
    a list.

    Raises:
        DefinitionError: something can be no stage, refs are of different meshes, or a pipeline has no stage at all.
        StageTypeError: a stage gives what the next one can never take.
    """
    if not stages:
        message = "pipeline(): it takes at least one stage"
        raise DefinitionError(message)
    nodes: list[Node] = []
    for index, stage in enumerate(stages):
        node = as_node(stage, f"pipeline({_position(index)})")
        if isinstance(node, Sequence) and not node.name:
            nodes += node.steps
        else:
            nodes.append(node)
    known = stages[0].__ceylon_checked__ if isinstance(stages[0], Pipeline) else Checked()
    return Pipeline(Sequence(tuple(nodes)), name=None if name is None else check_name(name), known=known)


def parallel(*stages: Any, on_failure: OnFailure = "cancel", **named: Any) -> Pipeline:
    """Return *stages* side by side, all with the same value; the result is a list of what they return, in this order.

    With names, ``parallel(news=a, stock=b)``, it is a dict.

    Args:
        stages: What runs.
        on_failure: ``"cancel"``: the first failure cancels the others, waits for their end and is raised. ``"wait"``:
            the others finish, then the first failure in this order is raised. ``"keep"``: a failure becomes a `Failed`
            in its place.
        named: What runs, by name, instead of *stages*.

    Raises:
        DefinitionError: something can be no stage, or some have names and some have none.
    """
    check_choice("on_failure", on_failure, _ON_FAILURE)
    if bool(stages) is bool(named):
        message = "parallel(): it takes stages, or stages with names, one at least and not both"
        raise DefinitionError(message)
    nodes = _nodes("parallel", stages) if stages else _nodes("parallel", tuple(named.values()), tuple(named))
    return _made(Parallel(nodes, tuple(named), on_failure))


def branch(by: Any, choices: Mapping[Any, Any], default: Any = None) -> Pipeline:
    """Return a choice: ``by(value)`` gives a key, and the stage of that key gets the value.

    Raises:
        DefinitionError: something can be no stage, or there is nothing to choose from.
    """
    try:
        items = choices.items()
    except AttributeError:  # the two are swapped, mostly
        message = f"branch(by, choices): the choices are a mapping of keys to stages, not {choices!r}"
        raise DefinitionError(message) from None
    if not choices and default is None:
        message = "branch(): there is nothing to choose from"
        raise DefinitionError(message)
    nodes = {key: as_node(stage, f"branch(…, {{{key!r}: …}})") for key, stage in items}
    other = None if default is None else as_node(default, "branch(…, default=…)")
    return _made(Branch(as_node(by, "branch(by, …)"), tuple(nodes.items()), other))


def race(*stages: Any) -> Pipeline:
    """Return *stages* side by side, of which the first that succeeds gives the result; the others are cancelled.

    If all fail, that is an `AllFailedError`.
    """
    return _made(Race(_several("race", stages)))


def loop(step: Any, *, at_most: int, until: Any = None, at_limit: AtLimit = "raise") -> Pipeline:
    """Return *step* again and again: each round gets what the one before returned.

    Args:
        step: One round.
        at_most: Rounds; without *until* exactly so many.
        until: A function of the value, asked after each round, that says when it is done.
        at_limit: What happens after the last round if it is still not done: ``"raise"`` a `LoopLimitError`, or
            ``"keep"`` the value.
    """
    check_choice("at_limit", at_limit, _AT_LIMIT)
    check_number("loop", "at_most", at_most)
    done = None if until is None else as_function(until, "loop(…, until=…)")
    return _made(Loop(as_node(step, "loop(…)"), at_most, done, at_limit))


def each(
    step: Any, concurrency: int = DEFAULTS.each_concurrency, *, ordered: bool = True, on_failure: OnFailure = "cancel"
) -> Pipeline:
    """Return *step* for each item of what comes: a list, any iterable, an async iterator, a flow. It gives a flow.

    Nothing waits for the whole: an item goes on to the next `each` while others are still here.

    Args:
        step: What each item goes through.
        concurrency: Items in it at a time.
        ordered: Let results leave in the order of the items; while *concurrency* of them wait for a slower one before
            them, no further item is begun. Otherwise they leave as they end.
        on_failure: As in `parallel`; a `Failed` takes the place of the item's result.
    """
    check_choice("on_failure", on_failure, _ON_FAILURE)
    check_number("each", "concurrency", concurrency)
    return _made(Each(as_node(step, "each(…)"), concurrency, ordered, on_failure))


def gather() -> Pipeline:
    """Return a stage that waits for all items of a flow and gives the list of them."""
    return _made(Gather())


def reduce(function: Any, initial: Any) -> Pipeline:
    """Return a stage that folds the items of a flow, in the order they come: ``function(accumulated, item)``.

    Every run begins with a shallow copy of *initial*.
    """
    return _made(Reduce(as_function(function, "reduce(…)"), initial))


def retry(
    step: Any,
    times: int = DEFAULTS.stage_tries,
    *,
    on: On = Exception,
    pause: float = DEFAULTS.stage_pause,
    factor: float = DEFAULTS.stage_pause_factor,
    jitter: float = DEFAULTS.stage_jitter,
) -> Pipeline:
    """Return *step* with further tries after a failure.

    Args:
        step: What is tried.
        times: Tries in all.
        on: The errors after which it is tried again; of a `HandlerError` its `root` counts too.
        pause: Seconds before the second try, at most (0.1).
        factor: How much longer each further pause may be, up to a minute.
        jitter: The share of each pause that is left to chance, so that runs which failed together do not all come back
            at once. By default 1: a pause is anything from nothing to all of it; with 0 it is exactly so long.
    """
    check_number("retry", "times", times)
    check_seconds("retry", "pause", pause, least=0)
    check_seconds("retry", "factor", factor, least=0)
    check_share("retry", "jitter", jitter)
    return _made(Retry(as_node(step, "retry(…)"), times, errors_of("retry", on), pause, factor, jitter))


def fallback(step: Any, *others: Any, on: On = Exception) -> Pipeline:
    """Return *step*, and after a failure the next of *others*, with the same value; see `retry` for *on*."""
    return _made(Fallback(_several("fallback", (step, *others)), errors_of("fallback", on)))


def timeout(step: Any, seconds: float) -> Pipeline:
    """Return *step* with a limit: after *seconds* it is cancelled, and that is a `StageTimeoutError`."""
    check_seconds("timeout", "seconds", seconds)
    return _made(Timeout(as_node(step, "timeout(…)"), seconds))


def tap(step: Any) -> Pipeline:
    """Return a stage that shows the value to *step* and lets it go on unchanged; if *step* fails, the run does."""
    return _made(Tap(as_node(step, "tap(…)")))


def call(target: Any, action: str, /, **arguments: Any) -> Pipeline:
    """Return an *action* of a ref, or of an agent, as a pipeline of one stage.

    The value is given to the action's first parameter that is not among *arguments*. An action that needs several gets
    them from the value, if that is a mapping of their names.

    Raises:
        DefinitionError: *target* is neither.
        UnknownActionError: it has no such action.
    """
    return _made(call_stage(target, action, **arguments))


def _made(node: Node) -> Pipeline:
    return Pipeline(Sequence((node,)))


def _several(word: str, stages: tuple[Any, ...]) -> tuple[Node, ...]:
    if not stages:
        message = f"{word}(): it takes at least one stage"
        raise DefinitionError(message)
    return _nodes(word, stages)


def _nodes(word: str, stages: tuple[Any, ...], names: tuple[str, ...] = ()) -> tuple[Node, ...]:
    places = [f"{word}({name}=…)" for name in names] or [f"{word}({_position(index)})" for index in range(len(stages))]
    return tuple(as_node(stage, place) for stage, place in zip(stages, places, strict=True))


def _position(index: int) -> str:
    """Name the argument at *index*."""
    return f"argument {index + 1}"
