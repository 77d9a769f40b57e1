"""Who of a family has an instance, in which order they rested, who is leaving, and who waits for a place."""

import itertools
import math
from collections import OrderedDict
from typing import TYPE_CHECKING

from ceylon.core.ordered import Ordered

if TYPE_CHECKING:
    from ceylon.core.keyed_cell import KeyedCell
    from ceylon.core.origin import Origin
    from ceylon.core.waits import Groups
    from ceylon.settings import Settings

__all__ = ["Places"]


class Places:
    """The places of one family, *limit* of them.

    Args:
        limit: How many.
        settings: The mesh's.

    Attributes:
        seated: Who has an instance, whoever has rested longest first.
        queue: Who waits for a place, first come, first served.
        leaving: Those of the seated that are about to give theirs up.
    """

    def __init__(self, limit: int, settings: "Settings") -> None:
        self.limit = limit
        self._settings = settings
        self._busy_until = -math.inf  # when it is worth while to look for one that rests
        self.seated: OrderedDict[str, KeyedCell] = OrderedDict()
        self.queue: Ordered[KeyedCell] = Ordered()
        self.leaving: Ordered[KeyedCell] = Ordered()

    def cells(self) -> "list[KeyedCell]":
        """Return all, those that wait behind the others."""
        return [*self.seated.values(), *self.queue]

    def has_free(self) -> bool:
        """Say whether one more may have an instance."""
        return len(self.seated) < self.limit

    def wanted(self) -> int:
        """Return how many wait for whom nobody leaves."""
        return len(self.queue) - len(self.leaving)

    def holds(self, cell: "KeyedCell") -> bool:
        """Say whether *cell* has an instance here."""
        return self.seated.get(cell.address) is cell

    def seat(self, cell: "KeyedCell", now: float) -> None:
        """Give *cell* a place."""
        self.seated[cell.address] = cell
        cell.rested_at = now

    def touch(self, cell: "KeyedCell", now: float) -> None:
        """Take note that *cell* rests from now on, behind the others."""
        cell.rested_at, cell.seen = now, cell.sent
        self.seated.move_to_end(cell.address)

    def expect_idle(self) -> None:
        """Look through them the next time: one may have nothing to do now."""
        self._busy_until = -math.inf

    def first(self) -> "KeyedCell | None":
        """Return who has rested longest, or may have."""
        return next(iter(self.seated.values()), None)

    def longest_idle(self, now: float) -> "KeyedCell | None":
        """Return who has rested longest of those that could leave.

        If nobody could, they are not looked through again for a while, unless one rests: where thousands are at work
        and thousands wait, that would hold the loop.
        """
        if now < self._busy_until:
            return None
        found = next((cell for cell in self.seated.values() if cell.is_idle), None)
        if found is None:
            self._busy_until = now + self._settings.family_retry
        return found

    def line_up(self, cell: "KeyedCell") -> None:
        """Let *cell* wait for a place, behind the others."""
        self.queue.add(cell)
        if self.wanted() <= 0:  # one more is leaving than they are
            self._promise(cell)

    def promise_last(self) -> None:
        """Promise the place of the last that leaves to the first to whom none is promised."""
        number = len(self.leaving)
        for waiting in itertools.islice(self.queue, number - 1, number):
            self._promise(waiting)

    def _promise(self, waiting: "KeyedCell") -> None:
        """Let *waiting* take mail, which is handled when it has its place."""
        if not waiting.capacity:
            waiting.open_to(self._settings.mailbox_capacity)

    def remove(self, cell: "KeyedCell") -> None:
        """Take *cell* out, wherever it is."""
        self.seated.pop(cell.address, None)
        self.queue.discard(cell)
        self.leaving.discard(cell)

    def held_up_by(self) -> "Groups[Origin]":
        """Return what waiting for a place is waiting for: that one of those at work has done its work."""
        busy: list[Origin] = []
        for cell in self.seated.values():
            holding = cell.busy_with() if cell.running else None
            if holding is None:
                return []
            busy.append(holding)
        return [busy]
