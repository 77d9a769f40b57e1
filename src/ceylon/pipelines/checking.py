"""Do the stages of a pipeline fit? Asked when it is built, as far as annotations say."""

import inspect
from collections.abc import Callable, Iterator
from typing import Any, Final, NoReturn, get_args, get_origin

import msgspec

from ceylon.agents.agent import Agent
from ceylon.agents.answering import AnsweringAgent
from ceylon.agents.outputs import declared_reply
from ceylon.core.names import split_key
from ceylon.core.ref import Ref
from ceylon.errors import DefinitionError, StageTypeError
from ceylon.pipelines.fitting import NO_ITEMS, dict_of, fits, item_of, list_of, show, union_of
from ceylon.pipelines.gifts import Checked, Gift, expect, item_in, words_for
from ceylon.pipelines.nodes import (
    Branch,
    Each,
    Fallback,
    Gather,
    Loop,
    Node,
    Parallel,
    Race,
    Reduce,
    Retry,
    Sequence,
    Stage,
    Tap,
    Timeout,
    walk,
)
from ceylon.pipelines.stages import action_at, hints_of

__all__ = ["Checked", "check"]


def check(root: Sequence, known: Checked = Checked()) -> Checked:  # noqa: B008 – immutable
    """Raise unless a pipeline of this tree could run.

    Of a sequence that begins with one that is *known* only what is new is looked at, unless more is known by now of
    the agents in it.

    Raises:
        StageTypeError: a stage gives what the next one can never take.
        DefinitionError: its refs are of different meshes.
    """
    if not known.holds:
        known = Checked()
    ref, gift, strangers = known.ref, known.gift, known.strangers
    new = root.steps[known.count :]
    for each in _refs(new):
        ref = each if ref is None else ref
        if each.__ceylon_mesh__ is not ref.__ceylon_mesh__:
            message = f"{ref!r} and {each!r} are in different meshes; a pipeline runs in one"
            raise DefinitionError(message)
        if each.address not in strangers and each.__ceylon_target__ is None:
            strangers = {**strangers, each.address: each, split_key(each.address)[0]: each}
    for step in new:
        gift = _through(step, gift)
    return Checked(len(root.steps), gift, ref, strangers)


def _refs(steps: tuple[Node, ...]) -> Iterator[Ref]:
    nodes = (node for step in steps for _, node in walk(step))
    return (node.target for node in nodes if isinstance(node, Stage) and isinstance(node.target, Ref))


def _through(node: Node, gift: Gift) -> Gift:
    """Return what *node* gives for *gift*."""
    return _WAYS[type(node)](node, gift)


# -- stages ------------------------------------------------------------------------------------------------------------


def _stage(stage: Stage, gift: Gift) -> Gift:
    if stage.what == "action":
        return _action(stage, gift)
    if stage.what in {"function", "generator"}:
        return _function(stage, gift)
    behind: Any = stage.target.__ceylon_target__ if isinstance(stage.target, Ref) else stage.target
    if stage.what == "pipeline" and behind is not None:
        return msgspec.structs.replace(_through(behind.pipeline.__ceylon_root__, gift), giver=words_for(stage))
    return Gift(_agent(behind, stage, gift) if isinstance(behind, Agent) else Any, words_for(stage))


def _function(stage: Stage, gift: Gift) -> Gift:
    hints, shape = hints_of(stage.target, stage.scope), stage.shape
    taken = Any if isinstance(stage.target, type) else hints.get(shape.first, Any)
    if shape.takes_flow:
        items = item_in(gift, words_for(stage))
        expect(items, words_for(stage), (get_args(taken) or (Any,))[0])
    else:
        expect(gift, words_for(stage), taken)
    return Gift(_result(hints.get("return", Any), yields=shape.yields), words_for(stage))


def _result(hint: Any, *, yields: bool) -> Any:
    """Return what becomes of a result annotated *hint*."""
    origin: Any = get_origin(hint) or hint
    if yields:
        item = item_of(hint)
        return list if item is NO_ITEMS else list_of(item)
    if hint is NoReturn or getattr(hint, "_name", "") == "Never":
        return Any
    lazy = (getattr(origin, "__module__", "") == "collections.abc") and origin.__name__ in _LAZY
    return Any if lazy else hint


_LAZY: Final = ("Iterator", "Generator", "AsyncIterator", "AsyncGenerator", "Awaitable", "Coroutine")
"""What a plain function may return that is run before the next stage, or may not be."""


def _action(stage: Stage, gift: Gift) -> Gift:
    action = action_at(stage)
    if action is None:
        return Gift(Any, words_for(stage))
    given = dict(stage.arguments)
    free = [each for name, each in action.signature.parameters.items() if name not in given]
    if not free:
        message = f"{words_for(stage)} takes no value, so it can be no stage; call it in a function"
        raise DefinitionError(message)
    if sum(each.default is inspect.Parameter.empty for each in free) <= 1:
        expect(gift, words_for(stage), _hint(action.function, free[0].name))
    return Gift(_hint(action.function, "return"), words_for(stage))


def _hint(function: Callable[..., Any], name: str) -> Any:
    return hints_of(function).get(name, Any)


def _agent(agent: Agent, stage: Stage, gift: Gift) -> Any:
    """Return what *agent* answers with."""
    if isinstance(agent, AnsweringAgent):
        return agent.__ceylon_llm_setup__.settings.output or (str if gift.hint is str else Any)
    try:
        accepted = agent.__ceylon_behaviour__.accepted()
    except DefinitionError:  # a class that its annotations name comes further down
        return Any
    if accepted is None:
        return Any
    taken = [each for each in accepted if fits(gift.hint, each)]
    if not taken:
        wanted = " | ".join(map(show, accepted)) or "actions only"
        raise StageTypeError(gift.giver, show(gift.hint), words_for(stage), wanted)
    return union_of(_reply(agent, each) for each in taken)


def _reply(agent: Agent, message: type) -> Any:
    """Return what *agent* answers a *message* with: what the message says, else the handler."""
    declared = declared_reply(message)
    if declared is not None:
        return declared
    handler = agent.__ceylon_behaviour__.handler_of(message)
    return Any if handler is None else _result(_hint(handler.function, "return"), yields=handler.yields)


# -- combinations ------------------------------------------------------------------------------------------------------


def _sequence(node: Sequence, gift: Gift) -> Gift:
    for step in node.steps:
        gift = _through(step, gift)
    return gift


def _parallel(node: Parallel, gift: Gift) -> Gift:
    given = [_through(step, gift).hint for step in node.steps]
    item = Any if node.on_failure == "keep" else union_of(given)
    return Gift(dict_of(item) if node.names else list_of(item), words_for(node))


def _branch(node: Branch, gift: Gift) -> Gift:
    _through(node.by, gift)
    steps = [step for _, step in node.choices] + ([] if node.default is None else [node.default])
    return Gift(union_of(_through(step, gift).hint for step in steps), words_for(node))


def _any_of(node: Race | Fallback, gift: Gift) -> Gift:
    return Gift(union_of(_through(step, gift).hint for step in node.steps), words_for(node))


def _loop(node: Loop, gift: Gift) -> Gift:
    first = _through(node.step, gift)
    if node.until is not None:
        _through(node.until, first)
    return _through(node.step, first) if node.at_most > 1 else first


def _each(node: Each, gift: Gift) -> Gift:
    given = _through(node.step, item_in(gift, words_for(node))).hint
    return Gift(list if node.on_failure == "keep" else list_of(given), words_for(node))


def _gather(node: Gather, gift: Gift) -> Gift:
    return Gift(list_of(item_in(gift, words_for(node)).hint), words_for(node))


def _reduce(node: Reduce, gift: Gift) -> Gift:
    hints, shape = hints_of(node.function.target, node.function.scope), node.function.shape
    items, words = item_in(gift, words_for(node)), words_for(node.function)
    if not shape.is_known or isinstance(node.function.target, type):
        return Gift(Any, words_for(node))
    expect(Gift(type(node.initial), "the initial value"), words, hints.get(shape.first, Any))
    expect(items, words, hints.get(shape.second, Any))
    folded = hints.get("return", Any)
    return Gift(Any if folded is Any else union_of([folded, node.initial.__class__]), words_for(node))


def _one(node: Retry | Timeout, gift: Gift) -> Gift:
    return _through(node.step, gift)


def _tap(node: Tap, gift: Gift) -> Gift:
    _through(node.step, gift)
    return gift


_WAYS: Final[dict[type[Node], Callable[[Any, Gift], Gift]]] = {
    Branch: _branch,
    Each: _each,
    Fallback: _any_of,
    Gather: _gather,
    Loop: _loop,
    Parallel: _parallel,
    Race: _any_of,
    Reduce: _reduce,
    Retry: _one,
    Sequence: _sequence,
    Stage: _stage,
    Tap: _tap,
    Timeout: _one,
}
