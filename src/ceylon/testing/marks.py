"""What stands for a secret in a cassette: ``<secret NAME>``, or a piece of that in a stream that cut it."""

import re
from collections.abc import Callable
from typing import Any, Final

from ceylon.models.secret import MASK
from ceylon.testing.outline import is_items, is_mapping

__all__ = ["BEGINNING", "LITERAL", "fill", "mark", "names_in", "neutral", "piece", "stand_in"]

BEGINNING: Final = "<secret "
"""How a mark begins. A text that has this itself is written with a mark for it, `LITERAL`, so that nobody is misled."""
LITERAL: Final = "literally"

_MARK: Final = re.compile(r"<secret ([^<>\n]+?)(?: part (\d+)/(\d+))?>")
_NO_WORD: Final = re.compile(r"[^A-Za-z0-9]+")


def mark(name: str) -> str:
    """Return the mark of the secret *name*."""
    return f"{BEGINNING}{name}>"


def piece(whole: str, number: int, count: int) -> str:
    """Return the mark of the piece *number*, from 1 on, of the *count* that a stream has cut a secret into."""
    return whole if count == 1 else f"{whole[:-1]} part {number}/{count}>"


def stand_in(name: str) -> str:
    """Return what a replay has instead of the secret *name*, where nobody can tell it: no key, and seen to be none."""
    return f"not-recorded-secret-{_NO_WORD.sub('-', name).strip('-')}"


def fill(value: Any, secret: Callable[[str], str]) -> Any:
    """Return plain data with what ``secret(name)`` returns in place of each mark."""

    def put(found: "re.Match[str]") -> str:
        whole, number, count = secret(found[1]), int(found[2] or 1), int(found[3] or 1)
        return whole[len(whole) * (number - 1) // count : len(whole) * number // count] if count else whole

    return _texts_replaced(value, lambda text: _MARK.sub(put, text))


def neutral(value: Any) -> Any:
    """Return plain data in which one secret is like any other: another machine has other keys."""
    return _texts_replaced(value, lambda text: _MARK.sub(MASK, text))


def names_in(value: Any) -> list[str]:
    """Return the names of the secrets in plain data, in their order, as often as they are there."""
    if isinstance(value, str):
        return [found[1] for found in _MARK.finditer(value)]
    if is_mapping(value):
        return [name for key, each in value.items() for name in (*names_in(key), *names_in(each))]
    return [name for each in value for name in names_in(each)] if is_items(value) else []


def _texts_replaced(value: Any, replaced: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return replaced(value) if BEGINNING in value else value
    if is_mapping(value):
        return {_texts_replaced(key, replaced): _texts_replaced(each, replaced) for key, each in value.items()}
    return [_texts_replaced(each, replaced) for each in value] if is_items(value) else value
