"""An agent's own timers: what it tells itself later, once or again and again."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ceylon.core.timers import Timer
from ceylon.errors import ArgumentError, CeylonError
from ceylon.messages import TELL

if TYPE_CHECKING:
    from ceylon.core.cell import Cell
    from ceylon.core.interior import Interior

__all__ = ["AgentTimers", "TimerHandle"]


class Repeated(Timer):
    """A timer that tells its agent something again and again."""

    __slots__ = ("_tick", "cell", "message", "seconds")

    def __init__(self, cell: "Cell", seconds: float, message: Any, tick: "Callable[[Repeated], None]") -> None:
        super().__init__()
        self.cell, self.seconds, self.message = cell, seconds, message
        self._tick = tick

    def fire(self) -> None:
        """Tell, and set the timer again."""
        self._tick(self)


class TimerHandle:
    """What `after` and `every` return: a way to take them back, from the loop and from threads."""

    __slots__ = ("_cell", "_interior", "_timer")

    def __init__(self, interior: "Interior", cell: "Cell", timer: Timer) -> None:
        self._interior, self._cell, self._timer = interior, cell, timer

    def __repr__(self) -> str:
        return f"<TimerHandle of {self._cell.address!r} {'armed' if self._timer.is_armed else 'over'}>"

    def cancel(self) -> None:
        """Tell nothing any more."""
        if self._interior.gateway.is_inside():
            self._interior.agent_timers.cancel(self._cell, self._timer)
        else:
            self._interior.gateway.post_quietly(lambda: self._interior.agent_timers.cancel(self._cell, self._timer))


class AgentTimers:
    """Makes, keeps and ends them, for all agents of a mesh."""

    def __init__(self, interior: "Interior") -> None:
        self._interior = interior

    def after(self, cell: "Cell", seconds: float, message: Any) -> TimerHandle:
        """Tell *cell* *message* in *seconds*.

        Raises:
            ArgumentError: no such time: negative, infinite, or not a number.
        """
        _check_time(seconds, again=False)
        timers = cell.have_life().timers

        def fire() -> None:
            timers.discard(timer)
            self._tell(cell, message)

        timer = Timer(fire)
        timers.add(timer)
        self._interior.timers.add(self._interior.driver.now() + seconds, timer)
        return TimerHandle(self._interior, cell, timer)

    def every(self, cell: "Cell", seconds: float, message: Any) -> TimerHandle:
        """Tell *cell* *message* every *seconds*; a tick that finds no room is a dead letter.

        Raises:
            ArgumentError: as for `after`, and 0.
        """
        _check_time(seconds, again=True)
        timer = Repeated(cell, seconds, message, self._tick)
        cell.have_life().timers.add(timer)
        self._interior.timers.add(self._interior.driver.now() + seconds, timer)
        return TimerHandle(self._interior, cell, timer)

    def _tick(self, timer: Repeated) -> None:
        self._tell(timer.cell, timer.message)
        if timer in timer.cell.have_life().timers:
            self._interior.timers.add(self._interior.driver.now() + timer.seconds, timer)

    def _tell(self, cell: "Cell", message: Any) -> None:
        router = self._interior.router
        try:
            router.tell_nowait(router.envelope(TELL, None, cell.address, message))
        except CeylonError:  # a dead letter says it
            return

    def cancel(self, cell: "Cell", timer: Timer) -> None:
        """End one of the agent's timers."""
        if cell.life is not None:
            cell.life.timers.discard(timer)
        self._interior.timers.cancel(timer)

    def cancel_all(self, cell: "Cell") -> None:
        """End all of them."""
        for timer in list(cell.life.timers) if cell.life is not None else ():
            self.cancel(cell, timer)


def _check_time(seconds: float, *, again: bool) -> None:
    """Raise `ArgumentError` unless one can wait so long, *again* and again."""
    if not 0 <= seconds < math.inf or (again and not seconds):
        message = f"{seconds!r} is no time to wait; give seconds: a finite number, and more than 0 for `every`"
        raise ArgumentError(message)
