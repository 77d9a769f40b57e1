"""The JSON schema of an action's inputs, read from a signature as `ceylonai-next` reads it."""

import inspect
from collections.abc import Callable
from typing import Any, Final

import msgspec

from ceylon.agents.schema import Parameter, describe_arguments
from ceylon.core.hints import resolve_hints
from ceylon.errors import DefinitionError

__all__ = ["ANY_INPUTS", "schema_of"]

ANY_INPUTS: Final[dict[str, Any]] = {"type": "object", "properties": {}}
"""Of an action that takes its inputs as one dictionary: nobody but the description says what belongs in it."""

_PLAIN: Final = {str: "string", int: "integer", float: "number", bool: "boolean", list: "array", dict: "object"}
_STRING: Final = {"type": "string"}
_NOT_TOLD: Final = frozenset({"self", "context"})
_VARIABLE: Final = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def schema_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the schema of what *function* takes by name.

    Plain types are written as the origin writes them, and a parameter without annotation is a string. What the origin
    calls a string for want of a better word (``list[str]``, ``int | None``, an annotation that is text) is told as it
    is. The context is no input: a model could not give it.
    """
    taken = {name: each for name, each in inspect.signature(function).parameters.items() if _is_told(each)}
    properties = {name: _schema(function, name) for name in taken}
    required = [name for name, each in taken.items() if each.default is inspect.Parameter.empty]
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    return {**schema, "required": required} if required else schema


def _is_told(parameter: inspect.Parameter) -> bool:
    return parameter.name not in _NOT_TOLD and parameter.kind not in _VARIABLE


def _schema(function: Callable[..., Any], name: str) -> dict[str, Any]:
    """Return the schema of one parameter; of a type that has none it is a string, as for the origin."""
    try:
        hint = resolve_hints(function, names=[name]).get(name, str)
        if isinstance(hint, type) and hint in _PLAIN:
            return {"type": _PLAIN[hint]}
        described = describe_arguments(function.__qualname__, [Parameter(name, hint, msgspec.UNSET)]).schema
    except DefinitionError:
        return dict(_STRING)
    told: dict[str, Any] = described["properties"][name]
    return dict(_STRING) if "$defs" in described or not told else told
