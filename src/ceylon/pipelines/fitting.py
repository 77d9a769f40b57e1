"""May a value of one type be one of another? Only what can never be is a no."""

import inspect
import re
import types
import typing
from collections.abc import AsyncIterable, Iterable
from typing import Any, Final, TypeVar, get_args, get_origin

import msgspec

__all__ = ["NO_ITEMS", "dict_of", "fits", "item_of", "list_of", "show", "union_of"]

NO_ITEMS: Final = object()
"""What `item_of` returns for a type without items."""

_NUMBERS: Final = {int: (float, complex), float: (complex,)}  # what type checkers let pass
_PATH: Final = re.compile(r"\b(?:\w+\.|<locals>\.)+(?=\w)")


def fits(given: Any, taken: Any) -> bool:
    """Say whether a value annotated *given* may be one annotated *taken*."""
    return any(_one_fits(one, other) for one in _members(given) for other in _members(taken))


def item_of(hint: Any) -> Any:
    """Return the type of the items of *hint*, `Any` if nobody knows, `NO_ITEMS` if it can have none."""
    items = [_item(member) for member in _members(hint)]
    some = [item for item in items if item is not NO_ITEMS]
    return union_of(some) if some else NO_ITEMS


def union_of(hints: Iterable[Any]) -> Any:
    """Return a type for whatever is of one of *hints*."""
    known = list(dict.fromkeys(_hashable(hint) for hint in hints))
    return Any if not known or Any in known else typing.Union[tuple(known)]  # noqa: UP007 – made at run time


def list_of(item: Any) -> Any:
    """Return the type of a list of *item*."""
    return list if item is Any else list[item]


def dict_of(item: Any) -> Any:
    """Return the type of a dict of *item* by name."""
    return dict if item is Any else dict.__class_getitem__((str, item))


def show(hint: Any) -> str:
    """Return *hint* as one would write it."""
    if hint is type(None):
        return "None"
    if isinstance(hint, type) and get_origin(hint) is None:
        return hint.__name__
    return _PATH.sub("", repr(hint)).replace("NoneType", "None")


def _hashable(hint: Any) -> Any:
    try:
        hash(hint)
    except TypeError:
        return Any
    return hint


def _members(hint: Any) -> list[Any]:
    """Return the types of which *hint* may be any one, plain: no aliases, no `Annotated`, no literals."""
    while True:
        origin = get_origin(hint)
        if origin is typing.Annotated:
            hint = get_args(hint)[0]
        elif hasattr(hint, "__supertype__"):
            hint = hint.__supertype__
        elif hasattr(hint, "__value__"):  # an alias made by `type`
            hint = hint.__value__
        else:
            break
    if origin is typing.Union or origin is types.UnionType:
        return [member for each in get_args(hint) for member in _members(each)]
    if origin is typing.Literal:
        return list({type(value) for value in get_args(hint)})
    return [type(None) if hint is None else hint]


def _one_fits(given: Any, taken: Any) -> bool:
    one, other = _class_of(given), _class_of(taken)
    if one is None or other is None:
        return True
    if not _classes_fit(one, other):
        return False
    return one is not other or _arguments_fit(get_args(given), get_args(taken))


def _class_of(hint: Any) -> type | None:
    """Return the class of *hint*; `None` if it may be anything."""
    found = get_origin(hint) or hint
    if (
        isinstance(hint, TypeVar) or not isinstance(found, type) or found in {Any, object}
    ):  # `Any` is a class from 3.11 on
        return None
    if getattr(found, "_is_protocol", False) and found.__module__ != "collections.abc":
        return None
    return dict if typing.is_typeddict(found) else found


def _classes_fit(one: type, other: type) -> bool:
    try:
        if issubclass(one, other) or issubclass(other, one):
            return True
    except TypeError:  # a class that will not be asked
        return True
    if any(other in _NUMBERS.get(each, ()) for each in one.__mro__):
        return True
    # A class further down may be both, if one of the two is abstract.
    return (inspect.isabstract(one) and not _is_built_in(other)) or (
        inspect.isabstract(other) and not _is_built_in(one)
    )


def _is_built_in(cls: type) -> bool:
    return cls.__module__ == "builtins"


def _arguments_fit(given: tuple[Any, ...], taken: tuple[Any, ...]) -> bool:
    if not given or len(given) != len(taken):
        return True
    return all(fits(one, other) for one, other in zip(given, taken, strict=True) if _is_type(one) and _is_type(other))


def _is_type(argument: Any) -> bool:
    """Say whether an argument of a generic is a type: those of a `Callable` are a list, or dots."""
    return argument is not Ellipsis and not isinstance(argument, list)


def _item(hint: Any) -> Any:
    cls: Any = _class_of(hint)
    arguments = get_args(hint)
    if cls is None:
        return Any
    if cls in {str, bytes}:
        return str if cls is str else int
    if issubclass(cls, tuple) and arguments:
        return union_of(each for each in arguments if each is not Ellipsis)
    if issubclass(cls, (Iterable, AsyncIterable)):
        return arguments[0] if arguments else Any
    has_none = _is_built_in(cls) or issubclass(cls, msgspec.Struct)
    return NO_ITEMS if has_none and not hasattr(cls, "__getitem__") else Any
