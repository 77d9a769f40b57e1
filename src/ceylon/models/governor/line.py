"""The line before a model: lanes by priority, and in each the runs take turns, so that a large one holds up no other."""

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ceylon.core.backend import Future

__all__ = ["Line", "Place"]


class Place:
    """A place in the line, and then under way: whose it is, the tokens it may need, since when it is under way.

    `future` is set when it is the request's turn: to `None`, or to the error that there will be none.
    """

    __slots__ = ("future", "input", "is_admitted", "is_again", "is_probe", "output", "priority", "root", "sent_at")

    def __init__(self, *, root: int, priority: int, need: tuple[int, int], is_again: bool) -> None:
        self.future: Future | None = None
        self.root, self.priority, self.is_again = root, priority, is_again
        self.input, self.output = need
        self.is_admitted = self.is_probe = False
        self.sent_at = 0.0


class Line:
    """Requests that wait, first tries and further ones apart: those go under rules of their own."""

    def __init__(self) -> None:
        self._lanes: dict[tuple[int, bool], OrderedDict[int, dict[Place, None]]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __repr__(self) -> str:
        return f"<Line {self._count} waiting>"

    def join(self, place: Place) -> None:
        """Put *place* behind those of its own run."""
        lane = self._lanes.setdefault((place.priority, place.is_again), OrderedDict())
        lane.setdefault(place.root, {})[place] = None
        self._count += 1

    def leave(self, place: Place) -> None:
        """Take *place* out, wherever it stands; nothing happens if it is gone."""
        lane = self._lanes.get((place.priority, place.is_again), _NO_LANE)
        run = lane.get(place.root)
        if run is None or place not in run:
            return
        self._count -= 1
        del run[place]
        if not run:
            del lane[place.root]
        else:
            lane.move_to_end(place.root)  # the next turn is another run's
        if not lane:
            del self._lanes[place.priority, place.is_again]

    def first(self, *, may_try_again: bool, prefers_new: bool = False) -> Place | None:
        """Return whose turn it is: of the highest lane, those who try again first unless *prefers_new*."""
        for priority in sorted({priority for priority, _ in self._lanes}, reverse=True):
            for is_again in (False, True) if prefers_new else (True, False):
                lane = self._lanes.get((priority, is_again))
                if lane and (may_try_again or not is_again):
                    return next(iter(next(iter(lane.values()))))
        return None

    def has_further_tries(self) -> bool:
        """Say whether anybody waits to try again."""
        return any(is_again for _, is_again in self._lanes)

    def everybody(self) -> list[Place]:
        """Return all who wait."""
        return [place for lane in self._lanes.values() for run in lane.values() for place in run]


_NO_LANE: Final[OrderedDict[int, dict[Place, None]]] = OrderedDict()
