"""Refuse options of a pipeline's words that cannot be."""

import math
from typing import Any, TypeAlias

from ceylon.errors import ArgumentError

__all__ = ["On", "check_choice", "check_number", "check_seconds", "check_share", "errors_of"]

On: TypeAlias = type[BaseException] | tuple[type[BaseException], ...]
"""Which errors: one class, or a tuple of them."""


def errors_of(word: str, on: On) -> tuple[type[BaseException], ...]:
    """Return the classes in *on*.

    Raises:
        ArgumentError: something else is there.
    """
    kinds: tuple[Any, ...] = (on,)
    if isinstance(on, tuple):
        kinds = on
    if not kinds or not all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in kinds):
        message = f"{word}(on={on!r}) cannot be; it takes an exception class, or a tuple of them"
        raise ArgumentError(message)
    return kinds


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Refuse a *value* that is none of *choices*.

    Raises:
        ArgumentError: it is none of them.
    """
    if value not in choices:
        message = f"{name}={value!r} cannot be; it is one of {', '.join(map(repr, choices))}"
        raise ArgumentError(message)


def check_number(word: str, name: str, value: object) -> None:
    """Refuse a *value* that is no number of things.

    Raises:
        ArgumentError: it is none.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        message = f"{word}({name}={value!r}) cannot be; it takes a whole number from 1"
        raise ArgumentError(message)


def check_share(word: str, name: str, value: object) -> None:
    """Refuse a *value* that is no share of something: nothing of it to all.

    Raises:
        ArgumentError: it is none.
    """
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
        message = f"{word}({name}={value!r}) cannot be; it takes a number from 0 to 1"
        raise ArgumentError(message)


def check_seconds(word: str, name: str, value: object, *, least: float | None = None) -> None:
    """Refuse a *value* that is no time: a finite number above 0, or from *least*.

    Raises:
        ArgumentError: it is none.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not is_number or (value <= 0 if least is None else value < least):  # type: ignore[operator]
        message = (
            f"{word}({name}={value!r}) cannot be; it takes a finite number {'above 0' if least is None else 'from 0'}"
        )
        raise ArgumentError(message)
