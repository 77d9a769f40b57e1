"""An agent's own timers: what it tells itself later, once or again and again."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ceylon.core.cell import State
from ceylon.core.durations import Duration, seconds_of
from ceylon.core.schedules import Cron, Every, Once, Schedule, once_at
from ceylon.core.timers import Timer
from ceylon.errors import CeylonError
from ceylon.messages import TELL

if TYPE_CHECKING:
    from collections.abc import Callable

    from ceylon.core.cell import Cell
    from ceylon.core.interior import Interior
    from ceylon.core.ticks import Ticking
    from ceylon.messages import Envelope

__all__ = ["AgentTimers", "TimerHandle"]


class OwnTimer(Timer):
    """A timer that tells its agent something whenever it is due.

    Attributes:
        due: When it is, in the schedule's own time.
        looked: When it was set, likewise.
        is_lasting: It belongs to the agent, not to its present instance: a restart leaves it alone.
        waiting: What it told last, if it tells nothing new while that waits.
    """

    __slots__ = ("_fired", "cell", "due", "is_lasting", "looked", "message", "schedule", "waiting")

    def __init__(self, cell: "Cell", schedule: Schedule, message: Any, fired: "Callable[[OwnTimer], None]") -> None:
        super().__init__()
        self.cell, self.schedule, self.message = cell, schedule, message
        self._fired = fired
        self.due = self.looked = 0.0
        self.is_lasting = False
        self.waiting: Envelope | None = None

    def fire(self) -> None:
        """Tell, if it is time, and set the timer again."""
        self._fired(self)


class TimerHandle:
    """What an agent gets for a timer it has set: a way to take it back, from the loop and from threads."""

    __slots__ = ("_cell", "_interior", "_timer")

    def __init__(self, interior: "Interior", cell: "Cell", timer: OwnTimer) -> None:
        self._interior, self._cell, self._timer = interior, cell, timer

    def __repr__(self) -> str:
        return f"<TimerHandle of {self._cell.address!r} {self._state()}>"

    def _state(self) -> str:
        remaining = self.remaining
        if remaining is None:
            return "over"
        if self._timer.schedule.is_by_the_clock:
            return f"next at {datetime.fromtimestamp(self._timer.due, UTC):%Y-%m-%d %H:%M:%S} UTC"
        return f"next in {remaining:.3g} s"

    @property
    def remaining(self) -> float | None:
        """Seconds until it tells the agent something the next time; `None`: never again."""
        if not self._timer.is_armed:
            return None
        now = self._interior.time_of_day() if self._timer.schedule.is_by_the_clock else self._interior.driver_now()
        return max(0.0, self._timer.due - now)

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

    # -- setting -------------------------------------------------------------------------------------------------------

    def after(self, cell: "Cell", seconds: Duration, message: Any) -> TimerHandle:
        """Tell *cell* *message* in *seconds*.

        Raises:
            ArgumentError: no such time.
        """
        return self._set(cell, Once(seconds_of(seconds)), message)

    def every(self, cell: "Cell", seconds: Duration, message: Any) -> TimerHandle:
        """Tell *cell* *message* every *seconds*; a tick that finds no room is a dead letter.

        Raises:
            ArgumentError: no such time, or none at all.
        """
        return self._set(cell, Every(seconds_of(seconds, again=True)), message)

    def at(self, cell: "Cell", when: datetime, message: Any) -> TimerHandle:
        """Tell *cell* *message* at the moment *when*.

        Raises:
            ArgumentError: that is no moment: it has no time zone.
        """
        return self._set(cell, once_at(when), message)

    def cron(self, cell: "Cell", expression: str, message: Any, timezone: str | None) -> TimerHandle:
        """Tell *cell* *message* whenever *expression* says so.

        Raises:
            ArgumentError: no such expression, or no such zone.
            MissingPackageError: the extra `cron` is not installed.
        """
        return self._set(cell, Cron(expression, timezone), message)

    def begin(self, cell: "Cell", ticking: "Ticking") -> None:
        """Let *cell* have the ticks its class asks for, from now to its end; after a restart they go on as before."""
        if cell.life is not None and any(it.is_lasting for it in cell.life.timers):
            return
        for schedule, tick in ticking.schedules:
            timer = OwnTimer(cell, schedule, tick, self._fired)
            timer.is_lasting = True
            self._begin(timer)

    def _set(self, cell: "Cell", schedule: Schedule, message: Any) -> TimerHandle:
        timer = OwnTimer(cell, schedule, message, self._fired)
        self._begin(timer)
        return TimerHandle(self._interior, cell, timer)

    def _begin(self, timer: OwnTimer) -> None:
        timer.due = timer.schedule.first(self._now(timer))
        timer.cell.have_life().timers.add(timer)
        self._arm(timer)

    def _now(self, timer: OwnTimer) -> float:
        """Return the time that the schedule goes by."""
        return self._interior.time_of_day() if timer.schedule.is_by_the_clock else self._interior.driver.now()

    def _arm(self, timer: OwnTimer) -> None:
        """Come back when *timer* is due, or before, to see whether the clock on the wall has been set."""
        timer.looked = self._now(timer)
        when = timer.due
        if timer.schedule.is_by_the_clock:
            pause = min(max(0.0, timer.due - timer.looked), self._interior.settings.clock_look)
            when = self._interior.driver.now() + pause
        self._interior.timers.add(when, timer)

    # -- firing --------------------------------------------------------------------------------------------------------

    def _fired(self, timer: OwnTimer) -> None:
        """Tell what is due, once however often it was, and come back for what is next."""
        now = self._now(timer)
        if timer.schedule.is_by_the_clock and now < timer.due:
            if now < timer.looked - self._interior.settings.clock_correction:
                timer.due = timer.schedule.first(now)
            self._arm(timer)
            return
        following = timer.schedule.next(timer.due, now)
        timers = timer.cell.have_life().timers
        if following is None:
            timers.discard(timer)
            self._tell(timer.cell, timer.message)
            return
        self._tick(timer)
        if timer in timers:
            timer.due = following
            self._arm(timer)

    def _tick(self, timer: OwnTimer) -> None:
        """Tell once more; of an agent's own ticks, only if none waits already, and not while its mesh ends."""
        if not timer.is_lasting:
            self._tell(timer.cell, timer.message)
        elif timer.cell.state.takes_mail and not self._interior.router.is_refusing and not self._waits(timer):
            timer.waiting = self._tell(timer.cell, timer.message)

    def _waits(self, timer: OwnTimer) -> bool:
        """Say whether the last tick is still in the mailbox; or in a handler, where another could run beside it."""
        last, cell = timer.waiting, timer.cell
        if last is None or last.id not in self._interior.router.open:
            return False
        return cell.slots > 1 or last.id not in cell.inside()

    def _tell(self, cell: "Cell", message: Any) -> "Envelope | None":
        router = self._interior.router
        envelope = router.envelope(TELL, None, cell.address, message)
        try:
            router.tell_nowait(envelope)
        except CeylonError:  # a dead letter says it
            return None
        return envelope

    # -- ending --------------------------------------------------------------------------------------------------------

    def cancel(self, cell: "Cell", timer: OwnTimer) -> None:
        """End one of the agent's timers."""
        if cell.life is not None:
            cell.life.timers.discard(timer)
        self._interior.timers.cancel(timer)

    def cancel_all(self, cell: "Cell") -> None:
        """End all of them; before a restart, those of the instance that ends."""
        for timer in list(cell.life.timers) if cell.life is not None else ():
            if cell.state is State.RESTARTING and timer.is_lasting:
                continue
            self.cancel(cell, timer)
