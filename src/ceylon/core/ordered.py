"""A set that is iterated in the order it was filled: nothing may depend on where objects lie in memory."""

from typing import TypeVar

__all__ = ["Ordered"]

T = TypeVar("T")


class Ordered(dict[T, None]):
    """A dictionary of keys only, with a set's two verbs."""

    __slots__ = ()

    def add(self, item: T) -> None:
        """Put *item* at the end, unless it is in already."""
        self[item] = None

    def discard(self, item: T) -> None:
        """Take *item* out, if it is in."""
        self.pop(item, None)
