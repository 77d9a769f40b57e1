"""The parameters of a function as one msgspec Struct, and the JSON schema of an object that holds them."""

import dataclasses
import datetime as dt
import enum
import types
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, Final, NewType, Union, cast, get_args, get_origin

import msgspec

from ceylon.errors import DefinitionError

__all__ = ["Arguments", "Parameter", "complete_schema", "describe_arguments", "members"]

# What msgspec raises for a type that it cannot handle, or whose own annotations do not resolve.
_UNFIT: Final = (TypeError, ValueError, NameError, AttributeError, RecursionError)

_NOT_JSON: Final = (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError)

# Which keywords of a schema hold schemas.
_SCHEMA: Final = ("items", "additionalProperties", "propertyNames")
_SCHEMAS: Final = ("anyOf", "prefixItems")
_NAMED_SCHEMAS: Final = ("properties", "$defs")

_JSON_TYPES: Final = {str: "string", bool: "boolean", int: "integer", float: "number", types.NoneType: "null"}

# msgspec gives these a format only when they need a time zone, but a model cannot guess what the text looks like.
_FORMATS: Final = {dt.datetime: "date-time", dt.time: "time"}
_COLLECTIONS: Final[tuple[Any, ...]] = (list, set, frozenset, tuple, dict)


class Parameter(msgspec.Struct, frozen=True, dict=True):
    """One parameter of a function; `default` is `UNSET` where a value must be given."""

    name: str
    hint: Any
    default: Any = msgspec.UNSET
    description: str = ""

    @property
    def is_required(self) -> bool:
        """Whether a caller must give a value."""
        return self.default is msgspec.UNSET

    @cached_property
    def classes(self) -> tuple[type, ...]:
        """The users' classes whose instances, also of subclasses, are right as they are."""
        found = (get_origin(member) or member for member in members(self.hint))
        return tuple(cls for cls in found if isinstance(cls, type) and _is_users(cls))


class Arguments(msgspec.Struct, frozen=True):
    """What a function may be called with: as a Struct whose fields are all optional, and as a JSON schema."""

    parameters: Mapping[str, Parameter]
    struct: type[msgspec.Struct]
    schema: dict[str, Any]


def describe_arguments(title: str, parameters: Sequence[Parameter]) -> Arguments:
    """Return the Struct and the JSON schema of *parameters*; *title* names the function in errors.

    Raises:
        DefinitionError: a parameter has a type that msgspec or JSON schema knows nothing of.
    """
    try:
        return _describe(parameters)
    except _UNFIT as error:
        unfit = ", ".join(repr(parameter.name) for parameter in parameters if not _is_fit(parameter))
        sentence = (
            f"{title}: the type of {unfit or 'a parameter'} has no JSON schema: {_reason(error)}; "
            "use plain types, enums, dataclasses or msgspec Structs"
        )
        raise DefinitionError(sentence) from error


def members(hint: Any) -> Iterator[Any]:
    """Yield the types that *hint* allows: those of a union, without metadata and aliases."""
    if get_origin(hint) is Annotated:
        yield from members(get_args(hint)[0])
    elif get_origin(hint) in (Union, types.UnionType):
        for argument in get_args(hint):
            yield from members(argument)
    elif isinstance(hint, NewType):
        yield from members(hint.__supertype__)
    elif hasattr(hint, "__value__"):  # `type Name = …` of Python 3.12
        yield from members(hint.__value__)
    else:
        yield hint


def _is_users(cls: type[Any]) -> bool:
    return issubclass(cls, (msgspec.Struct, enum.Enum)) or dataclasses.is_dataclass(cls)


def _describe(parameters: Sequence[Parameter]) -> Arguments:
    fields = [(parameter.name, _with_format(parameter.hint), msgspec.UNSET) for parameter in parameters]
    struct = msgspec.defstruct("Arguments", fields, kw_only=True)
    msgspec.json.Decoder(struct)  # refuses unions that cannot be told apart; the schema does not
    return Arguments({parameter.name: parameter for parameter in parameters}, struct, _schema(struct, parameters))


def _is_fit(parameter: Parameter) -> bool:
    try:
        _describe([parameter])
    except _UNFIT:
        return False
    return True


def _reason(error: Exception) -> str:
    return str(error).strip().rpartition("\n")[2]


def _schema(struct: type[msgspec.Struct], parameters: Sequence[Parameter]) -> dict[str, Any]:
    """Return the JSON schema of *struct*, with an object at its root: a `$ref` there is refused by model servers."""
    (reference,), definitions = msgspec.json.schema_components([struct], ref_template="#/$defs/{name}")
    root = definitions.pop(reference["$ref"].rpartition("/")[2])
    for parameter in parameters:
        _complete(root["properties"][parameter.name], parameter)
    schema = {
        "type": "object",
        "properties": root["properties"],
        "required": [parameter.name for parameter in parameters if parameter.is_required],
        "additionalProperties": False,
    }
    if definitions:
        schema["$defs"] = definitions
    complete_schema(schema)
    return schema


def _complete(schema: dict[str, Any], parameter: Parameter) -> None:
    """Add the default and the docstring's words; a description in the annotation comes first."""
    is_described = any("description" in option for option in (schema, *schema.get("anyOf", ())))
    if parameter.description and not is_described:
        schema["description"] = parameter.description
    if not parameter.is_required:
        schema |= _default(parameter.default)


def _default(value: Any) -> dict[str, Any]:
    """Return the keyword for a default value, or nothing if JSON cannot hold it (a sentinel, infinity)."""
    try:
        plain = msgspec.json.decode(msgspec.json.encode(value, order="sorted"))
    except _NOT_JSON:
        return {}
    return {} if plain is None and value is not None else {"default": plain}


def complete_schema(schema: dict[str, Any]) -> None:
    """Say the type of every enumeration: msgspec leaves it out, OpenAI's strict mode demands it."""
    values: Sequence[Any] = schema.get("enum", ())
    kinds: set[type[Any]] = {type(value) for value in values}
    if kinds and kinds <= _JSON_TYPES.keys():
        names = sorted(_JSON_TYPES[kind] for kind in kinds)
        schema.setdefault("type", names[0] if len(names) == 1 else names)
    for inner in _inner_schemas(schema):
        complete_schema(inner)


def _inner_schemas(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    listed = [schema.get(keyword) for keyword in _SCHEMA]
    for keyword in _SCHEMAS:
        listed += schema.get(keyword, ())
    for keyword in _NAMED_SCHEMAS:
        listed += schema.get(keyword, {}).values()
    return (cast("dict[str, Any]", inner) for inner in listed if isinstance(inner, dict))


def _with_format(hint: Any) -> Any:
    """Return *hint* with the format of dates and times, where it stands alone, in a union or in a collection."""
    if any(hint is known for known in _FORMATS):  # an alias may have no hash
        return Annotated[hint, msgspec.Meta(extra_json_schema={"format": _FORMATS[hint]})]
    origin, arguments = get_origin(hint), tuple(_with_format(argument) for argument in get_args(hint))
    if origin in (Union, types.UnionType):
        return Union[arguments]  # noqa: UP007 – made at run time
    return origin[arguments] if origin in _COLLECTIONS else hint
