"""Carry the state of keyed agents between their instances and their family's snapshots.

An agent that leaves is asked for its state by `save`, and the next instance for its key gets it by `load`, before any
other hook. An instance that failed is asked for nothing: what it was when it failed is not what anybody wants back.
"""

from typing import TYPE_CHECKING, Any, Final

from ceylon.core.cell import State
from ceylon.core.log import logger
from ceylon.errors import SnapshotError, describe

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ceylon.core.cell import Cell
    from ceylon.core.interior import Interior
    from ceylon.core.keyed_cell import KeyedCell

__all__ = ["Keeping"]

_BEFORE: Final = frozenset({State.WAITING, State.STARTING, State.RESTARTING})


class Keeping:
    """Does so for one mesh; on its loop."""

    def __init__(self, interior: "Interior") -> None:
        self._interior = interior

    async def load(self, cell: "KeyedCell") -> BaseException | None:
        """Give a new instance the state that was saved last, if it wants it and there is one; return what is raised."""
        hook = cell.agent.__ceylon_hook__("load")
        if hook is None:
            return None

        async def work(_: "Cell") -> None:
            state = await cell.family.snapshots.load(cell.address)
            if state is not None:
                await self._interior.belongings.call_hook(cell, hook, state)

        return await self._run(cell, work, "loaded", None)

    async def save(self, cell: "KeyedCell") -> BaseException | None:
        """Keep the state of the instance there, if it has any to keep; return what is raised."""
        hook = cell.agent.__ceylon_hook__("save")
        if hook is None or cell.is_spoilt:
            return None

        async def work(_: "Cell") -> None:
            state = await self._interior.belongings.call_hook(cell, hook)
            if state is None:
                await cell.family.snapshots.delete(cell.address)
            else:
                await cell.family.snapshots.save(cell.address, state)

        error = await self._run(cell, work, "saved", self._interior.grace())
        cell.is_saved = error is None
        if error is not None:
            logger().error("agent_save_failed", agent=cell.address, exc_info=error)
        return error

    async def save_at_the_end(self, cell: "KeyedCell") -> None:
        """Keep the state of an agent that has to end, saved or not; of one that has left already, nothing is there."""
        life = cell.have_life()
        if life.has_stopped or life.start_error is not None:
            return
        error = await self.save(cell)
        if error is not None:
            cell.family.lose(error)
            self._say_lost(cell)

    def lose(self, cell: "KeyedCell") -> None:
        """Say that the state of *cell* goes with it, if so: no loop is left that could save it."""
        has_begun = cell.state not in _BEFORE and (cell.life is None or cell.life.start_error is None)
        if has_begun and not cell.is_saved and cell.agent.__ceylon_hook__("save") is not None:
            self._say_lost(cell)

    @staticmethod
    def _say_lost(cell: "KeyedCell") -> None:
        logger().error("agent_state_lost", agent=cell.address)

    async def _run(
        self, cell: "KeyedCell", work: "Callable[[Cell], Awaitable[None]]", verb: str, patience: float | None
    ) -> BaseException | None:
        """Run *work* as the agent's own; that it was not over in time is an error like any other."""
        is_over = False

        async def whole(place: "Cell") -> None:
            nonlocal is_over
            await work(place)
            is_over = True

        cause: Any = await self._interior.belongings.run(cell, whole, verb, patience=patience)
        if is_over:
            return None
        error = SnapshotError(cell.address, verb, "it took too long" if cause is None else describe(cause))
        error.__cause__ = cause
        return error
