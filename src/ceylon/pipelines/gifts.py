"""What one stage of a pipeline gives to the next, as far as types say, and the error where that can never fit."""

from typing import Any

import msgspec

from ceylon.core.ref import Ref
from ceylon.errors import StageTypeError
from ceylon.pipelines.fitting import NO_ITEMS, fits, item_of, show
from ceylon.pipelines.nodes import Node, Stage

__all__ = ["Checked", "Gift", "expect", "item_in", "words_for"]


class Gift(msgspec.Struct, frozen=True):
    """What comes to a stage: its type, and who gives it."""

    hint: Any
    giver: str = "the input"


class Checked(msgspec.Struct, frozen=True):
    """A sequence whose first *count* nodes fit and give *gift*; *ref* is the first ref in it.

    Of those in *strangers*, by address and by name, nobody knew the agent.
    """

    count: int = 0
    gift: Gift = Gift(Any)
    ref: Ref | None = None
    strangers: dict[str, Ref] = {}

    @property
    def holds(self) -> bool:
        """Whether no more is known of its agents than when it was checked."""
        if self.ref is None or not self.strangers:
            return True
        mesh, names = self.ref.__ceylon_mesh__, self.strangers.keys()
        found = (names & mesh.cells().keys()) | (names & mesh.registered.keys())
        return all(self.strangers[name].__ceylon_target__ is None for name in found)


def expect(gift: Gift, taker: str, taken: Any) -> None:
    """Refuse *gift* if *taker*, which takes what is annotated *taken*, can never take it.

    Raises:
        StageTypeError: it cannot.
    """
    if not fits(gift.hint, taken):
        raise StageTypeError(gift.giver, show(gift.hint), taker, show(taken))


def item_in(gift: Gift, taker: str) -> Gift:
    """Return one of the items of *gift*, of which *taker* takes each.

    Raises:
        StageTypeError: it has none.
    """
    item = item_of(gift.hint)
    if item is NO_ITEMS:
        raise StageTypeError(gift.giver, show(gift.hint), taker, "something with items")
    return Gift(item, gift.giver)


def words_for(node: Node) -> str:
    """Name *node*, and where it is written."""
    source = node.source if isinstance(node, Stage) else ""
    return f"{node.label!r} ({source})" if source else repr(node.label)
