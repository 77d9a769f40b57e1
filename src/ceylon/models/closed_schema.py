"""JSON schemas as Anthropic holds a model to them: closed, and of a few words only."""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias, cast

__all__ = ["closed", "is_open"]

_Schema: TypeAlias = Mapping[str, Any]

_FORMATS: Final = frozenset(
    {*("date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid")}
)
_UNDERSTOOD: Final = frozenset({*("$defs", "$ref", "type", "anyOf", "allOf", "enum", "const", "description", "title")})
_OF_OBJECTS: Final = frozenset({"properties", "required", "additionalProperties"})


def closed(schema: _Schema) -> dict[str, Any]:
    """Return *schema* with no object open, and with what is not understood told in the description.

    The rules are those of Anthropic's own client, `anthropic.lib._parse._transform`.
    """
    told = {name: value for name, value in schema.items() if not _is_understood(name, value, schema)}
    result = {name: value for name, value in schema.items() if name not in told}
    if (choices := told.pop("oneOf", None)) is not None:
        result["anyOf"] = choices
    told.pop("discriminator", None)  # the choices say the same
    if "enum" in result or "const" in result:
        result.pop("type", None)
    result = _each_inside(result, closed)
    if result.get("type") == "object":
        result["additionalProperties"] = False
    if told:
        words = ", ".join(f"{name}: {value}" for name, value in told.items())
        result["description"] = "\n\n".join(filter(None, (result.get("description"), f"{{{words}}}")))
    return result


def is_open(schema: _Schema) -> bool:
    """Return whether *schema* has an object with fields of any name, which `closed` would forbid."""
    return schema.get("additionalProperties", False) is not False or any(map(is_open, _inside(schema)))


def _inside(schema: _Schema) -> list[_Schema]:
    """Return the schemas directly inside *schema*."""
    found: list[_Schema] = []
    _each_inside(schema, found.append)
    return found


def _is_understood(name: str, value: Any, schema: _Schema) -> bool:
    kind = schema.get("type")
    if name in _UNDERSTOOD:
        return True
    if kind == "object":
        return name in _OF_OBJECTS
    if kind == "array":
        return name == "items" or (name == "minItems" and value in {0, 1})
    return kind == "string" and name == "format" and value in _FORMATS


def _each_inside(schema: _Schema, change: Callable[[_Schema], Any]) -> dict[str, Any]:
    """Return *schema* with every schema directly inside it changed."""
    result = dict(schema)
    for name in ("$defs", "properties"):
        if isinstance(named := result.get(name), Mapping):
            result[name] = {key: _changed(each, change) for key, each in cast("_Schema", named).items()}
    for name in ("anyOf", "allOf"):
        if isinstance(listed := result.get(name), list):
            result[name] = [_changed(each, change) for each in cast("list[object]", listed)]
    if "items" in result:
        result["items"] = _changed(result["items"], change)
    return result


def _changed(schema: Any, change: Callable[[_Schema], Any]) -> Any:
    return change(cast("_Schema", schema)) if isinstance(schema, Mapping) else schema
