"""What can never fit is refused when a pipeline is built, with both places named; what may fit passes."""

import datetime as dt
import enum
import inspect
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, NamedTuple, NewType, Optional, Protocol, TypedDict, TypeVar, Union

import msgspec
import pytest

from ceylon import Agent, Context, DefinitionError, LlmAgent, Message, action, on
from ceylon.errors import StageTypeError
from ceylon.pipelines.building import (  # untyped: type checkers, too, refuse what is refused here
    branch,
    each,
    fallback,
    gather,
    loop,
    parallel,
    pipeline,
    race,
    reduce,
    retry,
    tap,
    timeout,
)
from ceylon.testing import ScriptedModel


def _shown(value: object) -> str:
    """Return what *value* is called in a test's name: without its place in memory, which differs between workers."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))


class Animal:
    """Something."""


class Dog(Animal):
    """Something narrower."""


class Color(enum.Enum):
    """Something closed."""

    RED = 1


class Point(NamedTuple):
    """A tuple with names."""

    x: int
    y: int


class Row(TypedDict):
    """A dict with names."""

    x: int


class Sized(Protocol):
    """Anything that has it."""

    def size(self) -> int: ...


@dataclass
class Story:
    """A class of the user's."""

    text: str


class Order(Message["Receipt"], tag="stage_types.Order"):
    """Ask for tea."""

    sku: str


class Receipt(Message, tag="stage_types.Receipt"):
    """The answer."""

    total: float


T = TypeVar("T")
Number = TypeVar("Number", int, float)
Bound = TypeVar("Bound", bound=Animal)
UserId = NewType("UserId", int)
_NOTHING: Final = object()


def gives(hint: Any) -> Callable[[Any], Any]:
    """Return a stage that says it gives *hint*."""

    def giver(value: Any) -> Any:
        return value

    giver.__annotations__ = {} if hint is _NOTHING else {"return": hint}
    return giver


def takes(hint: Any) -> Callable[[Any], Any]:
    """Return a stage that says it takes *hint*."""

    def taker(value: Any) -> Any:
        return value

    taker.__annotations__ = {} if hint is _NOTHING else {"value": hint}
    return taker


REFUSED: Final[list[tuple[Any, Any]]] = [
    (int, str),
    (str, int),
    (str, float),
    (str, bytes),
    (bytes, str),
    (list[str], int),
    (list[str], str),
    (str, list[str]),
    (dict[str, int], list[int]),
    (list[int], dict[str, int]),
    (list[str], list[int]),
    (dict[str, int], dict[int, int]),
    (dict[str, int], dict[str, str]),
    (set[int], list[int]),
    (tuple[int, int], str),
    (None, int),
    (None, str),
    (int | str, bytes),
    (int, str | bytes),
    (int | float, str | bytes),
    (Optional[int], str),  # noqa: UP045 – the older spelling is meant
    (Union[int, str], list[int]),  # noqa: UP007 – as above
    (Animal, Story),
    (Story, int),
    (Story, Dog),
    (int, Story),
    (Color, int),
    (str, Color),
    (Point, str),
    (Row, str),
    (Row, int),
    (dt.datetime, str),
    (str, dt.date),
    (Literal["a", "b"], int),
    (Literal[1], str),
    (Annotated[int, "small"], str),
    (int, Annotated[str, "short"]),
    (UserId, str),
    (str, UserId),
    (type[int], int),
    (int, Sequence[int]),
    (int, Iterable[int]),
    (float, str),
    (list[list[int]], list[list[str]]),
    (Receipt, Order),
    (Receipt, str),
    (bool, str),
]

PASSES: Final[list[tuple[Any, Any]]] = [
    (int, int),
    (int, float),
    (bool, int),
    (int, Any),
    (Any, int),
    (int, object),
    (object, int),
    (_NOTHING, int),
    (int, _NOTHING),
    (_NOTHING, _NOTHING),
    (Dog, Animal),
    (Animal, Dog),
    (int | str, int),
    (int, int | str),
    (int | str, str | bytes),
    (Optional[int], int),  # noqa: UP045 – the older spelling is meant
    (int, Optional[int]),  # noqa: UP045 – as above
    (None, None),
    (None, int | None),
    (list[int], list[int]),
    (list[int], list),
    (list, list[int]),
    (list[int], list[Any]),
    (list[Any], list[int]),
    (list[int], Sequence[int]),
    (list[int], Iterable[int]),
    (list[int], list[float]),
    (list[Dog], list[Animal]),
    (list[int | str], list[int]),
    (str, Sequence[str]),
    (str, Iterable[str]),
    (dict[str, int], Mapping[str, int]),
    (dict[str, int], dict),
    (dict[str, Any], dict[str, int]),
    (tuple[int, ...], Sequence[int]),
    (Row, dict),
    (Row, Mapping[str, Any]),
    (dict[str, int], Row),
    (Point, tuple),
    (Point, Point),
    (Story, Story),
    (Color, Color),
    (Literal["a"], str),
    (str, Literal["a"]),
    (Literal[1, "a"], int),
    (Annotated[int, "small"], int),
    (int, Annotated[int, "small"]),
    (UserId, int),
    (int, UserId),
    (int, T),
    (T, int),
    (int, Number),
    (Dog, Bound),
    (int, Sized),
    (Story, Sized),
    (Sized, Story),
    (Story, Mapping[str, int]),
    (type[Dog], type[Animal]),
    (dt.datetime, dt.date),
    (Order, Order),
    (Callable[[int], int], Callable[..., Any]),
    (int, Awaitable[int] | int),
    (list[Story], list[Story]),
    (msgspec.UnsetType | int, int),
]


@pytest.mark.parametrize(("given", "taken"), REFUSED, ids=_shown)
def test_what_can_never_fit_is_refused_and_both_places_named(given: Any, taken: Any) -> None:
    giver, taker = gives(given), takes(taken)

    with pytest.raises(StageTypeError) as caught:
        pipeline(giver, taker)

    said = str(caught.value)
    assert isinstance(caught.value, DefinitionError)
    assert isinstance(caught.value, TypeError)
    for function in (giver, taker):
        line = inspect.getsourcelines(function)[1]
        assert f"'{function.__name__}' (test_stage_types.py:{line})" in said
    assert "giver" in str(caught.value.giver)
    assert "taker" in str(caught.value.taker)
    assert caught.value.given is not None
    assert caught.value.taken is not None


@pytest.mark.parametrize(("given", "taken"), PASSES, ids=_shown)
def test_what_may_fit_passes(given: Any, taken: Any) -> None:
    assert len(pipeline(gives(given), takes(taken)).describe()["children"]) == 2


def test_the_sentence_says_who_gives_what_to_whom() -> None:
    def split(text: str) -> list[str]:
        return text.split()

    def write(number: int) -> str:
        return str(number)

    with pytest.raises(StageTypeError) as caught:
        _ = pipeline(split) >> write

    words = (
        r"'split' \(test_stage_types\.py:\d+\) gives list\[str\], but 'write' \(test_stage_types\.py:\d+\) takes int"
    )
    assert re.search(words, str(caught.value))


# -- agents ------------------------------------------------------------------------------------------------------------


class Shop(Agent):
    """Takes orders, and texts."""

    @on
    async def order(self, order: Order) -> Receipt:
        return Receipt(1.0)

    @on
    async def say(self, text: str, context: Context) -> int:
        return len(text)

    @action
    def stock(self, sku: str) -> int:
        """How many are left."""
        return len(sku)


class Anything(Agent):
    """Takes whatever comes."""

    async def on_message(self, message: Any) -> Any:
        return message


async def to_order(text: str) -> Order:
    """Return an order."""
    return Order(text)


async def to_int(value: Any) -> int:
    """Return a number."""
    return 1


async def to_text(value: Any) -> str:
    """Return a text."""
    return "text"


async def to_list(value: Any) -> list[str]:
    """Return a list."""
    return ["text"]


async def from_receipt(receipt: Receipt) -> str:
    """Take a receipt."""
    return "text"


async def from_int(value: int) -> int:
    """Take a number."""
    return value


async def from_text(value: str) -> str:
    """Take a text."""
    return value


async def from_list(value: list[Any]) -> int:
    """Take a list."""
    return 1


async def from_texts(value: list[str]) -> int:
    """Take a list of texts."""
    return 1


async def from_numbers(value: list[int]) -> int:
    """Take a list of numbers."""
    return 1


async def from_dict(value: dict[str, Any]) -> int:
    """Take a dict."""
    return 1


async def numbers(value: Any) -> AsyncIterator[int]:
    """Yield numbers."""
    yield 1


def texts(value: Any) -> Iterator[str]:
    """Yield texts."""
    yield "text"


def is_one(value: int) -> bool:
    """Say whether it is one."""
    return value == 1


def add(one: int, other: int) -> int:
    """Add."""
    return one + other


class Report(msgspec.Struct):
    """What a model is to give."""

    words: int


async def from_report(report: Report) -> int:
    """Take a report."""
    return report.words


def model() -> ScriptedModel:
    """Return a model that says nothing."""
    return ScriptedModel(["hello"])


BUILT: Final[dict[str, tuple[Callable[[], Any], bool]]] = {
    "an order to a shop": (lambda: to_order >> Shop("shop"), True),
    "a number to a shop": (lambda: to_int >> Shop("shop"), False),
    "a receipt from a shop": (lambda: pipeline(to_order) >> Shop("shop") >> from_receipt, True),
    "anything to anything": (lambda: pipeline(to_int) >> Anything("any") >> from_text, True),
    "a text to an action": (lambda: pipeline(to_text) >> Shop("shop").stock, True),
    "a list to an action": (lambda: pipeline(to_list) >> Shop("shop").stock, False),
    "an action's number to a text": (lambda: pipeline(Shop("shop").stock, from_text), False),
    "an action's number to a number": (lambda: pipeline(Shop("shop").stock, from_int), True),
    "a text to a model": (lambda: pipeline(to_text) >> LlmAgent("tutor", model()), True),
    "a number to a model": (lambda: pipeline(to_int) >> LlmAgent("tutor", model()), True),
    "a model's text to a text": (lambda: LlmAgent("tutor", model()) >> from_text, True),
    "a model's text to a number": (lambda: pipeline(to_text, LlmAgent("tutor", model()), from_int), False),
    "a model's output to its type": (lambda: LlmAgent("tutor", model(), output=Report) >> from_report, True),
    "a model's output to a list": (lambda: LlmAgent("tutor", model(), output=Report) >> from_texts, False),
    "parallel to a list": (lambda: parallel(to_int, to_text) >> from_list, True),
    "parallel to a dict": (lambda: parallel(to_int, to_text) >> from_dict, False),
    "parallel to a number": (lambda: parallel(to_int, to_text) >> from_int, False),
    "named parallel to a dict": (lambda: parallel(a=to_int, b=to_text) >> from_dict, True),
    "named parallel to a list": (lambda: parallel(a=to_int, b=to_text) >> from_list, False),
    "a number to parallel branches that take numbers": (lambda: pipeline(to_int) >> parallel(from_int, to_text), True),
    "a text to a parallel branch that takes numbers": (lambda: pipeline(to_text) >> parallel(to_int, from_int), False),
    "a number to each": (lambda: pipeline(to_int) >> each(to_int), False),
    "a list to each": (lambda: pipeline(to_list) >> each(from_text), True),
    "a list of texts to each of numbers": (lambda: pipeline(to_list) >> each(from_int), False),
    "each to a list": (lambda: pipeline(to_list) >> each(to_int) >> from_numbers, True),
    "each of numbers to a list of texts": (lambda: pipeline(to_list) >> each(to_int) >> from_texts, False),
    "each to a number": (lambda: each(to_int) >> from_int, False),
    "each to each": (lambda: each(to_int) >> each(from_int), True),
    "each of texts to each of numbers": (lambda: each(to_text) >> each(from_int), False),
    "a generator of numbers to each of numbers": (lambda: pipeline(numbers) >> each(from_int), True),
    "a generator of texts to each of numbers": (lambda: pipeline(texts) >> each(from_int), False),
    "a generator of numbers to a list of texts": (lambda: pipeline(numbers, from_texts), False),
    "a generator to a list": (lambda: pipeline(numbers, from_list), True),
    "gathered to a number": (lambda: each(to_int) >> gather() >> from_int, False),
    "gathered to a list": (lambda: each(to_int) >> gather() >> from_numbers, True),
    "reduced to a number": (lambda: each(to_int) >> reduce(add, 0) >> from_int, True),
    "reduced to a text": (lambda: each(to_int) >> reduce(add, 0) >> from_text, False),
    "a branch of texts to numbers": (lambda: branch(is_one, {True: to_text, False: to_text}) >> from_int, False),
    "a branch of both to numbers": (lambda: branch(is_one, {True: to_text, False: to_int}) >> from_int, True),
    "a text to a branch that asks a number": (lambda: pipeline(to_text) >> branch(is_one, {True: to_int}), False),
    "a text to a case that takes numbers": (lambda: pipeline(to_text) >> branch(to_int, {1: from_int}), False),
    "a race of texts to numbers": (lambda: race(to_text, to_text) >> from_int, False),
    "a race of both to numbers": (lambda: race(to_text, to_int) >> from_int, True),
    "a loop's number to a text": (lambda: loop(from_int, at_most=2) >> from_text, False),
    "a loop over what it cannot take again": (lambda: loop(pipeline(from_int, to_text), at_most=2), False),
    "a loop over numbers": (lambda: loop(from_int, until=is_one, at_most=2) >> from_int, True),
    "a retried number to a text": (lambda: retry(to_int) >> from_text, False),
    "a text to what is retried with a number": (lambda: pipeline(to_text) >> retry(from_int), False),
    "a number with a timeout to a text": (lambda: timeout(to_int, 1) >> from_text, False),
    "a fallback of texts to numbers": (lambda: fallback(to_text, to_text) >> from_int, False),
    "a fallback of both to numbers": (lambda: fallback(to_text, to_int) >> from_int, True),
    "a tap between two that fit": (lambda: pipeline(to_int) >> tap(from_int) >> from_int, True),
    "a tap between two that do not": (lambda: pipeline(to_int) >> tap(from_int) >> from_text, False),
    "a tap that does not fit": (lambda: pipeline(to_int) >> tap(from_text) >> from_int, False),
    "pipelines that fit": (lambda: pipeline(to_int, from_int, name="a") >> pipeline(from_int, name="b"), True),
    "pipelines that do not": (lambda: pipeline(to_int, from_int, name="a") >> pipeline(from_text, name="b"), False),
    "failures kept as values": (lambda: pipeline(to_list) >> each(to_int, on_failure="keep") >> from_numbers, True),
}


@pytest.mark.parametrize("name", BUILT)
def test_agents_actions_and_combinators_are_checked_too(name: str) -> None:
    build, fits = BUILT[name]

    if fits:
        assert build().describe()["kind"]
    else:
        with pytest.raises(StageTypeError):
            build()


def test_hints_are_resolved_as_those_of_handlers_are() -> None:
    class Local:
        """Known in this function only."""

    def give(value: Any) -> "Local":
        return Local()

    def take(value: "Local") -> int:
        return 1

    def take_number(value: "int") -> int:
        return 1

    assert pipeline(give, take).describe()
    with pytest.raises(StageTypeError):
        pipeline(give, take_number)


def test_a_hint_that_nobody_can_resolve_is_no_reason_to_refuse() -> None:
    def give(value: Any) -> "Nowhere":  # type: ignore[name-defined] # noqa: F821 – that is the point
        return value

    assert pipeline(give, from_int).describe()


NO_STAGES: Final[list[Any]] = [None, 1, "text", [from_int], {"a": from_int}, object(), int | str, ..., b"bytes"]


@pytest.mark.parametrize("stage", NO_STAGES, ids=_shown)
def test_what_is_no_stage_is_refused_and_its_place_named(stage: Any) -> None:
    with pytest.raises(DefinitionError):
        pipeline(from_int, stage)
    with pytest.raises((DefinitionError, TypeError)):
        _ = pipeline(from_int) >> stage
    with pytest.raises(DefinitionError):
        parallel(from_int, stage)
    with pytest.raises(DefinitionError):
        each(stage)


def no_parameter() -> int:
    """Take nothing."""
    return 1


def three_parameters(one: int, two: int, three: int) -> int:
    """Take too much."""
    return 1


def only_keyword(*, value: int) -> int:
    """Take nothing by position."""
    return 1


@pytest.mark.parametrize("function", [no_parameter, three_parameters, only_keyword])
def test_a_function_that_cannot_take_a_value_is_refused(function: Callable[..., Any]) -> None:
    with pytest.raises(DefinitionError):
        pipeline(function)


BAD_OPTIONS: Final[dict[str, Callable[[], Any]]] = {
    "no stages": lambda: pipeline(),  # noqa: PLW0108 – that is the call
    "no branches": lambda: parallel(),  # noqa: PLW0108 – that is the call
    "no runners": lambda: race(),  # noqa: PLW0108 – that is the call
    "no cases": lambda: branch(is_one, {}),
    "no rounds": lambda: loop(from_int, at_most=0),
    "no bound": lambda: loop(from_int, until=is_one),  # type: ignore[call-arg]
    "a policy unknown to all": lambda: parallel(from_int, on_failure="perhaps"),  # type: ignore[arg-type]
    "a limit's policy unknown to all": lambda: loop(from_int, at_most=1, at_limit="perhaps"),  # type: ignore[arg-type]
    "no concurrency": lambda: each(from_int, concurrency=0),
    "half a concurrency": lambda: each(from_int, concurrency=1.5),  # type: ignore[arg-type]
    "no tries": lambda: retry(from_int, times=0),
    "a pause into the past": lambda: retry(from_int, pause=-1),
    "no time": lambda: timeout(from_int, 0),
    "negative time": lambda: timeout(from_int, -1),
    "no number": lambda: timeout(from_int, float("nan")),
    "no error": lambda: retry(from_int, on=int),  # type: ignore[arg-type]
    "an error's name": lambda: fallback(from_int, to_int, on="ValueError"),  # type: ignore[arg-type]
    "both kinds of branches": lambda: parallel(from_int, named=to_int),
    "a strange name": lambda: pipeline(from_int, name="no spaces, please"),
}


@pytest.mark.parametrize("what", BAD_OPTIONS)
def test_options_that_cannot_be_are_refused_when_it_is_built(what: str) -> None:
    with pytest.raises((ValueError, TypeError)):
        BAD_OPTIONS[what]()


def test_two_plain_functions_are_pythons_own_mistake() -> None:
    with pytest.raises(TypeError):
        _ = from_int >> from_int  # type: ignore[operator]
