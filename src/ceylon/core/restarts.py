"""Agents begin again: alone, or with their siblings, as their parent's strategy says.

The order is Erlang/OTP's: those concerned are taken down last started first, then started again first started first.
Their mailboxes stay. Whose restarts are counted together also begins again one after the other.
"""

from collections import deque
from typing import TYPE_CHECKING

from ceylon.core.cell import Cell, State
from ceylon.core.life import Record
from ceylon.core.log import logger
from ceylon.core.timers import Timer
from ceylon.errors import describe

if TYPE_CHECKING:
    from ceylon.core.failures import Failure
    from ceylon.core.interior import Interior

__all__ = ["Restarts"]

_BETWEEN = frozenset({State.STARTING, State.RESTARTING})
_THERE = frozenset({State.STARTING, State.RUNNING, State.RESTARTING})


class Restarts:
    """Begins agents of one mesh again, as often as is allowed."""

    def __init__(self, interior: "Interior") -> None:
        self._interior = interior

    def begin(self, cell: Cell, failure: "Failure") -> None:
        """Begin *cell* again, or give it up if that was too often."""
        if not self._may(cell):
            self._interior.failures.give_up(cell, failure)
            return
        cell.state = State.RESTARTING
        record = _record(cell)
        if record.due is not None:
            record.due.append((cell, failure))
            return
        record.due = deque([(cell, failure)])
        self._interior.run(lambda: self._see_to(record), "restart", cell)

    def _may(self, cell: Cell) -> bool:
        """Count a restart of *cell*, if there may be one more."""
        keeper = cell if is_alone(cell) else cell.parent or cell
        now = self._interior.driver.now()
        return self._interior.supervisor.may_restart(_record(cell).failures, now, keeper.options)

    async def _see_to(self, record: Record) -> None:
        """Do one restart after the other, until none is due."""
        while record.due:
            cell, failure = record.due.popleft()
            if cell.state is State.RESTARTING:
                await self._again(cell, failure, record)
        record.due = None

    async def _again(self, cell: Cell, failure: "Failure", record: Record) -> None:
        group = _group(cell)
        try:
            for each in reversed(group):
                if each.state in _THERE and not _is_given_up(each):
                    await self._interior.lifecycle.take_down(each)
            await self._pause(cell, record)
            for each in group:
                if each.state is State.RESTARTING and not _is_given_up(each):
                    await self._anew(each, failure.error)
        except Exception as error:  # noqa: BLE001 – a mistake of ours; nobody is left half-way
            logger().critical("lifecycle_failed", agent=cell.address, task="restart", exc_info=error)
            for each in group:
                if each.state is State.RESTARTING:
                    self._interior.failures.give_up(each, failure)

    async def _anew(self, cell: Cell, error: BaseException) -> None:
        if not self._rebuild(cell):
            return
        cell.restarts += 1
        await self._interior.lifecycle.begin(cell, error)
        if cell.state is State.RUNNING:
            logger().warning("agent_restarted", agent=cell.address, restarts=cell.restarts, error=describe(error))

    async def may_try_again(self, cell: Cell, error: BaseException) -> bool:
        """Wait, and put a new instance in the place of one that could not start; say no if that is no use."""
        if not self._may(cell):
            self._interior.failures.could_not_start(cell, error)
            return False
        era = cell.have_life().era
        await self._pause(cell, _record(cell))
        return cell.state in _BETWEEN and cell.have_life().era == era and self._rebuild(cell)

    def _rebuild(self, cell: Cell) -> bool:
        """Put a new instance in the agent's place; say no, having given the agent up, if there can be none."""
        try:
            cell.agent = cell.rebuilt()
        except BaseException as refused:  # noqa: BLE001 – a user's __init__; nothing is awaited here
            if isinstance(refused, KeyboardInterrupt):
                self._interior.interrupt()
            logger().error("agent_rebuild_failed", agent=cell.address, exc_info=refused)
            cell.have_life().start_error = refused
            self._interior.failures.could_not_start(cell, refused)
            return False
        life = cell.have_life()
        life.has_stopped, life.start_error = False, None
        self._interior.adopt(cell)
        return True

    async def _pause(self, cell: Cell, record: Record) -> None:
        """Wait before a restart; who is stopped meanwhile, or taken down by a sibling's failure, waits no more."""
        life, driver, timers = cell.have_life(), self._interior.driver, self._interior.timers
        era, timer = life.era, Timer(lambda: self._interior.lifecycle.changed(cell))
        timers.add(driver.now() + self._interior.supervisor.pause(record.failures), timer)
        try:
            while timer.is_armed and cell.state in _BETWEEN and life.era == era:
                await self._interior.lifecycle.wait_for_change(cell)
        finally:
            timers.cancel(timer)


def is_alone(cell: Cell) -> bool:
    """Say whether a restart of *cell* is no affair of its siblings."""
    return cell.parent is None or cell.parent.options.strategy == "one_for_one"


def _record(cell: Cell) -> Record:
    """Return where restarts of *cell* are counted."""
    if cell.parent is None or is_alone(cell):
        life = cell.have_life()
        if life.own is None:
            life.own = Record()
        return life.own
    life = cell.parent.have_life()
    if life.group is None:
        life.group = Record()
    return life.group


def _is_given_up(cell: Cell) -> bool:
    """Say whether *cell* has failed for good; somebody sees to its end already."""
    return cell.life is not None and cell.life.failure is not None


def _group(cell: Cell) -> list[Cell]:
    """Return whoever begins again when *cell* does, first started first."""
    if cell.parent is None or is_alone(cell):
        return [cell]
    siblings = list(cell.parent.have_life().children.values())
    return siblings if cell.parent.options.strategy == "one_for_all" else siblings[siblings.index(cell) :]
