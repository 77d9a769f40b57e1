"""The line before a model: lanes by priority, and in each the runs take turns: a large one holds up no other."""

from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from ceylon.core.backend import Future

__all__ = ["Line", "Place"]


class Place(msgspec.Struct, eq=False, kw_only=True):
    """A place in the line, and then under way; a struct, because every request makes one.

    Attributes:
        root: Whose it is: the run's.
        priority: Its lane.
        need: The tokens it may need, of question and answer; or what finds that out, which is asked only where a
            provider has told of limits.
        tries: How many were made before.
        was_refused: Whether the last of them was refused for want of room.
        future: Set when it is the request's turn: to `None`, or to the error that there will be none.
        is_admitted: Whether it is under way.
        is_counted: Whether its tokens were taken from the limits.
        is_probe: Whether it is the one that is to see how the server is.
        sent_at: Since when it is under way.
    """

    root: int
    priority: int
    need: tuple[int, int] | Callable[[], tuple[int, int]]
    tries: int = 0
    was_refused: bool = False
    future: "Future | None" = None
    is_admitted: bool = False
    is_counted: bool = False
    is_probe: bool = False
    sent_at: float = 0.0

    def tokens(self) -> tuple[int, int]:
        """Return the tokens it may need, of question and answer."""
        if callable(self.need):
            self.need = self.need()
        return self.need


class Line:
    """Requests that wait, first tries and further ones apart: those go under rules of their own."""

    def __init__(self) -> None:
        self._lanes: dict[tuple[int, int, bool], OrderedDict[int, dict[Place, None]]] = {}
        self.count = 0  # of those who wait

    def __len__(self) -> int:
        return self.count

    def __repr__(self) -> str:
        return f"<Line {self.count} waiting>"

    def join(self, place: Place) -> None:
        """Put *place* behind those of its own run."""
        lane = self._lanes.setdefault(_lane_of(place), OrderedDict())
        lane.setdefault(place.root, {})[place] = None
        self.count += 1

    def leave(self, place: Place) -> None:
        """Take *place* out, wherever it stands; nothing happens if it is gone."""
        lane = self._lanes.get(_lane_of(place), _NO_LANE)
        run = lane.get(place.root)
        if run is None or place not in run:
            return
        self.count -= 1
        del run[place]
        if not run:
            del lane[place.root]
        else:
            lane.move_to_end(place.root)  # the next turn is another run's
        if not lane:
            del self._lanes[_lane_of(place)]

    def first(self, *, takes_refused: bool, prefers_new: bool = False) -> Place | None:
        """Return whose turn it is: of the highest lane, of those who have tried most, or least if *prefers_new*.

        Those who were refused before are passed over unless the line *takes_refused* ones.
        """
        if not self._lanes:
            return None
        sign = 1 if prefers_new else -1
        lanes = [key for key in self._lanes if takes_refused or not key[2]]
        if not lanes:
            return None
        lane = self._lanes[min(lanes, key=lambda key: (-key[0], sign * key[1]))]
        return next(iter(next(iter(lane.values()))))

    def everybody(self) -> list[Place]:
        """Return all who wait."""
        return [place for lane in self._lanes.values() for run in lane.values() for place in run]


def _lane_of(place: Place) -> tuple[int, int, bool]:
    return place.priority, place.tries, place.was_refused


_NO_LANE: Final[OrderedDict[int, dict[Place, None]]] = OrderedDict()
