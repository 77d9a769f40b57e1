"""Messages are frozen data with a tag of their own."""

import copy
import pickle
import sys
import types
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

import msgspec
import pytest

from ceylon import Agent, Mesh, Message, on
from ceylon.errors import DefinitionError
from ceylon.messages import ActionCall, Outcome, attempt, type_name
from support.core_agents import Echo


class Parcel(Message["Stamp"]):
    sku: str
    quantity: int = 1


class Stamp(Message):
    total: float


class Labelled(Message):
    type: str
    tag: str = "t"
    name: str = "n"


# -- frozen data -------------------------------------------------------------------------------------------------------


def test_fields_are_given_by_place_or_by_name() -> None:
    assert Parcel("assam", 2) == Parcel(sku="assam", quantity=2)
    assert Parcel("assam").quantity == 1


def test_a_field_cannot_be_changed() -> None:
    order: Any = Parcel("assam")

    with pytest.raises(AttributeError, match="immutable"):
        order.quantity = 5


def test_a_message_has_no_other_attributes() -> None:
    with pytest.raises(AttributeError):
        Parcel("assam").colour = "green"  # type: ignore[attr-defined]
    with pytest.raises(TypeError):
        Parcel("assam", colour="green")  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        Parcel()  # type: ignore[call-arg]


def test_messages_of_equal_fields_are_equal_and_hash_alike() -> None:
    assert Parcel("assam") == Parcel("assam") != Parcel("ceylon")
    assert len({Parcel("assam"), Parcel("assam"), Parcel("ceylon")}) == 2
    other: Any = Stamp(1.0)
    assert Parcel("assam") != other


def test_a_message_shows_its_fields() -> None:
    assert repr(Parcel("assam")) == "Parcel(sku='assam', quantity=1)"


def test_a_changed_copy_is_made_by_replacing() -> None:
    order = Parcel("assam")

    assert msgspec.structs.replace(order, quantity=5) == Parcel("assam", 5)
    assert order.quantity == 1


def test_messages_are_copied_and_pickled() -> None:
    order = Parcel("assam", 2)

    assert copy.copy(order) == copy.deepcopy(order) == order
    assert pickle.loads(pickle.dumps(order)) == order  # noqa: S301 – our own bytes


def test_messages_can_be_matched() -> None:
    match Parcel("assam", 2):
        case Parcel(sku, 2):
            assert sku == "assam"
        case _:
            pytest.fail("it did not match")


def test_a_message_may_have_base_messages() -> None:
    class Express(Parcel):
        hours: int = 1

    assert Express("assam", 2, 3).sku == "assam"
    assert isinstance(Express("assam"), Parcel)


def test_a_message_may_be_generic() -> None:
    T = TypeVar("T")

    class Pair(Message["T"], Generic[T]):
        first: T
        second: T

    assert Pair(1, 2).second == 2
    assert Pair[int](1, 2) == Pair(1, 2)


async def test_a_generic_message_finds_its_handler(mesh: Mesh) -> None:
    class Clerk(Agent):
        @on
        async def box(self, box: Box) -> int:  # type: ignore[type-arg]
            return 7

    clerk = mesh.add(Clerk("clerk"))

    assert await clerk.ask(Box(1)) == 7
    assert await clerk.ask(Box[int](1)) == 7


T = TypeVar("T")


class Box(Message[int], Generic[T]):
    content: T


async def test_a_field_may_be_called_type_or_tag(mesh: Mesh) -> None:
    message = Labelled("green", tag="x")

    assert await mesh.add(Echo("echo")).ask(message) == message
    assert msgspec.json.decode(msgspec.json.encode(message), type=Labelled) == message


def test_a_message_goes_to_bytes_with_its_tag_and_back() -> None:
    encoded = msgspec.json.encode(Parcel("assam"))

    assert msgspec.json.decode(encoded) == {"$type": "Parcel", "sku": "assam", "quantity": 1}
    assert msgspec.json.decode(encoded, type=Parcel | Stamp) == Parcel("assam")


# -- tags --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def elsewhere() -> Iterator[types.ModuleType]:
    """Another module, as far as a class made in it can tell."""
    module = types.ModuleType("elsewhere")
    module.__dict__.update(Message=Message)
    sys.modules["elsewhere"] = module
    yield module
    del sys.modules["elsewhere"]


def define(module: types.ModuleType, code: str) -> Any:
    exec(code, module.__dict__)  # noqa: S102 – the only way to make a class in a module that has no file


def test_the_same_tag_in_two_modules_is_refused_and_both_are_named(elsewhere: types.ModuleType) -> None:
    class Tea(Message, tag="tests.tea"):
        sku: str

    with pytest.raises(DefinitionError, match=r"'tests\.tea' is defined in .*test_messages and again in elsewhere"):
        define(elsewhere, "class Tea(Message, tag='tests.tea'):\n    sku: str")


def test_the_same_name_in_two_modules_is_refused_and_a_tag_is_the_way_out(elsewhere: types.ModuleType) -> None:
    with pytest.raises(DefinitionError, match=r'class Parcel\(Message, tag="\.\.\."\)'):
        define(elsewhere, "class Parcel(Message):\n    sku: str")

    define(elsewhere, "class Parcel(Message, tag='elsewhere.order'):\n    sku: str")

    assert elsewhere.__dict__["Parcel"]("assam").sku == "assam"


def test_a_refused_class_leaves_the_first_one_as_it_was(elsewhere: types.ModuleType) -> None:
    for _ in range(2):
        with pytest.raises(DefinitionError):
            define(elsewhere, "class Parcel(Message):\n    sku: str")

    assert Parcel("assam").sku == "assam"


async def test_a_class_defined_again_in_the_same_module_replaces_the_first(
    mesh: Mesh, elsewhere: types.ModuleType
) -> None:
    code = "class Again(Message, tag='tests.again'):\n    sku: str"
    define(elsewhere, code)
    first = elsewhere.__dict__["Again"]
    define(elsewhere, code + "\n    quantity: int = 1")
    second: Any = elsewhere.__dict__["Again"]

    class Clerk(Agent):
        @on
        async def again(self, message: second) -> int:  # pyright: ignore[reportInvalidTypeForm] – made above
            quantity: int = message.quantity
            return quantity

    assert first is not second
    assert await mesh.add(Clerk("clerk")).ask(second("assam")) == 1


def test_classes_local_to_two_functions_do_not_clash() -> None:
    def one() -> type:
        class Cup(Message):
            size: int

        return Cup

    def two() -> type:
        class Cup(Message):
            height: int

        return Cup

    assert one().__struct_config__.tag != two().__struct_config__.tag  # type: ignore[attr-defined]


# -- anything may be a message -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message", [None, 0, "", [], {}, (), b"", object(), Echo, print, ..., 1j], ids=lambda it: type(it).__name__
)
async def test_anything_can_be_sent_and_comes_back_as_it_is(mesh: Mesh, message: Any) -> None:
    assert await mesh.add(Echo("echo")).ask(message) is message


async def test_a_message_travels_by_reference_in_memory(mesh: Mesh) -> None:
    message = {"sku": ["assam"]}

    assert await mesh.add(Echo("echo")).ask(message) is message


async def test_objects_that_cannot_be_hashed_compared_or_shown_can_be_sent(mesh: Mesh) -> None:
    class Odd:
        __hash__ = None  # type: ignore[assignment]

        def __eq__(self, other: object) -> Any:
            raise RuntimeError("never compare me")

        def __bool__(self) -> bool:
            raise RuntimeError("never ask me")

        def __repr__(self) -> str:
            raise RuntimeError("never show me")

    odd = Odd()
    ref = mesh.add(Echo("echo"))

    assert await ref.ask(odd) is odd
    assert (await ref.stream(odd).result())[0] is odd
    await ref.tell(odd)


# -- outcomes ----------------------------------------------------------------------------------------------------------


def test_an_outcome_gives_its_value_or_raises_its_error() -> None:
    assert Outcome(5).get() == 5
    with pytest.raises(ValueError, match="no tea"):
        Outcome(error=ValueError("no tea")).get()


@pytest.mark.parametrize("error", [ValueError(), SystemExit(), KeyboardInterrupt(), GeneratorExit()])
def test_an_attempt_keeps_whatever_is_raised(error: BaseException) -> None:
    def fail() -> None:
        raise error

    assert attempt(fail).error is error
    assert attempt(lambda: 5).value == 5


def test_a_message_is_called_by_its_type_in_errors() -> None:
    assert type_name(Parcel("assam")) == "Parcel"
    assert type_name("tea") == "str"
    assert type_name(ActionCall("stock", {})) == "action 'stock'"
