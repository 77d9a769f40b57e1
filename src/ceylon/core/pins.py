"""Keep the messages of one key in order while a pool changes its size.

A key that moves to another member stays with the old one for as long as that has messages of it. So what waits there is
handled first, and nobody else begins with the key meanwhile.
"""

from collections import deque
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ceylon.core.member_cell import MemberCell
    from ceylon.core.routings import ByKey
    from ceylon.messages import Envelope

__all__ = ["Pins"]

_FEW: Final = 64  # envelopes of one key; so many may have ended behind one that goes on


class Pin(msgspec.Struct, eq=False):
    """Whom a key stays with: until the last of these envelopes has ended; of `most`, those that have are left out."""

    cell: "MemberCell"
    waiting: deque[int]
    most: int = _FEW


class Pins:
    """The keys of one pool that have moved and not yet arrived."""

    def __init__(self, routing: "ByKey", opened: "Mapping[int, Envelope]") -> None:
        self._routing, self._opened = routing, opened
        self._pins: dict[bytes, Pin] = {}

    def __len__(self) -> int:
        """Count the keys."""
        return len(self._pins)

    def holder(self, key: bytes, envelope: "Envelope") -> "MemberCell | None":
        """Return who is to have *envelope*, because messages of its *key* wait there; `None`: whose the key is now."""
        pin = self._pins.get(key)
        if pin is None:
            return None
        parked = {call.envelope.id for call in pin.cell.parked or ()}
        while pin.waiting and pin.waiting[0] not in self._opened and pin.waiting[0] not in parked:
            pin.waiting.popleft()
        if not pin.waiting or not pin.cell.is_there:
            del self._pins[key]
            return None
        if len(pin.waiting) >= pin.most:  # the first goes on, while others expire
            pin.waiting = deque(each for each in pin.waiting if each in self._opened or each in parked)
            pin.most = _FEW + 2 * len(pin.waiting)
        pin.waiting.append(envelope.id)
        return pin.cell

    def set(self, cells: "Iterable[MemberCell]", members: "Sequence[MemberCell]") -> None:
        """Keep every key that has messages with one of *cells* there, unless it is its owner's among *members*."""
        self._pins.clear()
        by_address = {cell.address: cell for cell in cells}
        parked = [call.envelope for cell in by_address.values() for call in cell.parked or ()]
        for envelope in [*self._opened.values(), *parked]:
            cell = by_address.get(envelope.recipient)
            if cell is not None:
                self._set(cell, envelope, members)

    def _set(self, cell: "MemberCell", envelope: "Envelope", members: "Sequence[MemberCell]") -> None:
        try:
            key = self._routing.key(envelope.message)
        except ValueError:  # sent to the member itself, past the pool
            return
        pin = self._pins.get(key)
        if pin is not None and pin.cell is cell:
            pin.waiting.append(envelope.id)
        elif self._routing.owner(members, key) is not cell:
            self._pins[key] = Pin(cell, deque((envelope.id,)))
