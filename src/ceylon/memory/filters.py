"""Whether an entry meets conditions on its metadata; SQLite's own words for the same are in `sqlite_words`."""

import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from ceylon.memory.entries import Scalar, Where

__all__ = ["FLAG", "NUMBER", "TEXT", "kind_of", "meets"]

FLAG: Final = 0
NUMBER: Final = 1
TEXT: Final = 2

_COMPARISONS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def kind_of(value: object) -> int | None:
    """Return which values *value* compares with: `FLAG`, `NUMBER` or `TEXT`; `None` if with none."""
    if isinstance(value, bool):
        return FLAG
    if isinstance(value, (int, float)):
        return NUMBER
    return TEXT if isinstance(value, str) else None


def meets(metadata: Mapping[str, Scalar], conditions: Iterable[Where]) -> bool:
    """Say whether *metadata* meets all *conditions*."""
    return all(each.key in metadata and _meets(metadata[each.key], each) for each in conditions)


def _meets(value: Scalar, where: Where) -> bool:
    if where.operator == "in":
        return any(_equals(value, each) for each in where.value)
    if where.operator in {"==", "!="}:
        return _equals(value, where.value) == (where.operator == "==")
    return kind_of(value) == kind_of(where.value) and _COMPARISONS[where.operator](value, where.value)


def _equals(value: Scalar, other: Scalar) -> bool:
    return kind_of(value) == kind_of(other) and value == other
