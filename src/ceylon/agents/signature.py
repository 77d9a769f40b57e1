"""Read a function's signature as that of an action: everything is passed by name."""

import inspect
from collections.abc import Callable
from typing import Any, Final

import msgspec

from ceylon.errors import DefinitionError

__all__ = ["Signature", "read_signature", "title"]

_CONTEXT: Final = "context"

_BY_POSITION: Final = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_BY_NAME: Final = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class Signature(msgspec.Struct, frozen=True):
    """How a function is called; `parameters` holds those that a caller may name, without `self` and the context."""

    parameters: dict[str, inspect.Parameter]
    is_async: bool
    takes_context: bool


def read_signature(function: Callable[..., Any], *, is_method: bool) -> Signature:
    """Return how *function*, decorated or not, is called.

    Raises:
        DefinitionError: it could never be called by name, or it yields.
    """
    layers = (function, inspect.unwrap(function))
    if any(inspect.isgeneratorfunction(layer) or inspect.isasyncgenfunction(layer) for layer in layers):
        sentence = f"{title(function)} yields, and an action returns one value; make it a handler with @on"
        raise DefinitionError(sentence)
    named = _named(function, is_method=is_method)
    return Signature(
        parameters={name: parameter for name, parameter in named.items() if name != _CONTEXT},
        is_async=any(map(inspect.iscoroutinefunction, layers)),
        takes_context=_CONTEXT in named,
    )


def title(function: Callable[..., Any]) -> str:
    """Return how errors call *function*."""
    return f"{function.__module__}.{function.__qualname__}"


def _named(function: Callable[..., Any], *, is_method: bool) -> dict[str, inspect.Parameter]:
    declared = list(inspect.signature(function).parameters.values())
    if is_method and (not declared or declared[0].kind not in _BY_POSITION):
        sentence = f"{title(function)} is a method and needs `self` as its first parameter"
        raise DefinitionError(sentence)
    named = declared[1:] if is_method else declared
    for parameter in named:
        if parameter.kind not in _BY_NAME:
            sentence = (
                f"{title(function)}: parameter `{parameter}` cannot be passed by name, and an action's arguments are; "
                "use plain or keyword-only parameters"
            )
            raise DefinitionError(sentence)
    return {parameter.name: parameter for parameter in named}
