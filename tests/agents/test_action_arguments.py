import datetime as dt
import enum
import json
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, Generic, NewType, TypeVar

import msgspec
import pytest
from hypothesis import find, given
from hypothesis import strategies as some
from jsonschema import Draft202012Validator
from msgspec import Meta

from ceylon.agents.action import Action, action, action_of
from ceylon.errors import ActionArgumentsError
from support.signatures import Case, cases, json_values, plain_kinds, valid_json

T = TypeVar("T")


class Order(msgspec.Struct, frozen=True):
    sku: str
    quantity: int = 1


class BigOrder(Order, frozen=True):
    pallet: int = 1


class Sealed(msgspec.Struct, Generic[T]):
    value: T


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


@dataclass
class Address:
    city: str


@dataclass
class Abroad(Address):
    country: str = "PT"


make_type: Any = NewType  # mypy 2.4 crashes on a NewType of a Struct
Ordered = make_type("Ordered", Order)
make_alias = getattr(typing, "TypeAliasType", make_type)  # before Python 3.12 there is none to test
Alias = make_alias("Alias", Order)


def made(function: Callable[..., Any]) -> Action:
    found = action_of(action(function))
    assert found is not None
    return found


def bound(hint: Any, value: Any) -> Any:
    """Return *value* as a parameter of this type receives it."""

    def function(value: Any) -> None: ...

    function.__annotations__["value"] = hint
    return made(function).bind({"value": value})["value"]


def sell(sku: str, quantity: int = 1, orders: list[Order] | None = None) -> None: ...


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"sku": "x", "quantity": "2"}, "Expected `int`, got `str` - at `$.quantity`"),
        ({"sku": "x", "quantity": 2.5}, "Expected `int`, got `float` - at `$.quantity`"),
        ({"sku": "x", "quantity": True}, "Expected `int`, got `bool` - at `$.quantity`"),
        ({"sku": None}, "Expected `str`, got `null` - at `$.sku`"),
        (
            {"sku": "x", "orders": [{"sku": "y"}, {"sku": 1}]},
            "Expected `str`, got `int` - at `$.orders[1].sku`",
        ),
        (
            {"sku": "x", "orders": [{}]},
            "Object missing required field `sku` - at `$.orders[0]`",
        ),
        ({}, "missing 'sku'"),
        (
            {"skuu": "x", "colour": 1},
            "missing 'sku'; unknown 'skuu' (did you mean 'sku'?), 'colour'; it takes: sku, quantity, orders",
        ),
        ({"sku": "x", 1: 2}, "unknown '1'; it takes: sku, quantity, orders"),
        ([], "Expected `object`, got `list`"),
        (None, "Expected `object`, got `NoneType`"),
    ],
)
def test_the_error_says_what_is_wrong_and_where(arguments: Any, reason: str) -> None:
    with pytest.raises(ActionArgumentsError) as caught:
        made(sell).bind(arguments)

    assert caught.value.reason == reason
    assert caught.value.action == "sell"


def test_every_missing_argument_is_named() -> None:
    def move(a: int, b: int, c: int = 0) -> None: ...

    with pytest.raises(ActionArgumentsError, match=r"missing 'a', 'b'$"):
        made(move).bind({})


def test_the_context_cannot_be_an_argument() -> None:
    def move(context: Any) -> None: ...

    with pytest.raises(ActionArgumentsError, match="unknown 'context'; it takes: nothing"):
        made(move).bind({"context": 1})


def test_constraints_are_checked() -> None:
    assert bound(Annotated[int, Meta(ge=1)], 1) == 1
    with pytest.raises(ActionArgumentsError, match=r"Expected `int` >= 1 - at `\$\.value`"):
        bound(Annotated[int, Meta(ge=1)], 0)
    with pytest.raises(ActionArgumentsError, match=r"timezone component - at `\$\.value`"):
        bound(Annotated[dt.datetime, Meta(tz=True)], dt.datetime(2024, 1, 1))  # noqa: DTZ001 – the point of the test


def test_what_is_not_given_is_left_to_the_function() -> None:
    assert made(sell).bind({"sku": "x"}) == {"sku": "x"}


def test_any_mapping_is_taken_and_none_is_changed() -> None:
    given_arguments = MappingProxyType({"sku": "x", "orders": [{"sku": "y"}]})

    assert made(sell).bind(given_arguments) == {"sku": "x", "orders": [Order("y")]}
    assert given_arguments["orders"] == [{"sku": "y"}]


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (Order, Order("x")),
        (Order, BigOrder("x")),
        (Order | None, BigOrder("x")),
        (Ordered, BigOrder("x")),
        (Alias, BigOrder("x")),
        (Annotated[Order, Meta(description="What.")], BigOrder("x")),
        (Sealed[int], Sealed(1)),
        (Address, Abroad("Porto")),
        (Rights, Rights.READ | Rights.WRITE),
        (Any, object()),
        (object, object()),
    ],
)
def test_instances_are_taken_as_they_are(hint: Any, value: Any) -> None:
    assert bound(hint, value) is value


@pytest.mark.parametrize(
    ("hint", "value"),
    [(list[Order], [Order("x")]), (dict[str, Rights], {"a": Rights.READ.value}), (Order | int, 3), (Order, Order("x"))],
)
def test_instances_inside_of_collections_fit_too(hint: Any, value: Any) -> None:
    assert bound(hint, value) is not None


@pytest.mark.parametrize(("hint", "value"), [(Order, Address("x")), (Address, Order("x")), (BigOrder, Order("x"))])
def test_instances_of_another_class_are_refused(hint: Any, value: Any) -> None:
    with pytest.raises(ActionArgumentsError, match=r"Expected `object`, got `\w+` - at `\$\.value`"):
        bound(hint, value)


@pytest.mark.parametrize(
    ("hint", "value", "expected"),
    [
        (int, 2.0, 2),
        (int | None, 2.0, 2),
        (list[int], [1.0, 2], [1, 2]),
        (dict[str, int], {"a": 1.0}, {"a": 1}),
        (Order, {"sku": "x", "quantity": 2.0}, Order("x", 2)),
        (tuple[str, int], ["x", 2.0], ("x", 2)),
    ],
)
def test_whole_floats_are_integers_as_in_json(hint: Any, value: Any, expected: Any) -> None:
    assert_same(bound(hint, value), expected)


def test_a_float_stays_one_where_both_are_allowed() -> None:
    assert_same(bound(list[int | float | None], [2.0, 2]), [2.0, 2])


def test_keys_that_are_no_texts_are_read_from_json() -> None:
    assert bound(dict[int, str], {"1": "a", 2: "b"}) == {1: "a", 2: "b"}


def endless() -> list[Any]:
    loop: list[Any] = []
    loop.append(loop)
    return loop


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (set[Any], [[1]]),
        (int, float("inf")),
        (list[int], endless()),
        (dt.date, "2024-02-30"),
        (bytes, "not base64!"),
    ],
)
def test_every_failure_of_a_conversion_is_a_bad_argument(hint: Any, value: Any) -> None:
    with pytest.raises(ActionArgumentsError):
        bound(hint, value)


# -- any signature, any arguments --------------------------------------------------------------------------------------


def call(case: Case, known: Action, arguments: Mapping[str, Any]) -> None:
    """Do what a mesh does."""
    case.function(**known.bind(arguments))


def as_json(value: Any) -> Any:
    return json.loads(json.dumps(msgspec.to_builtins(value)))


def assert_same(left: Any, right: Any) -> None:
    """Assert that both are equal, of the same types all the way down."""
    assert type(left) is type(right)
    assert left == right
    match left:
        case list() | tuple():
            for one, other in zip(left, right, strict=True):
                assert_same(one, other)
        case dict():
            for name in left:
                assert_same(left[name], right[name])
        case msgspec.Struct():
            assert_same(msgspec.structs.asdict(left), msgspec.structs.asdict(right))
        case _:
            assert repr(left) == repr(right) or isinstance(left, (set, frozenset, dt.datetime))


@given(cases())
def test_any_signature_has_a_valid_schema(case: Case) -> None:
    Draft202012Validator.check_schema(made(case.function).schema)


@given(cases())
def test_values_of_the_right_types_arrive_as_they_are(case: Case) -> None:
    call(case, made(case.function), case.arguments)

    assert_same(case.calls, [case.arguments])


@given(cases())
def test_values_survive_json_with_their_types(case: Case) -> None:
    known = made(case.function)
    written = as_json(case.arguments)

    call(case, known, written)

    assert Draft202012Validator(known.schema).is_valid(written)
    assert_same(case.calls, [case.arguments])


@given(some.data(), cases())
def test_whatever_the_schema_describes_is_accepted(data: some.DataObject, case: Case) -> None:
    known = made(case.function)
    arguments = data.draw(valid_json(known.schema, known.schema.get("$defs", {})))

    assert Draft202012Validator(known.schema).is_valid(arguments)
    call(case, known, arguments)

    assert len(case.calls) == 1


@some.composite
def disturbed(draw: some.DrawFn) -> tuple[Case, Any]:
    """Draw a function, and arguments for it of which some are anything that JSON can say."""
    case = draw(cases(plain_kinds))
    arguments = as_json(case.arguments)
    for name in draw(some.lists(some.sampled_from([*made(case.function).schema["properties"], "nothing"]))):
        arguments[name] = draw(json_values)
    return case, arguments


def fits(case: Case, arguments: Any) -> bool:
    return Draft202012Validator(made(case.function).schema).is_valid(arguments)


@given(disturbed())
def test_what_the_schema_does_not_describe_never_reaches_the_function(drawn: tuple[Case, Any]) -> None:
    case, arguments = drawn

    if fits(case, arguments):
        call(case, made(case.function), arguments)
        assert len(case.calls) == 1
    else:
        with pytest.raises(ActionArgumentsError):
            call(case, made(case.function), arguments)
        assert case.calls == []


def test_the_fuzz_would_find_a_binding_that_is_not_strict() -> None:
    def lax_accepts_what_does_not_fit(drawn: tuple[Case, Any]) -> bool:
        case, arguments = drawn
        loose = msgspec.defstruct("Loose", list(case.function.__annotations__.items()), kw_only=True)
        try:
            msgspec.convert(arguments, loose, strict=False)
        except msgspec.ValidationError:
            return False
        return not fits(case, arguments)

    case, arguments = find(disturbed(), lax_accepts_what_does_not_fit)

    assert not fits(case, arguments)
