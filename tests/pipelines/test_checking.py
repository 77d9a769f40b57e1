"""What fits is found out when a pipeline is built; only what can never fit is refused."""

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Annotated, Any, Literal, NewType, Protocol, TypeVar

import pytest

from ceylon import Agent, LlmAgent, Message, action, on
from ceylon.errors import DefinitionError, StageTypeError

# Untyped words: type checkers, too, refuse what is refused here.
from ceylon.pipelines.building import branch, each, gather, loop, parallel, pipeline, race, reduce, tap
from ceylon.pipelines.fitting import fits
from ceylon.testing import ScriptedModel


class Order(Message["Receipt"], tag="checking.Order"):
    sku: str


class Receipt(Message, tag="checking.Receipt"):
    total: float


class Shop(Agent):
    @on
    async def order(self, order: Order) -> Receipt:
        return Receipt(1.0)

    @action
    def stock(self, sku: str) -> int:
        """Count."""
        return 1

    @action
    def restock(self, sku: str, packets: int) -> None:
        """Add."""


class Sized(Protocol):
    size: int


Name = NewType("Name", str)
T = TypeVar("T")


def split(text: str) -> list[str]:
    return text.split()


def count(number: int) -> int:
    return number


def shout(text: str) -> str:
    return text


def anything(value):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201 – that is the point
    return value


def letters(text: str) -> Iterator[str]:
    yield from text


async def drain(items: AsyncIterator[int]) -> int:
    return len([item async for item in items])


def buy(sku: str) -> Order:
    return Order(sku)


def total(receipt: Receipt) -> float:
    return receipt.total


def add(one: int, other: int) -> int:
    return one + other


def test_the_error_names_both_places_and_keeps_the_facts() -> None:
    with pytest.raises(StageTypeError) as caught:
        pipeline(split, count)

    error = caught.value
    assert isinstance(error, DefinitionError)
    line, other = split.__code__.co_firstlineno, count.__code__.co_firstlineno
    assert str(error).startswith(
        f"'split' (test_checking.py:{line}) gives list[str], but 'count' (test_checking.py:{other}) takes int"
    )
    assert (error.given, error.taken) == ("list[str]", "int")
    assert "split" in error.giver
    assert "count" in error.taker


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        (Any, int),
        (int, Any),
        (object, int),
        (int, float),
        (bool, int),
        (int | str, int),
        (int | None, int),
        (list[str], Sequence[str]),
        (list, list[int]),
        (list[Any], list[int]),
        (str, Sequence),
        (Exception, ValueError),
        (Name, str),
        (str, Name),
        (Literal["a"], str),
        (Annotated[int, "x"], int),
        (Sized, int),
        (T, int),
        (tuple[int, ...], tuple[int, int]),
    ],
)
def test_what_may_fit_passes(given: Any, taken: Any) -> None:
    assert fits(given, taken)


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        (str, int),
        (float, int),
        (None, int),
        (list[str], int),
        (list[str], list[int]),
        (dict[str, int], dict[str, str]),
        (int | None, str),
        (str, Literal[1]),
        (Order, Receipt),
        (int, Sequence),
        (Name, int),
    ],
)
def test_what_can_never_fit_does_not(given: Any, taken: Any) -> None:
    assert not fits(given, taken)


@pytest.mark.parametrize(
    "build",
    [
        lambda: pipeline(split, each(count)),
        lambda: pipeline(count, each(count)),
        lambda: pipeline(letters, each(count)),
        lambda: pipeline(letters, count),
        lambda: pipeline(letters, drain),
        lambda: pipeline(split, each(shout), gather(), shout),
        lambda: pipeline(count, parallel(count, shout)),
        lambda: pipeline(parallel(a=count), count),
        lambda: pipeline(count, branch(anything, {1: shout})),
        lambda: pipeline(race(shout, shout), count),
        lambda: loop(split, at_most=2),
        lambda: pipeline(count, tap(shout)),
        lambda: pipeline(split, reduce(add, 0)),
        lambda: pipeline(gather(), reduce(add, "")),
        lambda: shout >> Shop("shop"),
        lambda: buy >> Shop("shop") >> buy,
        lambda: pipeline(count, Shop("shop").stock),
        lambda: pipeline(Shop("shop").stock, shout),
        lambda: LlmAgent("tutor", ScriptedModel(["a"]), output=Receipt) >> shout,
        lambda: pipeline(pipeline(split, name="inner"), count),
    ],
)
def test_what_can_never_fit_is_refused_through_every_word(build: Any) -> None:
    with pytest.raises(StageTypeError):
        build()


@pytest.mark.parametrize(
    "build",
    [
        lambda: pipeline(anything, count),
        lambda: pipeline(count, anything, shout),
        lambda: pipeline(split, each(shout), gather(), each(shout)),
        lambda: pipeline(split, each(shout, on_failure="keep"), each(count)),
        lambda: pipeline(count, tap(count), count),
        lambda: pipeline(race(shout, count), count),
        lambda: buy >> Shop("shop") >> total,
        lambda: pipeline(shout, Shop("shop").stock, count),
        lambda: pipeline(anything, Shop("shop").restock),
        lambda: LlmAgent("tutor", ScriptedModel(["a"]), output=Receipt) >> total,
        lambda: pipeline(parallel(count, count), each(count)),
        lambda: pipeline(letters, split.__class__ and each(shout)),
    ],
)
def test_what_may_fit_is_built(build: Any) -> None:
    assert build().describe()


def test_classes_local_to_a_function_are_found() -> None:
    class Local:
        pass

    def make(text: "str") -> "Local":
        return Local()

    def take(number: "int") -> "int":
        return number

    with pytest.raises(StageTypeError, match="gives Local"):
        pipeline(make, take)


def test_an_action_without_a_parameter_takes_no_value() -> None:
    class Bell(Agent):
        @action
        def ring(self) -> None:
            """Ring."""

    with pytest.raises(DefinitionError, match="takes no value"):
        pipeline(shout, Bell("bell").ring)
