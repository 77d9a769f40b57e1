import functools
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, TypeVar, assert_type

import msgspec
import pytest

from ceylon.agents.action import Action, action, action_of, actions_of
from ceylon.errors import ActionArgumentsError, CeylonError, DefinitionError

F = TypeVar("F", bound=Callable[..., Any])


class Shop:
    def __init__(self) -> None:
        self.left = 100

    @action
    def stock(self, sku: str, minimum: int = 0) -> int:
        """How many packets of a tea are left.

        Args:
            sku: The tea's number.
        """
        return max(self.left - len(sku), minimum)

    @action(name="sell", description="Sell a tea.")
    async def sell_tea(self, sku: str, context: object, *, quantity: int = 1) -> float:
        self.left -= quantity
        return 2.5 * quantity + len(sku)

    def count(self) -> int:
        return self.left


class Stall(Shop):
    def stock(self, sku: str, minimum: int = 0, shelf: str = "top") -> int:  # no decorator: still an action
        return len(sku) + len(shelf) + minimum

    @action
    def close(self) -> None:
        """Close the stall."""


@action
def add(a: int, b: int = 1) -> int:
    """Add two numbers."""
    return a + b


def made(function: Callable[..., Any]) -> Action:
    found = action_of(action(function))
    assert found is not None
    return found


def test_a_decorated_function_is_the_function_itself() -> None:
    def plain(a: int) -> int:
        return a

    assert action(plain) is plain
    assert action(name="other")(plain) is plain
    assert add(1) == 2


def test_a_decorated_method_is_called_as_before() -> None:
    assert Shop().stock("assam") == 95


def test_type_checkers_see_the_original_signatures() -> None:
    assert_type(add(1, b=2), int)
    assert_type(Shop().stock("assam"), int)
    assert inspect.iscoroutinefunction(Shop().sell_tea)
    with pytest.raises(TypeError):
        add("1")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Shop().stock()  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        Shop().sell_tea("assam", None, packets=2)  # type: ignore[call-arg, unused-coroutine]


def test_the_action_of_a_function_knows_how_it_is_called() -> None:
    known = made(add)

    assert (known.name, known.description, known.function) == ("add", "Add two numbers.", add)
    assert (known.is_async, known.is_method, known.takes_context) == (False, False, False)
    assert known.returns is int
    assert repr(known) == f"<Action 'add' {__name__}.add>"


def test_the_action_of_a_method_knows_how_it_is_called() -> None:
    sell = actions_of(Shop)["sell"]

    assert (sell.name, sell.description) == ("sell", "Sell a tea.")
    assert (sell.is_async, sell.is_method, sell.takes_context) == (True, True, True)
    assert list(sell.schema["properties"]) == ["sku", "quantity"]


def test_an_undecorated_function_is_no_action() -> None:
    assert action_of(Shop.count) is None
    assert action_of(3) is None


def test_an_empty_description_can_be_stated() -> None:
    @action(description="")
    def documented() -> None:
        """Do nothing."""

    known = action_of(documented)

    assert known is not None
    assert known.description == ""


def test_an_action_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        made(add).name = "subtract"  # type: ignore[misc]


def test_the_schema_is_made_once() -> None:
    known = made(add)

    assert known.schema is known.schema


def test_bound_arguments_are_ready_for_the_call() -> None:
    shop, stock = Shop(), actions_of(Shop)["stock"]

    assert stock.function(shop, **stock.bind({"sku": "assam"})) == 95


def test_a_function_in_a_function_of_a_class_is_no_method() -> None:
    class Maker:
        def make(self) -> Action:
            def inner(a: int) -> int:
                return a

            return made(inner)

    assert not Maker().make().is_method


def test_unannotated_parameters_take_anything() -> None:
    def loose(a, b=1):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        return a, b

    known, shop = made(loose), Shop()

    assert known.schema["properties"] == {"a": {}, "b": {"default": 1}}
    assert known.bind({"a": shop}) == {"a": shop}
    assert known.returns is Any


def test_classes_defined_after_the_action_are_found() -> None:
    class Till:
        @action
        def pay(self, coin: "Coin") -> "Till":
            return self

        class Coin(msgspec.Struct):
            cents: int

    pay = actions_of(Till)["pay"]

    assert pay.bind({"coin": {"cents": 5}}) == {"coin": Till.Coin(5)}
    assert pay.returns is Till


def test_a_name_that_cannot_be_resolved_is_an_error_at_first_use() -> None:
    def pay(coin: "Penny") -> None: ...  # type: ignore[name-defined]  # noqa: F821 – the point of the test

    known = made(pay)

    with pytest.raises(DefinitionError, match="'Penny'"):
        known.bind({"coin": 1})


def test_the_types_of_context_and_result_need_not_resolve() -> None:
    def pay(cents: int, context: "Context") -> "Receipt": ...  # type: ignore[name-defined]  # noqa: F821 – the point

    known = made(pay)

    assert known.bind({"cents": 1}) == {"cents": 1}
    with pytest.raises(DefinitionError, match="'Receipt'"):
        known.returns  # noqa: B018 – reading it is the act


# -- what can be no action ---------------------------------------------------------------------------------------------


def positional(a: int, /) -> None: ...
def variable(*values: int) -> None: ...
def options(**values: int) -> None: ...
def generator() -> Iterator[int]:
    yield 1


async def stream() -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (positional, r"test_actions.positional: parameter `a: int` cannot be passed by name"),
        (variable, r"parameter `\*values: int` cannot be passed by name"),
        (options, r"parameter `\*\*values: int` cannot be passed by name"),
        (generator, "generator yields"),
        (stream, "stream yields"),
        (lambda: None, "'<lambda>' cannot name an action"),
        (print, "not for <built-in function print>"),
        (Shop, "not for <class"),
        (functools.partial(add, 1), "not for functools.partial"),
        (staticmethod(add), "not for <staticmethod"),
    ],
)
def test_what_cannot_be_called_by_name_is_refused_by_the_decorator(function: Callable[..., Any], reason: str) -> None:
    with pytest.raises(DefinitionError, match=reason) as caught:
        action(function)

    assert isinstance(caught.value, (CeylonError, TypeError))


def test_a_method_without_self_is_refused() -> None:
    with pytest.raises(DefinitionError, match=r"Lost\.find is a method and needs `self`"):

        class Lost:
            @action
            def find() -> None: ...  # type: ignore[misc]


def test_a_method_may_take_self_by_position_only() -> None:
    class Strict:
        @action
        def find(self, /, sku: str) -> str:
            return sku

    assert actions_of(Strict)["find"].bind({"sku": "assam"}) == {"sku": "assam"}


@pytest.mark.parametrize("name", ["", "two words", "dot.ted", "größe", "x" * 65])
def test_a_name_that_models_would_refuse_is_refused(name: str) -> None:
    with pytest.raises(DefinitionError, match="cannot name an action; pass `name=`"):
        action(name=name)(lambda: None)


# -- the actions of a class --------------------------------------------------------------------------------------------


def test_actions_come_in_the_order_of_definition_bases_first() -> None:
    assert list(actions_of(Stall)) == ["stock", "sell", "close"]


def test_a_class_without_actions_has_none() -> None:
    assert actions_of(object) == {}


def test_an_override_without_decorator_stays_the_action() -> None:
    stock = actions_of(Stall)["stock"]

    assert stock.function is Stall.stock
    assert stock.description == "How many packets of a tea are left."
    assert list(stock.schema["properties"]) == ["sku", "minimum", "shelf"]
    assert stock.schema["properties"]["sku"]["description"] == "The tea's number."
    assert actions_of(Shop)["stock"].function is Shop.stock


def test_an_override_may_change_async_and_context_and_docstring() -> None:
    class Slow(Shop):
        async def stock(self, sku: str, minimum: int = 0, context: object = None) -> int:  # type: ignore[override]
            """Count slowly."""
            return minimum

    stock = actions_of(Slow)["stock"]

    assert (stock.is_async, stock.takes_context, stock.description) == (True, True, "Count slowly.")


def test_an_override_with_a_decorator_may_rename() -> None:
    class Renamed(Shop):
        @action(name="left")
        def stock(self, sku: str, minimum: int = 0) -> int:
            return minimum

    assert list(actions_of(Renamed)) == ["left", "sell"]


def test_an_override_that_cannot_be_called_by_name_is_refused() -> None:
    class Odd(Shop):
        def stock(self, *sku: str) -> int:  # type: ignore[override]
            return len(sku)

    with pytest.raises(DefinitionError, match=r"Odd\.stock: parameter `\*sku: str`"):
        actions_of(Odd)


def test_an_action_set_to_none_is_taken_away() -> None:
    class Quiet(Shop):
        stock = None  # type: ignore[assignment]

    class Loud(Quiet):
        @action
        def stock(self) -> int:  # type: ignore[override]
            return 3

    assert list(actions_of(Quiet)) == ["sell"]
    assert list(actions_of(Loud)) == ["sell", "stock"]


def test_the_nearest_class_wins_in_a_diamond() -> None:
    class Left(Shop):
        def stock(self, sku: str, minimum: int = 0) -> int:
            return 1

    class Right(Shop):
        def stock(self, sku: str, minimum: int = 0) -> int:
            return 2

    class Both(Left, Right): ...

    assert actions_of(Both)["stock"].function is Left.stock


def test_two_actions_of_one_name_are_an_error_naming_both() -> None:
    class Twice(Shop):
        @action(name="stock")
        def other(self) -> int:
            return 1

    with pytest.raises(DefinitionError, match=r"Shop\.stock and .*Twice\.other are both actions called 'stock'"):
        actions_of(Twice)


@pytest.mark.parametrize("kind", [staticmethod, classmethod])
def test_static_and_class_methods_are_no_actions(kind: type) -> None:
    def where(cls: object) -> str:
        return "here"

    odd = type("Odd", (), {"where": kind(action(where))})

    with pytest.raises(DefinitionError, match=r"Odd\.where: an action is a plain method"):
        actions_of(odd)


def test_a_function_put_into_a_class_is_a_method_there() -> None:
    def greet(self: object, name: str) -> str:
        return name

    greeter = type("Greeter", (), {"greet": action(greet)})

    greeting = actions_of(greeter)["greet"]

    assert greeting.is_method
    assert greeting.bind({"name": "Ann"}) == {"name": "Ann"}


def test_a_decorator_above_the_action_is_called_too() -> None:
    calls: list[str] = []

    def traced(function: F) -> F:
        @functools.wraps(function)
        def call(*arguments: Any, **options: Any) -> Any:
            calls.append(function.__name__)
            return function(*arguments, **options)

        return call  # type: ignore[return-value]

    class Traced:
        @traced
        @action
        async def look(self, sku: str) -> str:
            return sku

        @action
        @traced
        def peek(self, sku: str) -> str:
            return sku

    look, peek = actions_of(Traced).values()

    assert look.is_async
    assert not peek.is_async
    assert peek.function(Traced(), **peek.bind({"sku": "x"})) == "x"
    look.function(Traced(), **look.bind({"sku": "x"})).close()
    assert calls == ["peek", "look"]
    with pytest.raises(ActionArgumentsError, match=r"\$\.sku"):
        look.bind({"sku": 1})
