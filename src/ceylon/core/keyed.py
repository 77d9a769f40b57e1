"""Agents that exist by being spoken to: one for each key, made at its first message, out of memory when idle.

The place of a key, its cell, takes mail from the first message to the moment when nothing is left to be done; the
instances in it come and go. So a message that arrives while one leaves is the next one's, behind those before it.
"""

from typing import TYPE_CHECKING

from ceylon.core.absent import ABSENT_OPTIONS
from ceylon.core.keyed_cell import KeyedCell
from ceylon.core.leave_taking import LeaveTaking
from ceylon.core.ledger import Reason
from ceylon.core.log import logger
from ceylon.core.places import Places
from ceylon.core.timers import Timer
from ceylon.errors import AgentStartError
from ceylon.settings import DEFAULTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ceylon.core.interior import Interior
    from ceylon.core.makers import Maker
    from ceylon.core.ports import AgentLike
    from ceylon.core.snapshots import Snapshots
    from ceylon.messages import Envelope

__all__ = ["KeyedAgents"]


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
        self.maker, self.name, self.make = maker, maker.name, maker.make
        self.idle = idle
        self.snapshots = snapshots
        self._lost: BaseException | None = None  # why the first state was not saved that should have been at an end
        self._places = Places(limit, interior.settings)
        self.held_up_by = self._places.held_up_by
        self._leave_taking = LeaveTaking(interior, self._places, self._make_room, self._come_again)
        self._options = ABSENT_OPTIONS  # of the last one made
        self._timer = Timer(self._look)
        self._is_filling = False
        self._is_ending = False

    def __repr__(self) -> str:
        return f"<KeyedAgents {self.name!r} {len(self._places.seated)} in memory {len(self._places.queue)} waiting>"

    @property
    def limit(self) -> int:
        """How many may have an instance."""
        return self._places.limit

    # -- what is registered, see `Registered` --------------------------------------------------------------------------

    @property
    def sample(self) -> str:
        """What an address looks like."""
        return f"{self.name}/…"

    @property
    def timers(self) -> int:
        """How many of the mesh's timers are armed for the family."""
        return self._timer.is_armed + self._leave_taking.timer.is_armed

    @property
    def example(self) -> "AgentLike | None":
        """One of its agents, if any is in memory."""
        return next((cell.agent for cell in list(self._places.seated.values())), None)

    def wants_key(self) -> bool:
        """Say that an address has one."""
        return True

    def cells(self) -> "Sequence[KeyedCell]":
        """Return the places of all agents that are in memory or wait for that."""
        return self._places.cells()

    def receiver(self, envelope: "Envelope", key: str) -> KeyedCell | None:
        """Return a place for *key*, for which there was none.

        Raises:
            AgentStartError: its agent could not be made.
        """
        if not 1 <= len(key) <= DEFAULTS.conversation_key:
            return None
        cell = KeyedCell(self, envelope.recipient, key, self._options)
        if self._places.has_free() and not self._places.queue:
            self._seat(cell)
        else:
            self._enqueue(cell)
        return cell

    async def end(self, until: float | None) -> BaseException | None:
        """Make no agent any more, and end those there are, last used first; their states are saved."""
        self._is_ending = True
        lifecycle, driver = self._interior.lifecycle, self._interior.driver
        end = driver.now() + self._interior.settings.drain_timeout if until is None else until
        for cell in reversed(self._places.cells()):
            await lifecycle.stop(cell, until=end)
        for timer in (self._timer, self._leave_taking.timer):
            self._interior.timers.cancel(timer)
        return self._lost

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
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                interior.interrupt()
            raise AgentStartError(cell.address, error) from error
        self._places.seat(cell, interior.driver.now())
        cell.furnish(agent, behaviour, self._options, interior.settings.mailbox_capacity)
        interior.admit(cell)
        self._arm()

    def _enqueue(self, cell: KeyedCell) -> None:
        """Let *cell* wait for a place, and see to it that there is one."""
        newest = next(reversed(self._places.queue), None)
        if newest is not None:
            self.maybe_unwanted(newest)  # whoever wanted it did not wait
        self._places.line_up(cell)
        self._interior.router.cells[cell.address] = cell
        if self._places.wanted() == 1:  # else somebody leaves, or nobody could before, and whoever rests will
            self._make_room()

    def _make_room(self) -> None:
        """Let those leave that have rested longest, one for each that waits for a place, as far as there are such."""
        now = self._interior.driver.now()
        while self._places.wanted() > 0 and (cell := self._places.longest_idle(now)) is not None:
            self._let_leave(cell)

    def _let_leave(self, cell: KeyedCell) -> None:
        """Let *cell* go, whose place is promised to the first that waits for one."""
        self._leave_taking.begin(cell)
        self._places.promise_last()

    def maybe_unwanted(self, cell: KeyedCell) -> None:
        """Give up a place that is waited for, if nobody wants it any more."""
        if cell in self._places.queue and not cell.mail and not cell.parked:
            self._interior.lifecycle.vacate(cell)

    def _fill(self) -> None:
        """Give away the places that are free, first come, first served."""
        if self._is_filling:
            return  # whoever called this goes on
        self._is_filling = True
        try:
            while self._places.queue and self._places.has_free() and not self._has_ended:
                cell = next(iter(self._places.queue))
                self._places.queue.discard(cell)
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
        if not self._places.holds(cell):
            return
        if cell.sent != cell.seen:
            self._places.touch(cell, self._interior.driver.now())
        if self._places.wanted() <= 0:
            self._places.expect_idle()
        elif cell.is_idle:
            self._let_leave(cell)

    def _look(self) -> None:
        """Let those leave that have been idle long enough; the others are looked at again."""
        now, left = self._interior.driver.now(), self._interior.settings.family_departures
        while left and not self._has_ended and (cell := self._places.first()) is not None:
            if cell.rested_at + self.idle > now:
                break
            is_due = cell.is_idle and cell.sent == cell.seen
            self._places.touch(cell, now)
            if is_due:
                self._leave_taking.begin(cell)
                left -= 1
        self._arm()

    def _arm(self) -> None:
        first = self._places.first()
        if first is not None and not self._timer.is_armed and not self._has_ended:
            self._interior.timers.add(first.rested_at + self.idle, self._timer)

    # -- leaving -------------------------------------------------------------------------------------------------------

    async def send_away(self, cell: KeyedCell, until: float | None) -> BaseException | None:
        """Let the instance of *cell* go, by *until*; return why it has not."""
        return await self._leave_taking.send_away(cell, until)

    async def all_leave(self, until: float) -> None:
        """Let all leave that have nothing to do; the mesh is about to stop."""
        await self._leave_taking.all_leave(until)

    def _come_again(self, cell: KeyedCell) -> None:
        """Give *cell*, whose instance has left, another one as soon as it is its turn."""
        cell.empty(self._options)
        self._places.line_up(cell)
        self._fill()
        if cell in self._places.queue:
            self._make_room()

    def lose(self, error: BaseException) -> None:
        """Take note that a state is lost, since its agent had to end all the same; `end` says why the first was."""
        if self._lost is None:
            self._lost = error

    def left(self, cell: KeyedCell) -> None:
        """Take note that *cell* is gone, for whatever reason; its place is somebody else's."""
        self._places.remove(cell)
        self._fill()
        if not self._places.seated:
            self._interior.timers.cancel(self._timer)
