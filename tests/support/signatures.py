"""Random signatures, with arguments that fit them."""

import base64
import dataclasses
import datetime as dt
import enum
import inspect
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, Optional, TypedDict

import msgspec
from hypothesis import strategies as some
from hypothesis.strategies import DrawFn, SearchStrategy
from msgspec import Meta

__all__ = ["Case", "Kind", "cases", "json_values", "kinds", "plain_kinds", "valid_json"]


class Kind(NamedTuple):
    """A type and values of it."""

    hint: Any
    values: SearchStrategy[Any]


class Case(NamedTuple):
    """A function that records its calls, and arguments it may be called with."""

    function: Callable[..., None]
    calls: list[dict[str, Any]]
    arguments: dict[str, Any]


class Colour(enum.Enum):
    GREEN = "green"
    BLACK = "black"


class Grade(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Leaf(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    grade: Grade = Grade.LOW


class Tree(msgspec.Struct):
    leaf: Leaf
    more: "list[Tree]" = []


class Circle(msgspec.Struct, tag=True):
    radius: int


class Square(msgspec.Struct, tag=True):
    side: float


@dataclasses.dataclass
class Address:
    city: str
    number: int | None = None


class Range(TypedDict):
    low: int
    high: NotRequired[int]


class Point(NamedTuple):
    x: int
    y: float = 0.0


_LETTERS = some.sampled_from('aB0 "\\/\n\x00é\u2028😀')
_TEXT = some.text(_LETTERS, max_size=8)
_INTEGERS = some.integers(-(2**40), 2**40)
_FLOATS = some.floats(allow_nan=False, allow_infinity=False)
_ZONES = some.sampled_from(
    [dt.UTC, dt.timezone(dt.timedelta(hours=5, minutes=30)), dt.timezone(dt.timedelta(hours=-8))]
)
_LEAVES = some.builds(Leaf, _TEXT, some.sampled_from(Grade))
_LEAF_TREES = some.builds(Tree, _LEAVES)

_DEEP = 6

# Types whose schema says all there is to say about them.
_PLAIN = [
    Kind(bool, some.booleans()),
    Kind(int, _INTEGERS),
    Kind(float, _FLOATS),
    Kind(str, _TEXT),
    Kind(None, some.none()),
    Kind(Literal["c", 1], some.sampled_from(["c", 1])),
    Kind(Colour, some.sampled_from(Colour)),
    Kind(Grade, some.sampled_from(Grade)),
    Kind(Annotated[int, Meta(ge=0, lt=100)], some.integers(0, 99)),
    Kind(Annotated[str, Meta(min_length=1, max_length=3)], some.text(_LETTERS, min_size=1, max_size=3)),
    Kind(Annotated[list[int], Meta(max_length=2)], some.lists(_INTEGERS, max_size=2)),
    Kind(Leaf, _LEAVES),
    Kind(Tree, some.builds(Tree, _LEAVES, some.lists(_LEAF_TREES, max_size=2))),
    Kind(Circle | Square, some.builds(Circle, _INTEGERS) | some.builds(Square, _FLOATS)),
    Kind(Address, some.builds(Address, _TEXT, some.none() | _INTEGERS)),
    Kind(Range, some.fixed_dictionaries({"low": _INTEGERS}, optional={"high": _INTEGERS})),
    Kind(Point, some.builds(Point, _INTEGERS, _FLOATS)),
]

# Types of which JSON holds a text, so that the schema can only hint at the rest.
_WRITTEN = [
    Kind(bytes, some.binary(max_size=8)),
    Kind(Decimal, some.decimals(allow_nan=False, allow_infinity=False)),
    Kind(uuid.UUID, some.uuids()),
    Kind(dt.date, some.dates()),
    Kind(dt.timedelta, some.timedeltas(dt.timedelta(days=-999), dt.timedelta(days=999))),
    Kind(dt.datetime, some.datetimes() | some.datetimes(timezones=_ZONES, min_value=dt.datetime(2, 1, 1))),  # noqa: DTZ001 – a bound has no zone
    Kind(Annotated[dt.datetime, Meta(tz=True)], some.datetimes(timezones=_ZONES, min_value=dt.datetime(2, 1, 1))),  # noqa: DTZ001 – a bound has no zone
    Kind(set[int], some.sets(_INTEGERS, max_size=4)),
    Kind(frozenset[str], some.frozensets(_TEXT, max_size=4)),
]

_JSON_LEAVES = some.none() | some.booleans() | _INTEGERS | _FLOATS | _INTEGERS.map(float) | _TEXT
json_values: SearchStrategy[Any] = some.recursive(
    _JSON_LEAVES,
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=8,
)


def _nested(inner: SearchStrategy[Kind]) -> SearchStrategy[Kind]:
    return some.one_of(
        inner.map(lambda kind: Kind(list[kind.hint], some.lists(kind.values, max_size=3))),  # type: ignore[name-defined]
        inner.map(lambda kind: Kind(dict[str, kind.hint], some.dictionaries(_TEXT, kind.values, max_size=3))),  # type: ignore[name-defined]
        inner.map(lambda kind: Kind(tuple[kind.hint, ...], some.lists(kind.values, max_size=3).map(tuple))),  # type: ignore[name-defined]
        inner.map(lambda kind: Kind(tuple[int, kind.hint], some.tuples(_INTEGERS, kind.values))),  # type: ignore[name-defined]
        inner.map(lambda kind: Kind(Optional[kind.hint], some.none() | kind.values)),  # noqa: UP045 – the hint may be None
    )


plain_kinds: SearchStrategy[Kind] = some.recursive(some.sampled_from(_PLAIN), _nested, max_leaves=3)
kinds: SearchStrategy[Kind] = some.recursive(some.sampled_from(_PLAIN + _WRITTEN), _nested, max_leaves=3)

_NAMES = ["a", "b2", "_c", "self", "cls", "type", "name", "items", "größe", "class_", "arguments", "copy", "x" * 70]


@some.composite
def cases(draw: DrawFn, kinds: SearchStrategy[Kind] = kinds) -> Case:
    """Draw a function of up to five parameters, and arguments for the required and some of the others."""
    parameters: list[inspect.Parameter] = []
    annotations: dict[str, Any] = {}
    arguments: dict[str, Any] = {}
    for name in draw(some.lists(some.sampled_from(_NAMES), unique=True, max_size=5)):
        kind = draw(kinds)
        annotations[name] = kind.hint
        is_required = draw(some.booleans())
        default = inspect.Parameter.empty if is_required else draw(kind.values)
        parameters.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default))
        if is_required or draw(some.booleans()):
            arguments[name] = draw(kind.values)
    calls: list[dict[str, Any]] = []

    def function(**given: Any) -> None:
        calls.append(given)

    function.__annotations__ = annotations
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return Case(function, calls, arguments)


def valid_json(schema: Any, definitions: dict[str, Any], depth: int = 0) -> SearchStrategy[Any]:
    """Return values that *schema* describes, of the keywords that action schemas are made of."""
    return some.one_of(*_options(schema, definitions, depth))


def _options(schema: Any, definitions: dict[str, Any], depth: int) -> Iterator[SearchStrategy[Any]]:
    if "$ref" in schema:
        yield valid_json(definitions[schema["$ref"].rpartition("/")[2]], definitions, depth)
    elif "anyOf" in schema:
        yield from (valid_json(option, definitions, depth) for option in schema["anyOf"])
    elif "enum" in schema:
        yield some.sampled_from(schema["enum"])
    else:
        yield _typed(schema, definitions, depth + 1)


def _typed(schema: dict[str, Any], definitions: dict[str, Any], depth: int) -> SearchStrategy[Any]:
    match schema["type"]:
        case "object":
            return _objects(schema, definitions, depth)
        case "array" if "prefixItems" in schema:
            listed = [valid_json(item, definitions, depth) for item in schema["prefixItems"]]
            return some.integers(schema["minItems"], len(listed)).flatmap(lambda n: some.tuples(*listed[:n]).map(list))
        case "array" if depth > _DEEP:
            return some.just([])
        case "array":
            items = valid_json(schema["items"], definitions, depth)
            return some.lists(items, max_size=schema.get("maxItems", 3), unique=schema.get("uniqueItems", False))
        case "string":
            return _strings(schema)
        case name:
            numbers = some.integers(schema.get("minimum", -(2**40)), schema.get("exclusiveMaximum", 2**40) - 1)
            return {
                "null": some.none(),
                "boolean": some.booleans(),
                "integer": numbers | numbers.map(float),
                "number": numbers | _FLOATS,
            }[name]


def _objects(schema: dict[str, Any], definitions: dict[str, Any], depth: int) -> SearchStrategy[Any]:
    required = schema.get("required", ())
    named = {
        name: valid_json(inner, definitions, depth)
        for name, inner in schema.get("properties", {}).items()
        if name in required or depth <= _DEEP
    }
    extra = schema.get("additionalProperties")
    if isinstance(extra, dict):
        return some.dictionaries(_TEXT, valid_json(extra, definitions, depth), max_size=3)
    optional = {name: named.pop(name) for name in list(named) if name not in required}
    return some.fixed_dictionaries(named, optional=optional)


def _strings(schema: dict[str, Any]) -> SearchStrategy[str]:
    if "contentEncoding" in schema:
        return some.binary(max_size=8).map(lambda value: base64.b64encode(value).decode())
    formats: dict[str, SearchStrategy[str]] = {
        "decimal": some.decimals(allow_nan=False, allow_infinity=False).map(str),
        "uuid": some.uuids().map(str),
        "date": some.dates().map(str),
        "date-time": some.datetimes(timezones=_ZONES).map(dt.datetime.isoformat),
        "duration": some.integers(0, 999).map(lambda days: f"P{days}DT1.5S"),
    }
    texts = some.text(_LETTERS, min_size=schema.get("minLength", 0), max_size=schema.get("maxLength", 8))
    return formats.get(schema.get("format", ""), texts)
