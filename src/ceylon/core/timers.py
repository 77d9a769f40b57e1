"""One heap of timers for a whole mesh: a deadline costs a dictionary entry, not a task, a scope or a loop handle."""

import heapq
import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ceylon.core.log import logger

if TYPE_CHECKING:
    from ceylon.core.backend import Driver

__all__ = ["Timer", "Timers"]

_SWEEP_FROM: Final = 64  # fewer dead entries than this are not worth sweeping; each keeps an ask and its message alive


class Timer:
    """Something to be done at a time; subclass it or give it an `action`. `is_armed`: it is going to fire."""

    __slots__ = ("_action", "is_armed")

    def __init__(self, action: Callable[[], None] | None = None) -> None:
        self._action = action
        self.is_armed = False

    def fire(self) -> None:
        """Do what was to be done."""
        if self._action is not None:
            self._action()


class Timers:
    """New timers stand in a dictionary, from which a cancelled one just goes: most asks are answered long before.

    When the first of them would be due, those still there move to the heap. Timers cancelled in the heap stay until
    their time or until they are the majority, then they are swept. The loop itself holds one handle.

    An ask pays for a timer at its beginning and at its end, so the router and the call do the common half of `add` and
    `cancel` themselves: they use `new` and `armed_at`, and come here for the rest.
    """

    __slots__ = ("_armed", "_driver", "_heap", "_sequence", "_stale", "armed_at", "new")

    def __init__(self, driver: "Driver") -> None:
        self._driver = driver
        self.new: dict[Timer, float] = {}
        self._heap: list[tuple[float, int, Timer]] = []
        self._sequence = itertools.count()
        self._stale = 0
        self._armed: Callable[[], None] | None = None
        self.armed_at = float("inf")

    def __len__(self) -> int:
        """Count the timers that will fire; after `close` none does, though somebody may set one on his way out."""
        if self.armed_at == float("-inf"):
            return 0
        return len(self.new) + len(self._heap) - self._stale

    def add(self, when: float, timer: Timer) -> None:
        """Fire *timer* at *when* on the loop's clock."""
        timer.is_armed = True
        self.new[timer] = when
        if when < self.armed_at:
            self.arm(when)

    def cancel(self, timer: Timer) -> None:
        """Do not fire *timer*."""
        if not timer.is_armed:
            return
        timer.is_armed = False
        if self.new.pop(timer, None) is None:
            self.cancel_old()

    def cancel_old(self) -> None:
        """Take note that a timer in the heap is not to fire."""
        self._stale += 1
        if self._stale > _SWEEP_FROM and self._stale * 2 > len(self._heap):
            self._sweep()

    def _sweep(self) -> None:
        self._heap = [entry for entry in self._heap if entry[2].is_armed]
        heapq.heapify(self._heap)
        self._stale = 0

    def close(self) -> None:
        """Fire nothing any more."""
        if self._armed is not None:
            self._armed()
        self._armed, self.armed_at = None, float("-inf")
        for timer in (*self.new, *(entry[2] for entry in self._heap)):
            timer.is_armed = False  # or taking one back later would count it as stale
        self.new.clear()
        self._heap.clear()
        self._stale = 0

    def arm(self, when: float) -> None:
        """Come back at *when*, which is earlier than planned."""
        if self._armed is not None:
            self._armed()
        self._armed, self.armed_at = self._driver.call_at(when, self._fire), when

    def _fire(self) -> None:
        """Fire what is due, then arm for what is next."""
        self._armed, self.armed_at = None, float("inf")
        now = self._driver.now()
        self._settle()
        while self._heap:
            when, _, timer = self._heap[0]
            if not timer.is_armed:
                heapq.heappop(self._heap)
                self._stale -= 1
            elif when <= now:
                heapq.heappop(self._heap)
                timer.is_armed = False
                try:
                    timer.fire()
                except Exception as error:  # noqa: BLE001 – one that fails must not keep the others from firing
                    logger().critical("timer_failed", exc_info=error)
            else:
                break
        if self._heap and self._heap[0][0] < self.armed_at:
            self.arm(self._heap[0][0])

    def _settle(self) -> None:
        """Move the new timers to the heap."""
        for timer, when in self.new.items():
            heapq.heappush(self._heap, (when, next(self._sequence), timer))
        self.new.clear()
