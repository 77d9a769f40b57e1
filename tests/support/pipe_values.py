"""What flows through pipelines at random: ints, texts, lists and dicts of them, and what stages do with any."""

import functools
from collections.abc import Callable
from typing import Any, Final

__all__ = [
    "BadError",
    "Kept",
    "OtherError",
    "Token",
    "alike",
    "apply",
    "error_of",
    "fold",
    "name_of",
    "plain",
    "root_of",
    "token_of",
    "weight",
]

_MOST: Final = 1_009


class BadError(Exception):
    """A stage fails; it says which one, and not on what, because that may depend on the order."""


class OtherError(Exception):
    """An error of another kind, which policies made for `BadError` let through."""


def error_of(kind: str, number: int) -> Exception:
    """Return the error that the stage of this number fails with."""
    return BadError(number) if kind == "bad" else OtherError(number)


class Kept:
    """A failure in the place of a value, as the plain meaning has it: the name of its error is all there is."""

    def __init__(self, name: str) -> None:
        self.name = name


class Token:
    """A value that counts how often it was tried: what a retry gives its step again and again is one and the same."""

    def __init__(self, value: Any) -> None:
        self.value = value
        self.tries = 0


async def token_of(value: Any) -> Token:
    """Return a new token for *value*."""
    return Token(value)


def weight(value: Any) -> int:
    """Return a number for any value: the same for every order of the same things."""
    match value:
        case bool() | None:
            return 3
        case int():
            return abs(value) % _MOST
        case str():
            return len(value)
        case list() | tuple():
            return (sum(map(weight, value)) + len(value)) % _MOST
        case dict():
            return (sum(map(weight, value.values())) + len(value)) % _MOST
        case _:
            return 7  # a failure that was kept


def apply(effect: str, value: Any) -> Any:
    """Return what a stage of the kind *effect* makes of *value*."""
    return _EFFECTS[effect](value, weight(value))


_EFFECTS: Final[dict[str, Callable[[Any, int], Any]]] = {
    "add": lambda _, heavy: heavy + 1,
    "triple": lambda _, heavy: 3 * heavy % _MOST,
    "text": lambda _, heavy: "w" * (heavy % 7),
    "pair": lambda value, heavy: [value, heavy],
    "named": lambda value, heavy: {"value": value, "weight": heavy},
    "spread": lambda _, heavy: [heavy + each for each in range(heavy % 5)],
    "same": lambda value, _: value,
}


def fold(accumulated: int, item: Any) -> int:
    """Add what *item* weighs: the order makes no difference, how many there are does."""
    return (accumulated + 2 * weight(item) + 1) % _MOST


def plain(value: Any, *, sorts: bool = False) -> Any:
    """Return *value* as data that can be compared; lists lose their order if it *sorts* them."""
    again = functools.partial(plain, sorts=sorts)
    match value:
        case list() | tuple():
            items = [again(each) for each in value]
            return sorted(items, key=repr) if sorts else items
        case dict():
            return {key: again(each) for key, each in value.items()}
        case Kept():
            return ["failed", value.name]
        case int() | str() | None:
            return value
        case _ if hasattr(value, "error"):
            return ["failed", name_of(value.error)]
        case _:
            return f"strange: {value!r}"


def root_of(error: BaseException) -> BaseException:
    """Return what a handler raised, or *error* itself."""
    root = getattr(error, "root", error)
    return root if isinstance(root, BaseException) else error


def name_of(error: BaseException) -> str:
    """Return what a pipeline's error is called in a comparison: its kind, and which stage has raised it."""
    root = root_of(error)
    where = f" of {root.args[0]}" if isinstance(root, BadError | OtherError) else ""
    return f"{type(root).__name__}{where}"


def alike(one: Any, other: Any, *, sorts: bool = False) -> bool:
    """Say whether two values are the same data."""
    return bool(plain(one, sorts=sorts) == plain(other, sorts=sorts))
