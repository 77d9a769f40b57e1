"""A schema for strict mode says nothing that is not taken there, and takes nothing that the schema itself does not."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ceylon.models.strict_schema import strict_schema
from ceylon.testing.obedient import sample


class Place(msgspec.Struct):
    """Where something is."""

    city: str
    zone: Literal["c", "f"] = "c"


class Report(msgspec.Struct):
    title: str
    count: int = 3
    tags: list[str] = []
    place: Place | None = None
    parts: list["Report"] = []


def schema_of(kind: Any) -> dict[str, Any]:
    """Return the schema of *kind* with an object at its root, as agents make them."""
    (root,), definitions = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    name = root["$ref"].rsplit("/", 1)[1]
    return {**definitions[name], "$defs": definitions}


def objects_in(schema: Any) -> Iterator[Mapping[str, Any]]:
    """Yield every schema of an object inside *schema*."""
    if isinstance(schema, Mapping):
        if schema.get("type") == "object":
            yield schema
        for each in schema.values():
            yield from objects_in(each)
    elif isinstance(schema, list):
        for each in schema:
            yield from objects_in(each)


def assert_strict(schema: dict[str, Any]) -> None:
    """Assert what OpenAI asks of a strict schema."""
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["type"] == "object"
    for each in objects_in(schema):
        assert each["additionalProperties"] is False
        assert each["required"] == list(each["properties"])
    assert not {"default", "oneOf", "allOf", "minimum", "maxLength", "pattern"} & words_in(schema)


def words_in(schema: Any) -> set[str]:
    """Return the keywords of *schema*, the names of properties among them."""
    if isinstance(schema, Mapping):
        return set(schema).union(*map(words_in, schema.values()))
    return set().union(*map(words_in, schema)) if isinstance(schema, list) else set()


def test_all_properties_are_asked_for_and_defaults_are_told() -> None:
    strict = strict_schema(schema_of(Report))

    assert strict is not None
    assert_strict(strict)
    assert strict["required"] == ["title", "count", "tags", "place", "parts"]
    assert strict["properties"]["count"] == {"type": "integer", "description": "default: 3"}
    assert strict["$defs"]["Place"]["properties"]["zone"]["type"] == "string"


def test_a_value_of_the_strict_schema_is_one_of_the_type() -> None:
    strict = strict_schema(schema_of(Report))
    assert strict is not None

    value = sample(strict)

    jsonschema.validate(value, schema_of(Report))
    assert msgspec.convert(value, Report).count == 0


def test_bounds_go_into_the_description() -> None:
    strict = strict_schema(
        {
            "type": "object",
            "properties": {"age": {"type": "integer", "minimum": 0, "maximum": 9, "description": "In years."}},
            "required": ["age"],
        }
    )

    assert strict is not None
    assert strict["properties"]["age"] == {"type": "integer", "description": "In years. (minimum: 0, maximum: 9)"}


def test_a_pointer_with_words_beside_it_is_written_out() -> None:
    definitions = {"Place": schema_of(Place)["$defs"]["Place"]}
    beside = {"$ref": "#/$defs/Place", "description": "Where to."}
    root = {"type": "object", "properties": {"to": beside}, "required": ["to"], "$defs": definitions}

    strict = strict_schema(root)

    assert strict is not None
    assert strict["properties"]["to"]["description"] == "Where to."
    assert strict["properties"]["to"]["properties"]["city"] == {"type": "string"}


def test_pointers_that_go_round_in_a_circle_end() -> None:
    node = {f"p{n}": {"$ref": "#/$defs/Node", "description": "x"} for n in range(8)}
    definitions = {"Node": {"type": "object", "properties": node, "required": list(node)}}

    strict = strict_schema({"$ref": "#/$defs/Node", "$defs": definitions})

    assert strict is not None
    assert len(msgspec.json.encode(strict)) < 50_000


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object"},
        {"type": "object", "properties": {}, "additionalProperties": {"type": "string"}},
        {"type": "object", "properties": {"x": {}}, "required": ["x"]},
        {"type": "object", "properties": {"x": True}, "required": ["x"]},
        {"type": "object", "properties": {"x": {"type": "integer"}}},  # may be left out, and nobody knows for what
        {"type": "object", "properties": {"x": {"type": "array"}}, "required": ["x"]},
        {"type": "object", "properties": {"x": {"type": "array", "prefixItems": [{"type": "string"}]}}},
        {"type": "object", "properties": {"x": {"not": {"type": "string"}}}, "required": ["x"]},
        {"type": "object", "properties": {"x": {"$ref": "#/$defs/Gone"}}, "required": ["x"], "$defs": {}},
        {"type": "object", "properties": {"x": {"allOf": [{"type": "string"}, {}]}}, "required": ["x"]},
        {"type": "object", "properties": {"x": {"enum": [[1]]}}, "required": ["x"]},
        {"anyOf": [{"type": "object", "properties": {}}, {"type": "object", "properties": {}}]},
        {"type": "string"},
        schema_of(msgspec.defstruct("Open", [("more", dict[str, int])])),
        schema_of(msgspec.defstruct("Pair", [("both", tuple[int, str])])),
    ],
)
def test_what_strict_mode_cannot_say_is_not_said_in_it(schema: dict[str, Any]) -> None:
    assert strict_schema(schema) is None


_leaves = st.sampled_from(
    [
        {"type": "string", "maxLength": 4},
        {"type": "integer", "minimum": 2},
        {"type": ["string", "null"]},
        {"enum": ["a", "b"]},
        {"const": 3},
        {"oneOf": [{"type": "boolean"}, {"type": "null"}]},
        {"type": "object", "additionalProperties": {"type": "string"}},
        {"allOf": [{"type": "number", "default": 1.5}]},
    ]
)


@st.composite
def _objects(draw: st.DrawFn, inner: st.SearchStrategy[Any]) -> dict[str, Any]:
    properties = draw(st.dictionaries(st.sampled_from("abcd"), inner, max_size=3))
    required = [name for name in properties if draw(st.booleans())]
    for name in set(properties) - set(required):
        if draw(st.booleans()):
            properties[name] = {**properties[name], "default": None}
    return {"type": "object", "properties": properties, "required": required}


_schemas = _objects(
    st.recursive(
        _leaves, lambda inner: _objects(inner) | inner.map(lambda each: {"type": "array", "items": each}), max_leaves=6
    )
)


@given(_schemas)
def test_any_schema_becomes_a_narrower_one_or_none(schema: dict[str, Any]) -> None:
    strict = strict_schema(schema)

    if strict is not None:
        assert_strict(strict)
        value = sample(strict)
        jsonschema.validate(value, strict)
        unbounded = {"required": [], **schema}
        for error in jsonschema.Draft202012Validator(unbounded).iter_errors(value):
            assert error.validator in {"minimum", "maxLength"}, error.message
