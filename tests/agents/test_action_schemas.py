import datetime as dt
import enum
import math
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple, NewType, NotRequired, Optional, TypedDict, TypeVar, Union

import msgspec
import pytest
from jsonschema import Draft202012Validator
from msgspec import Meta

from ceylon.agents.action import Action, action, action_of
from ceylon.errors import DefinitionError

Number = TypeVar("Number")
Sku = NewType("Sku", str)
Percent = Annotated[int, Meta(ge=0, le=100, description="From 0 to 100.")]


class Colour(enum.Enum):
    """What colour it is."""

    GREEN = "green"
    BLACK = "black"


class Grade(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Mixed(enum.Enum):
    WORD = "word"
    NUMBER = 1


class Tea(msgspec.Struct):
    """A kind of tea."""

    name: str
    colour: Colour = Colour.BLACK
    blend: "list[Tea]" = []


class Loose(msgspec.Struct, tag=True):
    grams: int


class Packed(msgspec.Struct, tag=True):
    bags: int


class Box(msgspec.Struct, frozen=True):
    value: int


@dataclass
class Address:
    city: str
    postcode: str | None = None


class Range(TypedDict):
    low: int
    high: NotRequired[int]


class Point(NamedTuple):
    x: int
    y: int = 0


def made(function: Callable[..., Any]) -> Action:
    found = action_of(action(function))
    assert found is not None
    Draft202012Validator.check_schema(found.schema)
    return found


def schema_of(hint: Any) -> dict[str, Any]:
    """Return the schema of one parameter of this type."""

    def function(value: Any) -> None: ...

    function.__annotations__["value"] = hint
    schema: dict[str, Any] = made(function).schema["properties"]["value"]
    return schema


def test_the_root_is_an_object_that_takes_nothing_else() -> None:
    def sell(sku: str, quantity: int = 1) -> None: ...

    assert made(sell).schema == {
        "type": "object",
        "properties": {"sku": {"type": "string"}, "quantity": {"type": "integer", "default": 1}},
        "required": ["sku"],
        "additionalProperties": False,
    }


def test_no_parameters_make_an_empty_object() -> None:
    def close() -> None: ...

    assert made(close).schema == {"type": "object", "properties": {}, "required": [], "additionalProperties": False}


@pytest.mark.parametrize(
    ("hint", "schema"),
    [
        (Any, {}),
        (object, {}),
        (None, {"type": "null"}),
        (bool, {"type": "boolean"}),
        (float, {"type": "number"}),
        (bytes, {"type": "string", "contentEncoding": "base64"}),
        (Decimal, {"type": "string", "format": "decimal"}),
        (uuid.UUID, {"type": "string", "format": "uuid"}),
        (dt.datetime, {"type": "string", "format": "date-time"}),
        (dt.date, {"type": "string", "format": "date"}),
        (dt.time, {"type": "string", "format": "time"}),
        (dt.timedelta, {"type": "string", "format": "duration"}),
        (list[dt.datetime], {"type": "array", "items": {"type": "string", "format": "date-time"}}),
        (Annotated[dt.datetime, Meta(tz=False)], {"type": "string"}),
        (Sku, {"type": "string"}),
        (Number, {}),
        (list, {"type": "array"}),
        (list[int], {"type": "array", "items": {"type": "integer"}}),
        (set[int], {"type": "array", "items": {"type": "integer"}, "uniqueItems": True}),
        (tuple[int, ...], {"type": "array", "items": {"type": "integer"}}),
        (dict[str, float], {"type": "object", "additionalProperties": {"type": "number"}}),
        (int | None, {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
        (Optional[int], {"anyOf": [{"type": "integer"}, {"type": "null"}]}),  # noqa: UP045 – the old spelling works
        (Union[int, str], {"anyOf": [{"type": "integer"}, {"type": "string"}]}),  # noqa: UP007 – the old spelling works
        (dt.datetime | None, {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]}),
        (Literal["c", "f"], {"enum": ["c", "f"], "type": "string"}),
        (Literal[1, 2], {"enum": [1, 2], "type": "integer"}),
        (Literal["c", 1], {"enum": [1, "c"], "type": ["integer", "string"]}),
        (list[Literal["c"]], {"type": "array", "items": {"enum": ["c"], "type": "string"}}),
        (Annotated[int, Meta(ge=1, le=9)], {"type": "integer", "minimum": 1, "maximum": 9}),
        (Annotated[str, Meta(pattern="^x")], {"type": "string", "pattern": "^x"}),
        (Annotated[int, Meta(extra_json_schema={"examples": [1]})], {"type": "integer", "examples": [1]}),
        (Annotated[float, Meta(extra_json_schema={"enum": [0.5]})], {"type": "number", "enum": [0.5]}),
        (Annotated[Any, Meta(extra_json_schema={"enum": [0.5, 1]})], {"enum": [0.5, 1], "type": ["integer", "number"]}),
        (Annotated[Any, Meta(extra_json_schema={"enum": [[1]]})], {"enum": [[1]]}),
        (Annotated[list[int], {"a": 1}], {"type": "array", "items": {"type": "integer"}}),
        (Percent, {"type": "integer", "minimum": 0, "maximum": 100, "description": "From 0 to 100."}),
    ],
)
def test_types_have_the_schema_of_their_json(hint: Any, schema: dict[str, Any]) -> None:
    assert schema_of(hint) == schema


def test_nested_types_are_definitions() -> None:
    def brew(tea: Tea, to: Address, within: Range, at: Point, grade: Grade) -> None: ...

    schema = made(brew).schema

    assert schema["properties"]["tea"] == {"$ref": "#/$defs/Tea"}
    assert list(schema["$defs"]) == ["Tea", "Colour", "Address", "Range", "Point", "Grade"]
    assert schema["$defs"]["Tea"]["description"] == "A kind of tea."
    assert schema["$defs"]["Colour"]["type"] == "string"
    assert schema["$defs"]["Grade"]["type"] == "integer"


def test_the_tags_of_a_union_have_a_type() -> None:
    def weigh(what: Loose | Packed) -> None: ...

    tags = [definition["properties"]["type"] for definition in made(weigh).schema["$defs"].values()]

    assert tags == [{"enum": ["Loose"], "type": "string"}, {"enum": ["Packed"], "type": "string"}]


def test_a_property_called_like_a_keyword_is_not_taken_for_one() -> None:
    def odd(enum: list[int], properties: Literal["a"], items: int = 0) -> None: ...

    assert made(odd).schema["properties"] == {
        "enum": {"type": "array", "items": {"type": "integer"}},
        "properties": {"enum": ["a"], "type": "string"},
        "items": {"type": "integer", "default": 0},
    }


# -- defaults ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hint", "default", "plain"),
    [
        (list[int], [1, 2], [1, 2]),
        (set[str], {"b", "a"}, ["a", "b"]),
        (Colour, Colour.GREEN, "green"),
        (Tea, Tea("assam"), {"name": "assam", "colour": "black", "blend": []}),
        (dt.date, dt.date(2024, 2, 29), "2024-02-29"),
        (bytes, b"x", "eA=="),
        (int | None, None, None),
    ],
)
def test_defaults_are_written_as_json(hint: Any, default: Any, plain: Any) -> None:
    def function(value: Any = default) -> None: ...

    function.__annotations__["value"] = hint
    schema = made(function).schema

    assert schema["properties"]["value"]["default"] == plain
    assert schema["required"] == []


@pytest.mark.parametrize("default", [object(), math.inf, math.nan, "\ud800", msgspec.NODEFAULT])
def test_a_default_that_json_cannot_hold_is_left_out(default: Any) -> None:
    def function(value: Any = default) -> None: ...

    assert made(function).schema["properties"]["value"] == {}
    assert made(function).bind({}) == {}


def test_none_as_a_default_makes_the_parameter_optional() -> None:
    def search(limit: int = None, sort: Literal["up", None] = None) -> None: ...  # type: ignore[assignment]  # noqa: PYI061, RUF013 – often written

    assert made(search).schema["properties"]["limit"] == {
        "anyOf": [{"type": "integer"}, {"type": "null"}],
        "default": None,
    }
    assert made(search).bind({"limit": None, "sort": None}) == {"limit": None, "sort": None}


# -- descriptions ------------------------------------------------------------------------------------------------------


def test_descriptions_come_from_the_docstring_unless_the_annotation_has_one() -> None:
    def brew(tea: Tea, strength: Percent, cup: Percent | None = None, minutes: int = 3) -> None:
        """Brew a pot.

        Args:
            tea: Which tea.
            strength: Not this.
            cup: Nor this.
            minutes: How long.
            context: Not shown.
        """

    brewing = made(brew)
    properties = brewing.schema["properties"]

    assert brewing.description == "Brew a pot."
    assert properties["tea"] == {"$ref": "#/$defs/Tea", "description": "Which tea."}
    assert properties["strength"]["description"] == "From 0 to 100."
    assert properties["cup"]["anyOf"][0]["description"] == "From 0 to 100."
    assert "description" not in properties["cup"]
    assert properties["minutes"] == {"type": "integer", "default": 3, "description": "How long."}


# -- what has no schema ------------------------------------------------------------------------------------------------


class Arbitrary: ...


class Unresolved(msgspec.Struct):
    tea: "Nowhere"  # type: ignore[name-defined]  # noqa: F821 – the point of the test


@pytest.mark.parametrize(
    "hint",
    [
        Callable[[int], int],
        Arbitrary,
        list[Arbitrary],
        complex,
        type[int],
        Iterable[int],
        Mixed,
        str | dt.date,
        Tea | Box,
        Unresolved,
        Annotated[str, Meta(ge=1)],
        3,
    ],
)
def test_a_type_without_a_schema_names_function_and_parameter(hint: Any) -> None:
    def function(good: int, bad: Any) -> None: ...

    function.__annotations__["bad"] = hint
    found = action_of(action(function))

    assert found is not None
    with pytest.raises(DefinitionError, match=r"<locals>\.function: the type of 'bad' has no JSON schema: .*; use"):
        found.schema  # noqa: B018 – reading it is the act
    with pytest.raises(DefinitionError):
        found.bind({"good": 1, "bad": None})
