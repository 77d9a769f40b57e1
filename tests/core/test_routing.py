"""Which handler takes which message."""

from collections.abc import Iterator
from typing import Annotated, Any

import pytest

from ceylon import (
    Agent,
    BlockingContext,
    CeylonError,
    Context,
    Mesh,
    Message,
    UnhandledMessageError,
    on,
)
from ceylon.errors import DefinitionError
from ceylon.settings import DEFAULTS
from support.core_agents import Echo, until


class Tea:
    """Not a message of ours; anything may be sent."""


class Green(Tea): ...


class Sencha(Green): ...


class Basket(Message[Any]):
    sku: str


class FastBasket(Basket):
    hours: int = 1


class Bill(Message):
    total: float


class Taster(Agent):
    @on
    async def tea(self, tea: Tea) -> str:
        return "tea"

    @on
    async def green(self, tea: Green) -> str:
        return "green"


async def test_the_handler_of_the_most_specific_type_is_taken(mesh: Mesh) -> None:
    taster = mesh.add(Taster("taster"))

    assert await taster.ask(Tea()) == "tea"
    assert await taster.ask(Green()) == "green"
    assert await taster.ask(Sencha()) == "green"


async def test_messages_are_found_by_their_bases_too(mesh: Mesh) -> None:
    class Shop(Agent):
        @on
        async def order(self, order: Basket) -> Bill:
            return Bill(2.5)

    shop = mesh.add(Shop("shop"))

    assert await shop.ask(Basket("assam")) == Bill(2.5)
    assert await shop.ask(FastBasket("assam")) == Bill(2.5)


async def test_of_two_bases_the_first_in_the_order_of_resolution_is_taken(mesh: Mesh) -> None:
    class Hot: ...

    class HotTea(Hot, Tea): ...

    class Cook(Agent):
        @on
        async def tea(self, tea: Tea) -> str:
            return "tea"

        @on
        async def hot(self, hot: Hot) -> str:
            return "hot"

    cook = mesh.add(Cook("cook"))

    assert await cook.ask(HotTea()) == "hot"


async def test_a_union_is_one_handler_for_each_of_its_types(mesh: Mesh) -> None:
    class Clerk(Agent):
        @on
        async def paper(self, paper: Basket | Bill | None) -> str:
            return type(paper).__name__

    clerk = mesh.add(Clerk("clerk"))

    assert await clerk.ask(Basket("assam")) == "Basket"
    assert await clerk.ask(Bill(1.0)) == "Bill"
    assert await clerk.ask(None) == "NoneType"


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (5, "int"),
        (True, "int"),  # a bool is an int
        (2.5, "float"),
        ("tea", "str"),
        (b"tea", "bytes"),
        (["tea"], "list"),
        ({"tea": 1}, "dict"),
        ((1, 2), "tuple"),
        (ValueError("no tea"), "Exception"),
        (Tea, "type"),
    ],
)
async def test_builtins_are_types_as_any_other(mesh: Mesh, message: Any, expected: str) -> None:
    class Clerk(Agent):
        @on
        async def take_int(self, message: int) -> str:
            return "int"

        @on
        async def take_float(self, message: float) -> str:
            return "float"

        @on
        async def take_text(self, message: str) -> str:
            return "str"

        @on
        async def take_bytes(self, message: bytes) -> str:
            return "bytes"

        @on
        async def take_many(self, message: list | dict | tuple) -> str:  # type: ignore[type-arg]
            return type(message).__name__

        @on
        async def take_error(self, message: Exception) -> str:
            return "Exception"

        @on
        async def take_class(self, message: type) -> str:
            return "type"

    clerk = mesh.add(Clerk("clerk"))

    assert await clerk.ask(message) == expected


@pytest.mark.parametrize("everything", [object, Any])
async def test_object_and_any_take_what_no_other_does(mesh: Mesh, everything: Any) -> None:
    class Clerk(Agent):
        @on
        async def rest(self, message: everything) -> str:  # pyright: ignore[reportInvalidTypeForm] – a parameter
            return "rest"

        @on
        async def text(self, message: str) -> str:
            return "text"

    clerk = mesh.add(Clerk("clerk"))

    assert await clerk.ask("tea") == "text"
    assert await clerk.ask(5) == "rest"


async def test_on_message_takes_what_no_marked_method_does(mesh: Mesh) -> None:
    class Clerk(Agent):
        @on
        async def text(self, message: str) -> str:
            return "text"

        async def on_message(self, message: Any, context: Context | None = None) -> str:
            return f"rest, context {'given' if context else 'missing'}"

    clerk = mesh.add(Clerk("clerk"))

    assert await clerk.ask("tea") == "text"
    assert await clerk.ask(5) == "rest, context given"


async def test_metadata_of_an_annotation_does_not_matter(mesh: Mesh) -> None:
    class Clerk(Agent):
        @on
        async def number(self, message: Annotated[int, "how many"]) -> str:
            return "number"

    clerk = mesh.add(Clerk("clerk"))

    assert await clerk.ask(5) == "number"


async def test_classes_local_to_a_function_are_found(mesh: Mesh) -> None:
    class Cup: ...

    class Cupboard(Agent):
        @on
        async def put(self, cup: "Cup") -> str:
            return "put"

    cupboard = mesh.add(Cupboard("cupboard"))

    assert await cupboard.ask(Cup()) == "put"


async def test_a_class_defined_after_the_agent_is_found_when_the_agent_is_added(mesh: Mesh) -> None:
    class Cupboard(Agent):
        @on
        async def put(self, saucer: "Saucer") -> str:
            return "put"

    cupboard = mesh.add(Cupboard("cupboard"))

    assert await cupboard.ask(Saucer()) == "put"


class Saucer: ...


async def test_messages_nested_in_the_agents_class_are_found(mesh: Mesh) -> None:
    class Till(Agent):
        class Pay(Message):
            amount: float

        @on
        async def pay(self, pay: "Pay") -> float:
            return pay.amount

    till = mesh.add(Till("till"))

    assert await till.ask(Till.Pay(2.5)) == 2.5


async def test_an_agent_may_take_agents_of_its_own_class(mesh: Mesh) -> None:
    class Friend(Agent):
        @on
        async def meet(self, other: "Friend") -> str:
            return other.name

    friend = mesh.add(Friend("ann"))

    assert await friend.ask(Friend("bob")) == "bob"


# -- inheritance -------------------------------------------------------------------------------------------------------


class Base(Agent):
    @on
    async def number(self, message: int) -> str:
        return "base"

    @on(topic="news.*")
    async def news(self, message: str) -> str:
        return "base"


async def test_marked_methods_are_inherited(mesh: Mesh) -> None:
    class Derived(Base): ...

    derived = mesh.add(Derived("derived"))

    assert await derived.ask(5) == "base"


async def test_an_override_keeps_the_mark_of_its_base(mesh: Mesh) -> None:
    class Derived(Base):
        async def number(self, message: int) -> str:
            return f"derived, {await super().number(message)}"

    derived = mesh.add(Derived("derived"))

    assert await derived.ask(5) == "derived, base"


async def test_an_override_keeps_the_topic_of_its_base(mesh: Mesh) -> None:
    class Derived(Base):
        def __init__(self, name: str) -> None:
            super().__init__(name)
            self.heard: list[str] = []

        async def news(self, message: str) -> str:
            self.heard.append(message)
            return "derived"

    derived = Derived("derived")
    mesh.add(derived)

    assert await mesh.publish("news.tea", "cheap") == 1
    await until(lambda: derived.heard == ["cheap"])


async def test_a_base_does_not_get_what_its_subclass_marks(mesh: Mesh) -> None:
    class Derived(Base):
        @on
        async def text(self, message: str) -> str:
            return "derived"

    base, derived = mesh.add(Base("base")), mesh.add(Derived("derived"))

    assert await derived.ask("tea") == "derived"
    with pytest.raises(UnhandledMessageError):
        await base.ask("tea")


async def test_handlers_of_a_mixin_are_handlers(mesh: Mesh) -> None:
    class Counting:
        @on
        async def count(self, message: list) -> int:  # type: ignore[type-arg]
            return len(message)

    class Clerk(Counting, Agent): ...

    clerk = mesh.add(Clerk("clerk"))

    assert await clerk.ask([1, 2, 3]) == 3


async def test_a_subclass_may_take_a_type_of_its_base_with_another_method(mesh: Mesh) -> None:
    with pytest.raises(DefinitionError, match="both take int"):

        class Derived(Base):
            @on
            async def another(self, message: int) -> str:
                return "derived"


# -- mistakes are found when the class is made -------------------------------------------------------------------------


def test_a_handler_without_annotation_is_refused_with_the_way_out() -> None:
    with pytest.raises(DefinitionError, match=r"Clerk\.take .*'message' has no annotation.*on_message"):

        class Clerk(Agent):
            @on
            def take(self, message): ...  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 – the point of the test


def test_two_handlers_for_one_type_are_refused_and_both_named() -> None:
    with pytest.raises(DefinitionError, match=r"Clerk\.first and Clerk\.second both take str"):

        class Clerk(Agent):
            @on
            def first(self, message: str) -> None: ...

            @on
            def second(self, message: int | str) -> None: ...


@pytest.mark.parametrize("hint", [5, list[int], "tea", Iterator[int]])
def test_an_annotation_that_is_no_class_is_refused(hint: Any) -> None:
    with pytest.raises(DefinitionError):

        class Clerk(Agent):
            @on
            def take(self, message: hint) -> None: ...  # pyright: ignore[reportInvalidTypeForm] – a parameter

        Clerk.__ceylon_behaviour__.read(final=True)


def test_a_name_that_is_never_defined_is_refused_when_the_agent_is_added() -> None:
    class Clerk(Agent):
        @on
        def take(self, message: "Oolong") -> None: ...  # type: ignore[name-defined]  # noqa: F821 – the point of the test

    with pytest.raises(DefinitionError, match="'Oolong'"):
        Mesh("test").add(Clerk("clerk"))


def test_a_handler_without_a_message_is_refused() -> None:
    with pytest.raises(DefinitionError, match=r"write \(self, message\) or \(self, message, context\)"):

        class Clerk(Agent):
            @on
            def take(self) -> None: ...


def test_a_handler_that_needs_more_than_message_and_context_is_refused() -> None:
    with pytest.raises(DefinitionError, match=r"write \(self, message\) or \(self, message, context\)"):

        class Clerk(Agent):
            @on
            def take(self, message: int, context: BlockingContext, more: int) -> None: ...


def test_a_handler_that_needs_a_keyword_is_refused() -> None:
    with pytest.raises(DefinitionError):

        class Clerk(Agent):
            @on
            def take(self, message: int, *, more: int) -> None: ...


def test_an_on_message_without_a_message_is_refused() -> None:
    with pytest.raises(DefinitionError):

        class Clerk(Agent):
            def on_message(self) -> None: ...


@pytest.mark.parametrize("wrong", [Echo, staticmethod(len), 5])
def test_only_functions_can_be_marked(wrong: Any) -> None:
    with pytest.raises(DefinitionError, match="@on is for methods"):
        on(wrong)


def test_a_definition_error_is_an_error_of_ours_and_a_type_error() -> None:
    assert issubclass(DefinitionError, CeylonError)
    assert issubclass(DefinitionError, TypeError)


# -- nobody takes it ---------------------------------------------------------------------------------------------------


async def test_an_unhandled_message_names_what_the_agent_takes(mesh: Mesh) -> None:
    taster = mesh.add(Taster("taster"))

    with pytest.raises(UnhandledMessageError, match="'taster' has no handler for int; it takes: Green, Tea") as caught:
        await taster.ask(5)

    assert (caught.value.address, caught.value.message_type) == ("taster", "int")
    assert caught.value.handled == ("Green", "Tea")
    assert mesh.statistics().agents["taster"].dead_lettered == 1


async def test_an_unhandled_tell_becomes_a_dead_letter(mesh: Mesh) -> None:
    taster = mesh.add(Taster("taster"))

    await taster.tell(5)
    await mesh.drain()

    assert [(letter.envelope.message, letter.reason) for letter in mesh.dead_letters()] == [(5, "unhandled")]


async def test_more_types_than_an_agent_remembers_are_still_routed(mesh: Mesh) -> None:
    taster = mesh.add(Taster("taster"))
    many = [type(f"Tea{number}", (Green,), {}) for number in range(DEFAULTS.handler_types + 10)]

    answers = [await taster.ask(kind()) for kind in many]

    assert set(answers) == {"green"}
