"""What programs give us, looked at before it goes any further: their annotations promise nothing."""

import json
from typing import Any

from ceylon.errors import ArgumentError, DefinitionError

__all__ = ["as_json", "is_a", "text_in", "whole"]


def as_json(value: Any) -> Any:
    """Return *value* as JSON gives it back.

    Raises:
        TypeError: JSON cannot hold it.
    """
    return json.loads(json.dumps(value))


def is_a(kind: type, value: object) -> bool:
    """Say whether *value* is of *kind*, whatever the annotations promise."""
    return isinstance(value, kind)


def whole(name: str, value: object) -> int:
    """Return *value* if it is a whole number, not negative.

    Raises:
        DefinitionError: it is no whole number.
        ArgumentError: it is negative.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        sentence = f"{name}={value!r} cannot be; it takes a whole number"
        raise DefinitionError(sentence)
    if value < 0:
        sentence = f"{name}={value!r} cannot be; it takes 0 or more"
        raise ArgumentError(sentence)
    return value


def text_in(name: str, value: object) -> str:
    """Return *value* if it is text.

    Raises:
        DefinitionError: it is something else.
    """
    if not isinstance(value, str):
        sentence = f"{name}={value!r} cannot be; it takes text"
        raise DefinitionError(sentence)
    return value
