"""Write a JSON schema in the subset that servers with a strict mode take, if it can be said in it.

Every object is closed and all its properties are required; there are no defaults, no bounds, and `anyOf` for `oneOf`.
What the strict schema takes is taken by the one it was made from, bounds apart, which go into the description: a
property that may be left out is asked for all the same, so it must have a default to name, or take `null`.
"""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias, TypeGuard, cast

import msgspec

__all__ = ["strict_schema"]

_Schema: TypeAlias = Mapping[str, Any]

_KEPT: Final = frozenset({"type", "description", "enum", "const", "$ref", "format"})
_BOUNDS: Final = (
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "pattern"),
    *("minLength", "maxLength", "minItems", "maxItems", "uniqueItems"),
)
_READ: Final = frozenset(
    {"properties", "required", "additionalProperties", "items", "anyOf", "oneOf", "allOf", "$defs", "default"}
)
_SILENT: Final = frozenset({"title", "examples", "$schema", "discriminator", "$comment"})
_FORMATS: Final = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"})
_TYPES: Final = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}


class _LooseError(Exception):
    """The schema says something that strict mode cannot."""


def strict_schema(schema: _Schema) -> dict[str, Any] | None:
    """Return *schema* for strict mode, or `None` if it says what cannot be said there (open objects, tuples)."""
    definitions = schema.get("$defs", {})
    writer = _Writer(definitions)
    try:
        root = {name: value for name, value in schema.items() if name != "$defs"}
        root = writer.strict(_target(root["$ref"], definitions) if "$ref" in root else root)
        if root.get("type") != "object":
            return None
        if _mentions(root):
            root["$defs"] = {name: writer.strict(each) for name, each in definitions.items()}
    except _LooseError:
        return None
    return root


class _Writer:
    """Writes one schema's parts; a pointer with words beside it is written out, but not those inside of that."""

    def __init__(self, definitions: _Schema, *, writes_out: bool = True) -> None:
        self._definitions, self._writes_out = definitions, writes_out

    def strict(self, schema: Any) -> dict[str, Any]:
        """Return one level of a schema, and what is below it."""
        schema = _mapping(schema)
        if set(schema) - _KEPT - _READ - _SILENT - set(_BOUNDS):
            raise _LooseError
        if "allOf" in schema:
            return self._only(schema)
        if "$ref" in schema:
            return self._pointer(schema)
        strict = {name: value for name, value in schema.items() if name in _KEPT}
        if strict.get("format") not in _FORMATS:
            strict.pop("format", None)
        _name_type(strict)
        if alternatives := schema.get("anyOf") or schema.get("oneOf"):
            strict["anyOf"] = [self.strict(each) for each in alternatives]
        elif strict.get("type") == "object":
            strict |= self._object(schema)
        elif strict.get("type") == "array":
            strict["items"] = self.strict(schema.get("items"))
        elif "type" not in strict or {"object", "array"} & set(strict["type"]):
            raise _LooseError
        return _with_words(strict, [f"{name}: {_json(schema[name])}" for name in _BOUNDS if name in schema])

    def _only(self, schema: _Schema) -> dict[str, Any]:
        """Return an `allOf` of one, merged with what stands beside it."""
        if len(schema["allOf"]) != 1:
            raise _LooseError
        return self.strict(
            {**_mapping(schema["allOf"][0]), **{name: schema[name] for name in schema if name != "allOf"}}
        )

    def _pointer(self, schema: _Schema) -> dict[str, Any]:
        beside = {name: value for name, value in schema.items() if name in {"description", *_BOUNDS}}
        target = _target(schema["$ref"], self._definitions)
        if not beside or not self._writes_out:
            return {"$ref": schema["$ref"]}
        if "$ref" in target:
            raise _LooseError
        return _Writer(self._definitions, writes_out=False).strict({**target, **beside})

    def _object(self, schema: _Schema) -> dict[str, Any]:
        """Return what makes an object a closed one."""
        properties = schema.get("properties")
        if properties is None or schema.get("additionalProperties", False) is not False:
            raise _LooseError  # an object of whatever one likes
        strict: dict[str, Any] = {}
        for name, each in properties.items():
            strict[name] = self.strict(each)
            if name not in schema.get("required", ()) and not _takes_null(each):
                if "default" not in each:
                    raise _LooseError
                strict[name] = _with_words(strict[name], [f"default: {_json(each['default'])}"])
        return {"properties": strict, "required": list(properties), "additionalProperties": False}


def _target(reference: str, definitions: _Schema) -> _Schema:
    prefix, _, name = reference.rpartition("/")
    if prefix != "#/$defs":
        raise _LooseError
    return _mapping(definitions.get(name))


def _mapping(schema: Any) -> _Schema:
    """Return *schema*, which may also be a boolean: that says nothing about an object."""
    if not isinstance(schema, Mapping):
        raise _LooseError
    return cast("_Schema", schema)


def _takes_null(schema: _Schema) -> bool:
    """Return whether `null` is a value of *schema*, which says what to leave out."""
    kinds = schema.get("type", ())
    if kinds == "null" or (isinstance(kinds, list) and "null" in kinds) or None in schema.get("enum", ()):
        return True
    return any(_takes_null(each) for each in schema.get("anyOf") or schema.get("oneOf") or ())


def _name_type(strict: dict[str, Any]) -> None:
    """Give a choice of values the type that strict mode wants to hear of."""
    if "type" in strict or "$ref" in strict:
        return
    values = list[Any](strict.get("enum") or ([strict["const"]] if "const" in strict else []))
    kinds = sorted({_TYPES.get(value.__class__, "") for value in values})
    if "" in kinds:
        raise _LooseError
    if kinds:
        strict["type"] = kinds[0] if len(kinds) == 1 else kinds


def _with_words(strict: dict[str, Any], words: list[str]) -> dict[str, Any]:
    """Return *strict* with *words* at the end of its description; a pointer has no room for them."""
    if not words or "$ref" in strict:
        return strict
    said = strict.get("description", "")
    return {**strict, "description": f"{said} ({', '.join(words)})" if said else ", ".join(words)}


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _mentions(schema: Any) -> bool:
    """Return whether a pointer is left anywhere in *schema*."""
    if isinstance(schema, Mapping):
        inner = cast("_Schema", schema)
        return "$ref" in inner or any(map(_mentions, inner.values()))
    return _is_list(schema) and any(map(_mentions, schema))


def _is_list(value: Any) -> TypeGuard[list[Any]]:
    return isinstance(value, list)
