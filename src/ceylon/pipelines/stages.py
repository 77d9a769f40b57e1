"""What may be a stage of a pipeline, and what is known of it without running it."""

import functools
import inspect
import os
from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import Any, Final, get_origin

from ceylon.agents.action import Action, action_of
from ceylon.agents.agent import Agent
from ceylon.core.hints import caller_locals, class_names, resolve_hints
from ceylon.core.ref import BlockingRef, Ref
from ceylon.errors import DefinitionError, UnknownActionError
from ceylon.pipelines.nodes import Node, Stage, What
from ceylon.pipelines.shape import Shape

__all__ = ["action_at", "as_function", "as_node", "call", "hints_of"]

_POSITIONAL: Final = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_PLAIN: Final = (None,)
_WITH_CONTEXT: Final = (None, None)
_FLOWS: Final = (AsyncIterator, AsyncIterable)
_TREE: Final = "__ceylon_tree__"
_RUNS: Final = "__ceylon_pipeline__"


def as_node(stage: Any, place: str) -> Node:
    """Return *stage* as a node; *place* says where it stands, for the error.

    Raises:
        DefinitionError: it can be no stage.
    """
    tree = getattr(stage, _TREE, None)
    if isinstance(tree, Node):
        return tree
    if isinstance(stage, Stage):
        return stage
    if isinstance(stage, (Ref, BlockingRef)):
        return _ref_stage(stage.__ceylon_awaited__)
    if isinstance(stage, Agent):
        return Stage(stage, "pipeline" if hasattr(stage, _RUNS) else "agent", stage.name)
    owner = getattr(stage, "__self__", None)
    marked = action_of(getattr(stage, "__func__", None))
    if marked is not None and isinstance(owner, Agent):
        return Stage(owner, "action", f"{owner.name}.{marked.name}", _source_of(marked.function), marked.name)
    if callable(stage) and not (isinstance(stage, type) and issubclass(stage, Agent)):
        return as_function(stage, place)
    message = f"{place}: {stage!r} can be no stage; {_hint(stage)}"
    raise DefinitionError(message)


def as_function(function: Any, place: str) -> Stage:
    """Return *function* as a stage.

    Raises:
        DefinitionError: it is none, or cannot be called with a value, or with a value and a context.
    """
    if not callable(function):
        message = f"{place}: {function!r} is no function"
        raise DefinitionError(message)
    scope = tuple(caller_locals(_plain(function)).items())
    signature, name = _signature_of(function), _name_of(function)
    shape = Shape(is_known=False) if signature is None else _shape_of(function, signature, scope)
    if signature is not None:
        _check_callable(function, signature, place)
    if shape.takes_flow and not shape.is_async:
        message = f"{place}: {name!r} takes an async iterator, so it must be an `async def`"
        raise DefinitionError(message)
    what: What = "generator" if shape.yields else "function"
    return Stage(function, what, name, _source_of(function), shape=shape, scope=scope)


def call(target: Any, action: str, /, **arguments: Any) -> Stage:
    """Return the *action* of a ref, or of an agent, as a stage.

    The value is given to the action's first parameter that is not among *arguments*. An action with several gets a
    mapping of their names instead, if the value is one.

    Raises:
        DefinitionError: *target* is neither.
        UnknownActionError: it has no such action.
    """
    kept: Any = target
    behind: object = target
    if isinstance(target, (Ref, BlockingRef)):
        kept = target.__ceylon_awaited__
        behind, label = kept.__ceylon_target__, f"{target.address}.{action}"
    elif isinstance(target, Agent):
        label = f"{target.name}.{action}"
    else:
        message = f"call({target!r}, {action!r}): it takes a ref or an agent"
        raise DefinitionError(message)
    source = ""
    if isinstance(behind, Agent):
        if action not in behind.actions:
            raise UnknownActionError(label.rpartition(".")[0], action, behind.actions)
        source = _source_of(behind.actions[action].function)
    return Stage(kept, "action", label, source, action, tuple(arguments.items()))


def action_at(stage: Stage) -> Action | None:
    """Return the action that *stage* calls, where its agent is known by now."""
    target = stage.target.__ceylon_target__ if isinstance(stage.target, Ref) else stage.target
    return target.actions.get(stage.action) if isinstance(target, Agent) else None


def _signature_of(function: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except (ValueError, TypeError):  # one written in C, which does not say what it takes
        return None


def _shape_of(function: Callable[..., Any], signature: inspect.Signature, scope: tuple[tuple[str, Any], ...]) -> Shape:
    plain = _plain(function)
    positional = [each for each in signature.parameters.values() if each.kind in _POSITIONAL]
    required = [each for each in positional if each.default is each.empty]
    first, second = [*(each.name for each in positional), "", ""][:2]
    hint = hints_of(function, scope).get(first)
    return Shape(
        is_async=inspect.iscoroutinefunction(plain) or inspect.isasyncgenfunction(plain),
        yields=inspect.isgeneratorfunction(plain) or inspect.isasyncgenfunction(plain),
        first=first,
        second=second,
        takes_context=not isinstance(function, type) and (second == "context" or len(required) == len(_WITH_CONTEXT)),
        takes_flow=(get_origin(hint) or hint) in _FLOWS,
    )


def hints_of(function: Callable[..., Any], scope: tuple[tuple[str, Any], ...] | None = None) -> dict[str, Any]:
    """Return the types of *function*'s parameters and of its result, as far as they can be known.

    *scope* holds the local names that its annotations mention; by default they are looked for now.
    """
    plain = _plain(function)
    if isinstance(function, type):
        return {"return": function}
    written = getattr(plain, "__annotations__", {})
    if not written:
        return {}
    owner = getattr(plain, "__self__", None)
    names = {} if owner is None else class_names(owner.__class__)
    names.update(caller_locals(plain) if scope is None else scope)
    try:
        return resolve_hints(plain, names)
    except DefinitionError:  # one of them names what is there for type checkers only
        return {name: hint for each in written for name, hint in _hint_of(plain, names, each).items()}


def _hint_of(plain: Callable[..., Any], names: dict[str, Any], name: str) -> dict[str, Any]:
    try:
        return resolve_hints(plain, names, names=[name])
    except DefinitionError:
        return {}


def _plain(function: Any) -> Any:
    """Return the function inside partials, and behind an object that can be called."""
    while isinstance(function, functools.partial):
        function = function.func
    if isinstance(function, type) or hasattr(function, "__code__") or hasattr(function, "__func__"):
        return function
    called: Any = inspect.getattr_static(function.__class__, "__call__", None)
    return called.__get__(function) if inspect.isfunction(called) else function


def _check_callable(function: Callable[..., Any], signature: inspect.Signature, place: str) -> None:
    for arguments in (_PLAIN,) if isinstance(function, type) else (_PLAIN, _WITH_CONTEXT):
        try:
            signature.bind(*arguments)
        except TypeError:
            continue
        return
    message = f"{place}: {_name_of(function)}{signature} can be no stage; write (value) or (value, context)"
    raise DefinitionError(message)


def _ref_stage(ref: Ref) -> Stage:
    behind = ref.__ceylon_target__
    return Stage(ref, "pipeline" if hasattr(behind, _RUNS) else "ref", ref.address)


def _name_of(function: Any) -> str:
    name: str = getattr(_plain(function), "__name__", "") or type(function).__name__
    return type(function).__name__ if name == "__call__" else name


def _source_of(thing: Any) -> str:
    """Return where *thing* is written: ``"stories.py:12"``, or nothing if nobody knows."""
    code = getattr(inspect.unwrap(_plain(thing)), "__code__", None) if not isinstance(thing, type) else None
    if code is not None:
        return f"{os.path.basename(code.co_filename)}:{code.co_firstlineno}"  # noqa: PTH119 – not every name is a path
    return ""


def _hint(stage: Any) -> str:
    if isinstance(stage, type) and issubclass(stage, Agent):
        return f"{stage.__name__} is a class; write an instance: {stage.__name__}('name')"
    if isinstance(stage, str):
        return "for an agent's name write `mesh.ref(name)`"
    return "a stage is a ref, an agent, an agent's action, a function or a pipeline"
