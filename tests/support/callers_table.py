"""Tables of what callers do: a function for each verb, entered under its name."""

from collections.abc import Callable
from typing import TypeVar

__all__ = ["entering"]

U = TypeVar("U")


def entering(table: dict[str, U]) -> Callable[..., Callable[[U], U]]:
    """Return a decorator that enters a function into *table* as the use of one or more verbs."""

    def of(*verbs: str) -> Callable[[U], U]:
        def enter(use: U) -> U:
            table.update(dict.fromkeys(verbs, use))
            return use

        return enter

    return of
