"""Two types that one and the same value has are never refused: each list here is one value's types."""

import collections
import datetime as dt
import decimal
import enum
import itertools
import os
import pathlib
import typing
import uuid
from collections.abc import (
    Callable,
    Collection,
    Container,
    Generator,
    Hashable,
    Iterable,
    Iterator,
    Mapping,
    MutableMapping,
    MutableSequence,
    MutableSet,
    Sequence,
    Sized,
)
from collections.abc import (
    Set as AbstractSet,
)
from dataclasses import dataclass
from typing import (
    Annotated,
    Any,
    AnyStr,
    Final,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    Optional,
    Protocol,
    TypedDict,
    TypeVar,
    Union,
)

import msgspec
import pytest

from ceylon import Message
from ceylon.errors import StageTypeError
from ceylon.pipelines import each, gather, parallel, pipeline

T = TypeVar("T")
Number = TypeVar("Number", int, float)
UserId = NewType("UserId", int)
Numbers = list[int]


class Animal:
    """Something."""


class Dog(Animal):
    """Something narrower."""

    def size(self) -> int:
        """Return one."""
        return 1


class HasSize(Protocol):
    """Anything that has one."""

    def size(self) -> int: ...


@typing.runtime_checkable
class HasLength(Protocol):
    """Anything that has one, asked at run time."""

    def __len__(self) -> int: ...


class Color(enum.Enum):
    """Some."""

    RED = 1


class Level(enum.IntEnum):
    """Numbers."""

    LOW = 1


class Mood(enum.StrEnum):
    """Texts."""

    GOOD = "good"


class Point(NamedTuple):
    """A tuple."""

    x: int
    y: int


class Row(TypedDict):
    """A dict."""

    x: int


class LooseRow(TypedDict, total=False):
    """A dict that may lack something."""

    x: int


class Stories(list[str]):
    """A list."""


class Name(str):
    """A text."""

    __slots__ = ()


class Box(Generic[T]):
    """A box of something."""


@dataclass
class Story:
    """A user's own."""

    text: str


class Receipt(Message, tag="witnesses.Receipt"):
    """An answer."""

    total: float


class Order(Message["Receipt"], tag="witnesses.Order"):
    """A question."""

    sku: str


def of(container: Any, *arguments: Any) -> Any:
    """Return ``container[arguments]``, where type checkers would rather see types."""
    return container[arguments] if len(arguments) > 1 else container[next(iter(arguments))]


BoundToAnimal = TypeVar("BoundToAnimal", bound=Animal)
ANYTHING: Final[list[Any]] = [Any, object, T, Annotated[Any, "whatever"]]

TYPES: Final[dict[str, list[Any]]] = {
    "1": [int, int | str, Optional[int], Union[int, list[str]], Literal[1], Literal[1, "a"], Hashable,  # noqa: UP007, UP045 – the older spellings are meant
          Annotated[int, "small"], Number, UserId, typing.SupportsInt],
    "True": [bool, int, Literal[True], bool | None, Hashable],
    "'a'": [str, Sequence[str], Iterable[str], Collection[str], Container[str], Sized, Hashable, Literal["a"],
            str | bytes, AnyStr, HasLength, Iterable[Any], Sequence[Any], str | int],
    "b'a'": [bytes, Sequence[int], Iterable[int], bytes | str, Sized, Hashable, AnyStr],
    "[1]": [list[int], list, Sequence[int], MutableSequence[int], Iterable[int], Collection[int], list[int | str],
            list[Any], Sized, Numbers, of(list, T), Sequence[int | None], list[object]],
    "[1, 'a']": [list[int | str], list[object], list[Any], list, Sequence[int | str], Iterable[str | int]],
    "[[1]]": [list[list[int]], list[Sequence[int]], list[Iterable[int]], list[list[Any]], Sequence[list[int]], list],
    "(1, 'a')": [tuple[int, str], tuple, tuple[Any, ...], tuple[int | str, ...], Sequence[int | str], Iterable[object],
                 Hashable, tuple[Any, Any], tuple[int, Any]],
    "Point(1, 2)": [Point, tuple[int, int], tuple[int, ...], Sequence[int], tuple, Iterable[int], Hashable],
    "{'x': 1}": [dict[str, int], dict, Mapping[str, int], MutableMapping[str, int], Row, LooseRow, dict[str, Any],
                 Iterable[str], Collection[str], Sized, Mapping[Any, Any], dict[str, int | None]],
    "{1}": [set[int], AbstractSet[int], MutableSet[int], Iterable[int], Collection[int], set, Sized],
    "frozenset({1})": [frozenset[int], AbstractSet[int], Iterable[int], Collection[int], frozenset, Hashable],
    "None": [None, int | None, str | None, Hashable, list[int] | None, type(None)],
    "Dog()": [Dog, Animal, Animal | None, BoundToAnimal, HasSize, Dog | Story, Hashable],
    "Color.RED": [Color, Literal[Color.RED], Hashable, Color | str, enum.Enum],
    "Level.LOW": [Level, int, Literal[Level.LOW], enum.IntEnum],
    "Mood.GOOD": [Mood, str, Sequence[str], Iterable[str], enum.StrEnum, Hashable],
    "Name('a')": [Name, str, Sequence[str], str | int],
    "Stories(['a'])": [Stories, list[str], Sequence[str], Iterable[str], list, MutableSequence[str]],
    "Dog": [type, type[Dog], type[Animal], type[Any], Callable[..., Any], Callable[[], Dog], Callable[..., Animal]],
    "len": [Callable[..., Any], Callable, Callable[[Any], int], Callable[..., int], Hashable],
    "datetime.now()": [dt.datetime, dt.date, Hashable],
    "Decimal(1)": [decimal.Decimal, decimal.Decimal | int, Hashable, typing.SupportsFloat],
    "uuid4()": [uuid.UUID, uuid.UUID | str, Hashable],
    "Path()": [pathlib.Path, pathlib.PurePath, os.PathLike, os.PathLike[str], pathlib.Path | str, Hashable],
    "Order('a')": [Order, Message, Message[Receipt], Message[Any], msgspec.Struct, Order | Receipt],
    "Story('a')": [Story, Story | str],
    "iter([1])": [Iterator[int], Iterable[int], Iterator[Any]],
    "(n for n in [1])": [Generator[int, None, None], Iterator[int], Iterable[int], Generator[Any, Any, Any]],
    "defaultdict(int, x=1)": [collections.defaultdict[str, int], dict[str, int], Mapping[str, int]],
    "Counter('a')": [collections.Counter[str], dict[str, int], Mapping[str, int]],
    "OrderedDict(x=1)": [collections.OrderedDict[str, int], dict[str, int], Mapping[str, int]],
    "deque([1])": [collections.deque[int], MutableSequence[int], Sequence[int], Iterable[int]],
    "Box()": [Box[int], Box, Box[Any], of(Box, T), Hashable],
    "range(3)": [range, Sequence[int], Iterable[int]],
    "UNSET": [msgspec.UnsetType, int | msgspec.UnsetType],
}  # fmt: skip
"""Values, as one writes them, with types that each of them has."""


def gives(hint: Any) -> Callable[[Any], Any]:
    """Return a stage that says it gives *hint*."""

    def giver(value: Any) -> Any:
        return value

    giver.__annotations__ = {"return": hint}
    return giver


def takes(hint: Any) -> Callable[[Any], Any]:
    """Return a stage that says it takes *hint*."""

    def taker(value: Any) -> Any:
        return value

    taker.__annotations__ = {"value": hint}
    return taker


def refusals(hints: list[Any], build: Callable[[Any, Any], object]) -> list[str]:
    """Return which of all pairs of *hints* cannot be built."""
    found = list[str]()
    for given, taken in itertools.product(hints, repeat=2):
        try:
            build(given, taken)
        except StageTypeError as error:
            found.append(f"{given!r} → {taken!r}: {error}")
    return found


@pytest.mark.parametrize("value", TYPES)
def test_types_of_one_value_fit_each_other(value: str) -> None:
    hints = [*TYPES[value], *ANYTHING]

    assert refusals(hints, lambda given, taken: pipeline(gives(given), takes(taken))) == []


@pytest.mark.slow
@pytest.mark.parametrize("value", TYPES)
def test_so_they_do_inside_lists_and_behind_combinators(value: str) -> None:
    hints = TYPES[value]

    def refused(build: Callable[[Any, Any], object]) -> list[str]:
        return refusals(hints, build)

    assert refused(lambda given, taken: pipeline(gives(of(list, given)), takes(of(list, taken)))) == []
    assert refused(lambda given, taken: pipeline(gives(of(list, given)), each(takes(taken)))) == []
    assert refused(lambda given, taken: pipeline(each(gives(given)), gather(), takes(of(Sequence, taken)))) == []
    assert refused(lambda given, taken: pipeline(parallel(a=gives(given)), takes(of(Mapping, str, taken)))) == []
    assert refused(lambda given, taken: pipeline(gives(of(Optional, given)), takes(taken))) == []


@pytest.mark.parametrize("number", [int, bool, Level, Literal[1], UserId, int | None])
def test_a_whole_number_may_stand_for_any_other(number: Any) -> None:
    for taken in (float, complex, float | None, float | str):
        assert pipeline(gives(number), takes(taken)).describe()
        assert pipeline(gives(of(list, number)), takes(of(Sequence, taken))).describe()
