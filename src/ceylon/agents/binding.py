"""Check arguments against a function's parameters before the function is called."""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, cast

import msgspec

from ceylon.agents.schema import Arguments
from ceylon.errors import ActionArgumentsError

__all__ = ["bind_arguments"]

# msgspec's own, and what comes through it: lists in a set, a date out of range, a list that holds itself.
_INVALID: Final = (msgspec.ValidationError, TypeError, ValueError, ArithmeticError, RecursionError)


def bind_arguments(action: str, takes: Arguments, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return *given* as keyword arguments of the right types.

    Strict: text is never read as a number. What JSON writes as another type is converted (objects to Structs and
    dataclasses, text to dates, lists to sets, 2.0 to 2); an instance of a Struct, dataclass or enum is taken as it is.
    A parameter that is not given is left to the function's own default.

    Raises:
        ActionArgumentsError: a name is missing or unknown, or a value does not fit.
    """
    _check_names(action, takes, given)
    ready = {name: value for name, value in given.items() if isinstance(value, takes.parameters[name].classes)}
    rest = {name: value for name, value in given.items() if name not in ready}
    try:
        return ready | _convert(takes, rest)
    except _INVALID as error:
        raise ActionArgumentsError(action, str(error)) from error


def _convert(takes: Arguments, given: Mapping[str, Any]) -> dict[str, Any]:
    try:
        fields = msgspec.convert(given, takes.struct, strict=True, str_keys=True)
    except msgspec.ValidationError:
        exact = _with_integers(given, takes.schema, takes.schema.get("$defs", {}))
        fields = msgspec.convert(exact, takes.struct, strict=True, str_keys=True)
    return {name: getattr(fields, name) for name in given}


def _check_names(action: str, takes: Arguments, given: object) -> None:
    """Refuse what is no argument list, and name every argument that is missing or unknown."""
    if not isinstance(given, Mapping):
        raise ActionArgumentsError(action, f"Expected `object`, got `{type(given).__name__}`")
    known = takes.parameters
    missing = [repr(name) for name, parameter in known.items() if parameter.is_required and name not in given]
    unknown = [_unknown(str(name), list(known)) for name in cast("Iterable[object]", given) if name not in known]
    reasons = [f"missing {', '.join(missing)}"] if missing else []
    reasons += [f"unknown {', '.join(unknown)}; it takes: {', '.join(known) or 'nothing'}"] if unknown else []
    if reasons:
        raise ActionArgumentsError(action, "; ".join(reasons))


def _unknown(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"{name!r} (did you mean {close[0]!r}?)" if close else repr(name)


def _with_integers(value: Any, schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Any:
    """Return *value* with whole floats as integers where *schema* wants those: in JSON, 2.0 is an integer."""
    options = list(_options(schema, definitions))
    if isinstance(value, float):
        wanted = {name for option in options for name in _type_names(option)}
        return int(value) if value.is_integer() and "integer" in wanted and "number" not in wanted else value
    for option in options:
        if isinstance(value, list):
            items = enumerate(cast("Iterable[Any]", value))
            value = [_with_integers(item, _item(option, position), definitions) for position, item in items]
        elif isinstance(value, dict):
            named = cast("dict[str, Any]", value).items()
            value = {name: _with_integers(item, _property(option, name), definitions) for name, item in named}
    return value


def _options(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the schemas that *schema* stands for, without references and unions."""
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    if "anyOf" not in schema:
        yield schema
    for option in schema.get("anyOf", ()):
        yield from _options(option, definitions)


def _type_names(schema: Mapping[str, Any]) -> Sequence[str]:
    names = schema.get("type", ())
    return [names] if isinstance(names, str) else names


def _item(schema: Mapping[str, Any], position: int) -> Mapping[str, Any]:
    listed = schema.get("prefixItems", ())
    return listed[position] if position < len(listed) else schema.get("items") or {}


def _property(schema: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return schema.get("properties", {}).get(name) or schema.get("additionalProperties") or {}
