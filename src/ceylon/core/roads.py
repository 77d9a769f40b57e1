"""Who talks to whom in a mesh, counted from what it remembers anyway: no message pays for being counted.

The window is that of `mesh.why`: the last 10,000 envelopes that ended, the last 10,000 dead letters, and all open ones.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec

from ceylon.core.ledger import REFUSED, How

if TYPE_CHECKING:
    from ceylon.core.router import Router

__all__ = ["Fate", "Road", "roads_of"]

Fate: TypeAlias = Literal["open", "refused"] | How


class Road(msgspec.Struct, kw_only=True):
    """The envelopes from one address to another: how many are open, and how many ended in which way.

    `sender` is empty for code outside of agents.
    """

    sender: str
    recipient: str
    counts: dict[Fate, int] = {}

    @property
    def total(self) -> int:
        """How many there were."""
        return sum(self.counts.values())

    @property
    def lost(self) -> int:
        """How many were not handled to their end, by anybody's fault but their sender's own."""
        return sum(self.counts.get(fate, 0) for fate in ("failed", "dead_lettered", "expired", "refused"))

    def add(self, fate: Fate, number: int = 1) -> None:
        """Count some more."""
        self.counts[fate] = self.counts.get(fate, 0) + number

    def add_all(self, other: "Road") -> None:
        """Count what *other* has, too."""
        for fate, number in other.counts.items():
            self.add(fate, number)


def roads_of(router: "Router") -> list[Road]:
    """Return every road that the mesh remembers, in the order of its first envelope; on the loop."""
    roads: dict[tuple[str, str], Road] = {}
    for sender, recipient, fate in _travels(router):
        road = roads.get((sender, recipient))
        if road is None:
            road = roads[sender, recipient] = Road(sender=sender, recipient=recipient)
        road.add(fate)
    return list(roads.values())


def _travels(router: "Router") -> Iterator[tuple[str, str, Fate]]:
    yield from router.endings.travels()
    for envelope in list(router.open.values()):
        yield envelope.sender, envelope.recipient, "open"
    for letter in router.dead_letters.letters():
        if letter.reason in REFUSED:  # the others were accepted, and are among the endings
            yield letter.envelope.sender, letter.envelope.recipient, "refused"
