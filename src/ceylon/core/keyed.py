"""Agents that exist by being spoken to: one for each key, made at its first message, out of memory when idle.

The place of a key, its cell, takes mail from the first message to the moment when nothing is left to be done; the
instances in it come and go. So a message that arrives while one leaves is the next one's, behind those before it.
"""

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from ceylon.core.absent import ABSENT_OPTIONS
from ceylon.core.cell import State
from ceylon.core.keyed_cell import KeyedCell
from ceylon.core.ledger import Reason
from ceylon.core.log import logger
from ceylon.core.ordered import Ordered
from ceylon.core.timers import Timer
from ceylon.errors import AgentStartError
from ceylon.settings import DEFAULTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ceylon.core.interior import Interior
    from ceylon.core.makers import Maker
    from ceylon.core.origin import Origin
    from ceylon.core.ports import AgentLike
    from ceylon.core.snapshots import Snapshots
    from ceylon.core.waits import Groups
    from ceylon.messages import Envelope

__all__ = ["KeyedAgents"]

_COMING: Final = frozenset({State.STARTING, State.RESTARTING})
_SOON: Final = 1.0
"""Seconds until an agent whose state could not be saved is asked to leave again, if another waits for its place."""


class KeyedAgents:
    """One family, on the mesh's loop: who is in memory, the one that has rested longest first, and who waits for that.

    Args:
        interior: The mesh.
        maker: Makes the agents.
        idle: Seconds without a message before one leaves.
        limit: How many may have an instance at one time.
        snapshots: Where states are kept.
    """

    def __init__(
        self, interior: "Interior", maker: "Maker", *, idle: float, limit: int, snapshots: "Snapshots"
    ) -> None:
        self._interior = interior
        self.maker = maker
        self.name = maker.name
        self.idle, self.limit = idle, limit
        self.snapshots = snapshots
        self.make = maker.make
        self.lost: list[BaseException] = []  # why states were not saved of those that had to end all the same
        self._seated: OrderedDict[str, KeyedCell] = OrderedDict()
        self._queue: Ordered[KeyedCell] = Ordered()
        self._leaving: Ordered[KeyedCell] = Ordered()
        self._options = ABSENT_OPTIONS  # of the last one made
        self._timer = Timer(self._look)
        self._again = Timer(self._make_room)  # where a state could not be saved, and somebody waits for the place
        self._is_filling = False
        self._is_ending = False

    def __repr__(self) -> str:
        return f"<KeyedAgents {self.name!r} {len(self._seated)} in memory {len(self._queue)} waiting>"

    # -- what is registered, see `Registered` --------------------------------------------------------------------------

    @property
    def sample(self) -> str:
        """What an address looks like."""
        return f"{self.name}/…"

    @property
    def timers(self) -> int:
        """How many of the mesh's timers are armed for the family."""
        return self._timer.is_armed + self._again.is_armed

    @property
    def example(self) -> "AgentLike | None":
        """One of its agents, if any is in memory."""
        return next((cell.agent for cell in self._seated.values()), None)

    def wants_key(self) -> bool:
        """Say that an address has one."""
        return True

    def cells(self) -> "Sequence[KeyedCell]":
        """Return the places of all agents that are in memory or wait for that."""
        return [*self._seated.values(), *self._queue]

    def receiver(self, envelope: "Envelope", key: str) -> KeyedCell | None:
        """Return a place for *key*, for which there was none.

        Raises:
            AgentStartError: its agent could not be made.
        """
        if not 1 <= len(key) <= DEFAULTS.conversation_key:
            return None
        cell = KeyedCell(self, envelope.recipient, key, self._options)
        if len(self._seated) < self.limit and not self._queue:
            self._seat(cell)
        else:
            self._enqueue(cell)
        return cell

    async def end(self, until: float | None) -> BaseException | None:
        """Make no agent any more, and end those there are, last used first; their states are saved."""
        self._is_ending = True
        lifecycle, driver = self._interior.lifecycle, self._interior.driver
        end = driver.now() + self._interior.settings.drain_timeout if until is None else until
        for cell in [*self._queue, *reversed(self._seated.values())]:
            await lifecycle.stop(cell, until=end)
        for timer in (self._timer, self._again):
            self._interior.timers.cancel(timer)
        return self.lost[0] if self.lost else None

    # -- coming --------------------------------------------------------------------------------------------------------

    def _seat(self, cell: KeyedCell) -> None:
        """Give *cell* an instance, which starts.

        Raises:
            AgentStartError: there can be none.
        """
        interior = self._interior
        try:
            agent = self.make(cell.key)
            behaviour, self._options = interior.read(agent)
        except Exception as error:
            failed = AgentStartError(cell.address, error)
            raise failed from error
        self._seated[cell.address] = cell
        cell.rested_at = interior.driver.now()
        cell.furnish(agent, behaviour, self._options, interior.settings.mailbox_capacity)
        interior.admit(cell)
        self._arm()

    def _enqueue(self, cell: KeyedCell) -> None:
        """Let *cell* wait for a place, and see to it that there is one."""
        newest = next(reversed(self._queue), None)
        self._queue.add(cell)
        self._interior.router.cells[cell.address] = cell
        if newest is not None:
            self.maybe_unwanted(newest)  # whoever wanted it did not wait
        if len(self._queue) <= len(self._leaving) + 1:  # else nobody could leave before, and whoever rests will
            self._make_room()

    def _make_room(self) -> None:
        """Let those leave that have rested longest, one for each that waits for a place, as far as there are such."""
        wanted = len(self._queue) - len(self._leaving)
        while wanted > 0 and (cell := self._longest_idle()) is not None:
            self._leave(cell)
            wanted -= 1
        promised = len(self._leaving)
        for cell in self._queue:
            if promised <= 0:
                return
            promised -= 1
            if not cell.capacity:
                cell.open_to(self._interior.settings.mailbox_capacity)

    def _longest_idle(self) -> KeyedCell | None:
        return next((cell for cell in self._seated.values() if cell.is_idle), None)

    def maybe_unwanted(self, cell: KeyedCell) -> None:
        """Give up a place that is waited for, if nobody wants it any more."""
        if cell in self._queue and not cell.mail and not cell.parked:
            self._interior.lifecycle.vacate(cell)

    def _fill(self) -> None:
        """Give away the places that are free, first come, first served."""
        if self._is_filling:
            return  # whoever called this goes on
        self._is_filling = True
        try:
            while self._queue and len(self._seated) < self.limit and not self._has_ended:
                cell = next(iter(self._queue))
                self._queue.discard(cell)
                self._give_place(cell)
        finally:
            self._is_filling = False

    def _give_place(self, cell: KeyedCell) -> None:
        if not cell.mail and not cell.parked:
            self._interior.lifecycle.vacate(cell)
            return
        try:
            self._seat(cell)
        except AgentStartError as error:
            logger().error("agent_rebuild_failed", agent=cell.address, exc_info=error)
            cell.have_life().start_error = error.cause
            self._interior.lifecycle.vacate(cell, Reason.AGENT_FAILED)

    @property
    def _has_ended(self) -> bool:
        return self._is_ending or self._interior.router.is_halted or self._interior.router.is_closed

    # -- resting -------------------------------------------------------------------------------------------------------

    def rested(self, cell: KeyedCell) -> None:
        """Take note that *cell* has nothing in its mailbox just now, nor perhaps anything else to do."""
        if self._seated.get(cell.address) is not cell:
            return
        self._touch(cell)
        if len(self._queue) > len(self._leaving) and cell.is_idle:
            self._leave(cell)
            self._make_room()

    def _touch(self, cell: KeyedCell) -> None:
        cell.rested_at, cell.seen = self._interior.driver.now(), cell.accepted
        self._seated.move_to_end(cell.address)

    def _look(self) -> None:
        """Let those leave that have been idle long enough; the others are looked at again."""
        now, left = self._interior.driver.now(), self._interior.settings.family_departures
        while self._seated and left and not self._has_ended:
            cell = next(iter(self._seated.values()))
            if cell.rested_at + self.idle > now:
                break
            is_due = cell.is_idle and cell.accepted == cell.seen
            self._touch(cell)
            if is_due:
                self._leave(cell)
                left -= 1
        self._arm()

    def _arm(self) -> None:
        if not self._timer.is_armed and self._seated and not self._has_ended:
            due = next(iter(self._seated.values())).rested_at + self.idle
            self._interior.timers.add(due, self._timer)

    # -- leaving -------------------------------------------------------------------------------------------------------

    def _leave(self, cell: KeyedCell) -> None:
        """Let the instance of *cell* go, which has nothing to do."""
        self._begin_departure(cell)

        async def depart() -> None:
            await self._depart(cell, self._interior.driver.now())

        self._interior.run(depart, "departure", cell)

    async def send_away(self, cell: KeyedCell, until: float | None) -> BaseException | None:
        """Let the instance of *cell* go as soon as its handlers have ended, by *until*; return why it has not.

        One that is just coming is waited for first, until then; one that does not come is ended without more ado.
        """
        interior = self._interior
        until = interior.driver.now() + interior.settings.drain_timeout if until is None else until
        await self._wait_while_coming(cell, until)
        if cell.state is State.RUNNING:
            self._begin_departure(cell)
            return await self._depart(cell, until)
        if cell.state is State.LEAVING:
            await self._wait_while(cell, State.LEAVING)
        elif cell.state is not State.WAITING:
            await interior.lifecycle.stop(cell, until=until)
        return None

    async def _wait_while_coming(self, cell: KeyedCell, until: float) -> None:
        timer = Timer(lambda: self._interior.lifecycle.changed(cell))
        self._interior.timers.add(until, timer)
        try:
            while timer.is_armed and cell.state in _COMING:
                await self._interior.lifecycle.wait_for_change(cell)
        finally:
            self._interior.timers.cancel(timer)

    async def _wait_while(self, cell: KeyedCell, state: State) -> None:
        while cell.state is state:
            await self._interior.lifecycle.wait_for_change(cell)

    async def all_leave(self, until: float) -> None:
        """Let all leave that have nothing to do, some at a time, until then; the mesh is about to stop."""
        at_once = self._interior.settings.family_departures
        waiting = [cell for cell in self._seated.values() if cell.is_idle]
        while waiting and self._interior.driver.now() < until:
            some, waiting = waiting[:at_once], waiting[at_once:]
            for cell in some:
                if cell.is_idle and self._seated.get(cell.address) is cell:
                    self._leave(cell)
            for cell in some:
                await self._wait_while(cell, State.LEAVING)

    def _begin_departure(self, cell: KeyedCell) -> None:
        cell.state = State.LEAVING
        self._touch(cell)
        self._leaving.add(cell)

    async def _depart(self, cell: KeyedCell, until: float) -> BaseException | None:
        era = cell.have_life().era
        error = await self._interior.lifecycle.leave(cell, until)
        self._leaving.discard(cell)
        if cell.state is State.LEAVING and cell.have_life().era == era:  # or a stop has taken over
            if error is not None:
                self._stay(cell)
            elif not self._interior.router.is_halted:
                self._depart_or_return(cell)
        return error

    def _stay(self, cell: KeyedCell) -> None:
        """Let *cell* go on with the instance it has, whose state could not be saved; it is tried again later."""
        self._touch(cell)
        self._interior.lifecycle.go_on(cell)
        if self._queue and not self._again.is_armed:
            self._interior.timers.add(self._interior.driver.now() + _SOON, self._again)

    def _depart_or_return(self, cell: KeyedCell) -> None:
        """Take *cell* out, unless there is mail: then it begins again, behind those that wait for a place."""
        if not cell.mail:
            self._interior.lifecycle.vacate(cell)
            return
        self._seated.pop(cell.address, None)
        self._interior.clear(cell)
        cell.empty(self._options)
        self._queue.add(cell)
        self._interior.lifecycle.changed(cell)
        self._fill()
        if cell in self._queue:
            self._make_room()

    def left(self, cell: KeyedCell) -> None:
        """Take note that *cell* is gone, for whatever reason; its place is somebody else's."""
        self._seated.pop(cell.address, None)
        self._queue.discard(cell)
        self._leaving.discard(cell)
        self._fill()

    # -- waiting -------------------------------------------------------------------------------------------------------

    def held_up_by(self) -> "Groups[Origin]":
        """Return what waiting for a place is waiting for: that one of those at work has done its work."""
        busy: list[Origin] = []
        for cell in self._seated.values():
            holding = cell.busy_with() if cell.running else None
            if holding is None:
                return []
            busy.append(holding)
        return [busy]
