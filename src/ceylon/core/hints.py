"""Turn a function's annotations into types, wherever the names in them were defined.

Annotations may be strings (`from __future__ import annotations`), and the classes they name may be local to a function,
where `typing.get_type_hints` finds nothing. So a decorator keeps the local names that the annotations mention, and
whoever needs the types resolves them later, when classes defined further down exist too:

    scope = caller_locals(function)  # in the decorator: a few names, never a frame
    hints = resolve_hints(function, class_names(owner) | scope)  # at first use
"""

import ast
import inspect
import types
import typing
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from ceylon.errors import DefinitionError, describe

__all__ = ["caller_locals", "class_names", "resolve_hints"]


def resolve_hints(
    function: Callable[..., Any],
    localns: Mapping[str, Any] | None = None,
    *,
    names: Collection[str] | None = None,
) -> dict[str, Any]:
    """Return the types of *function*'s parameters, and under `"return"` of its result; `Annotated` is kept.

    A name is looked for in the function's closure, in *localns* (what `caller_locals` kept), in its module and among
    the builtins. *names* limits the work to these parameters: the others may then name what exists for type checkers
    only.

    Raises:
        DefinitionError: an annotation names something that is not there, or is no type.
    """
    inner = inspect.unwrap(function)
    try:
        written = _annotations(function).items()
        wanted = {name: hint for name, hint in written if names is None or name in names}
        # A plain object with annotations: of a function, `get_type_hints` would resolve all or nothing.
        return typing.get_type_hints(
            types.SimpleNamespace(__annotations__=wanted),
            globalns=getattr(inner, "__globals__", {}),
            localns={**(localns or {}), **_closure(inner)},
            include_extras=True,
        )
    except NameError as error:
        raise DefinitionError(_unknown_name(function, error)) from error
    except (TypeError, SyntaxError, AttributeError, ValueError, LookupError) as error:
        sentence = f"{_title(function)}: its annotations cannot be read: {describe(error)}"
        raise DefinitionError(sentence) from error


def caller_locals(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the local names that the annotations of *function* mention, as they are now.

    To be called while a decorator runs: the scopes around *function* (class bodies and functions, recognised by their
    qualified names) are on the stack then, at whatever depth. Nothing else in those scopes is kept alive.
    """
    try:
        wanted = _mentioned(_annotations(function).values())
    except NameError:  # Python 3.14 finds local names by itself, but not yet
        return {}
    inner = inspect.unwrap(function)
    found: dict[str, Any] = {}
    frame = inspect.currentframe() if wanted else None
    while frame is not None:
        if _encloses(frame, inner):
            visible = _visible(frame)
            found |= {name: visible[name] for name in wanted - found.keys() if name in visible}
        frame = frame.f_back
    return found


def class_names(cls: type) -> dict[str, Any]:
    """Return the names that annotations inside of *cls* may use: the types in its body, and its own."""
    return {name: value for name, value in vars(cls).items() if _is_type(value)} | {cls.__name__: cls}


def _annotations(function: Callable[..., Any]) -> dict[str, Any]:
    return dict(getattr(function, "__annotations__", {}))


def _closure(function: Callable[..., Any]) -> dict[str, Any]:
    """Return what the free variables hold now: they are cells, so what was defined later is there too."""
    code: types.CodeType | None = getattr(function, "__code__", None)
    cells: Iterable[types.CellType] = getattr(function, "__closure__", None) or ()
    named = zip(code.co_freevars if code is not None else (), cells, strict=False)
    empty = types.CellType()  # only another empty cell equals it
    return {name: cell.cell_contents for name, cell in named if cell != empty}


def _mentioned(annotations: Iterable[Any]) -> set[str]:
    """Return every name in the strings among *annotations*, also in strings inside of types and of strings."""
    names: set[str] = set()
    waiting = list(annotations)
    while waiting:
        annotation = waiting.pop()
        if isinstance(annotation, typing.ForwardRef):
            annotation = annotation.__forward_arg__
        if isinstance(annotation, str):
            nodes = _nodes(annotation)
            names.update(node.id for node in nodes if isinstance(node, ast.Name))
            waiting.extend(node.value for node in nodes if isinstance(node, ast.Constant))
        else:
            is_list = isinstance(annotation, list)  # the parameters of a Callable
            waiting.extend(typing.cast("Iterable[Any]", annotation) if is_list else typing.get_args(annotation))
    return names


def _nodes(expression: str) -> list[ast.AST]:
    try:
        return list(ast.walk(ast.parse(expression.strip(), mode="eval")))
    except (SyntaxError, ValueError):
        return []


def _encloses(frame: types.FrameType, function: Callable[..., Any]) -> bool:
    """Say whether *frame* runs a scope around the definition of *function*."""
    same_module = frame.f_globals is getattr(function, "__globals__", None)
    return same_module and function.__qualname__.startswith(f"{frame.f_code.co_qualname}.")


def _visible(frame: types.FrameType) -> Mapping[str, Any]:
    if frame.f_code.co_flags & inspect.CO_OPTIMIZED:  # a function; a class body is not
        return frame.f_locals
    return {name: value for name, value in frame.f_locals.items() if _is_type(value)}


def _is_type(value: object) -> bool:
    """Say whether an attribute of a class can be meant by an annotation: a method called `list` hides no type."""
    aliases = (typing.TypeVar, typing.NewType, getattr(typing, "TypeAliasType", type))
    return isinstance(value, (type, *aliases)) or typing.get_origin(value) is not None


def _unknown_name(function: Callable[..., Any], error: NameError) -> str:
    name = error.name or str(error)
    return (
        f"{_title(function)}: its annotations name {name!r}, which is not defined where they can see it; define it "
        "above the function or in the module, and import it for real (not only under TYPE_CHECKING)"
    )


def _title(function: Callable[..., Any]) -> str:
    return f"{function.__module__}.{getattr(function, '__qualname__', repr(function))}"
