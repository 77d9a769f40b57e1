"""How the instances of keyed agents leave: their state is saved, and what has come meanwhile is the next one's."""

from typing import TYPE_CHECKING, Final

from ceylon.core.cell import State
from ceylon.core.timers import Timer

if TYPE_CHECKING:
    from collections.abc import Callable

    from ceylon.core.interior import Interior
    from ceylon.core.keyed_cell import KeyedCell
    from ceylon.core.places import Places

__all__ = ["LeaveTaking"]

_COMING: Final = frozenset({State.STARTING, State.RESTARTING})


class LeaveTaking:
    """Sees to it for one family.

    Args:
        interior: The mesh.
        places: Who is there.
        make_room: Asks others to leave, for those who wait.
        come_again: Takes in a cell whose instance has left, and which has mail.
    """

    def __init__(
        self,
        interior: "Interior",
        places: "Places",
        make_room: "Callable[[], None]",
        come_again: "Callable[[KeyedCell], None]",
    ) -> None:
        self._interior = interior
        self._places = places
        self._come_again = come_again
        self.timer = Timer(make_room)

    def begin(self, cell: "KeyedCell") -> None:
        """Let the instance of *cell* go, which has nothing to do."""
        self._announce(cell)
        era = cell.have_life().era

        async def depart() -> None:
            if self._is_leaving(cell, era):  # and no stop was sooner, which saves the state itself
                await self._depart(cell, self._interior.driver.now())
            else:
                self._places.leaving.discard(cell)

        self._interior.run(depart, "departure", cell)

    async def send_away(self, cell: "KeyedCell", until: float | None) -> BaseException | None:
        """Let the instance of *cell* go as soon as its handlers have ended, by *until*; return why it has not.

        One that is just coming is waited for first, until then; one that does not come is ended without more ado.
        """
        interior = self._interior
        until = interior.driver.now() + interior.settings.drain_timeout if until is None else until
        await self._wait_while_coming(cell, until)
        if cell.state is State.RUNNING:
            self._announce(cell)
            return await self._depart(cell, until)
        if cell.state is State.LEAVING:
            await self._wait_until_left(cell)
        elif cell.state is not State.WAITING:
            await interior.lifecycle.stop(cell, until=until)
        return None

    async def all_leave(self, until: float) -> None:
        """Let all leave that have nothing to do, some at a time, until then; the mesh is about to stop."""
        at_once = self._interior.settings.family_departures
        waiting = [cell for cell in self._places.seated.values() if cell.is_idle]
        while waiting and self._interior.driver.now() < until:
            some, waiting = waiting[:at_once], waiting[at_once:]
            for cell in some:
                if cell.is_idle and self._places.holds(cell):
                    self.begin(cell)
            for cell in some:
                await self._wait_until_left(cell)

    # -- one departure -------------------------------------------------------------------------------------------------

    def _announce(self, cell: "KeyedCell") -> None:
        cell.state = State.LEAVING
        self._places.touch(cell, self._interior.driver.now())
        self._places.leaving.add(cell)

    async def _depart(self, cell: "KeyedCell", until: float) -> BaseException | None:
        era = cell.have_life().era
        error = await self._interior.lifecycle.leave(cell, until)
        self._places.leaving.discard(cell)
        if self._is_leaving(cell, era):  # or a stop has taken over
            if error is not None:
                self._stay(cell)
            elif not self._interior.router.is_halted:
                self._go_or_return(cell)
        return error

    @staticmethod
    def _is_leaving(cell: "KeyedCell", era: int) -> bool:
        return cell.state is State.LEAVING and cell.have_life().era == era

    def _stay(self, cell: "KeyedCell") -> None:
        """Let *cell* go on with the instance it has, whose state could not be saved; it is tried again later."""
        now = self._interior.driver.now()
        self._places.touch(cell, now)
        self._interior.lifecycle.go_on(cell)
        self._places.expect_idle()
        if self._places.queue and not self.timer.is_armed:
            self._interior.timers.add(now + self._interior.settings.family_retry, self.timer)

    def _go_or_return(self, cell: "KeyedCell") -> None:
        """Take *cell* out, unless there is mail: then it begins again, behind those that wait for a place."""
        if cell.mail:
            self._places.remove(cell)
            self._interior.clear(cell)
            self._come_again(cell)
            self._interior.lifecycle.changed(cell)
        else:
            self._interior.lifecycle.vacate(cell)

    # -- waiting -------------------------------------------------------------------------------------------------------

    async def _wait_while_coming(self, cell: "KeyedCell", until: float) -> None:
        timer = Timer(lambda: self._interior.lifecycle.changed(cell))
        self._interior.timers.add(until, timer)
        try:
            while timer.is_armed and cell.state in _COMING:
                await self._interior.lifecycle.wait_for_change(cell)
        finally:
            self._interior.timers.cancel(timer)

    async def _wait_until_left(self, cell: "KeyedCell") -> None:
        while cell.state is State.LEAVING:
            await self._interior.lifecycle.wait_for_change(cell)
