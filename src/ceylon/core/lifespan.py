"""An agent's `lifespan`, and the kind of task that it, hooks and background work of an agent run in."""

import contextlib
import inspect
from typing import TYPE_CHECKING, cast

from ceylon.core.current import current
from ceylon.core.signals import Signal
from ceylon.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from ceylon.core.backend import Task
    from ceylon.core.belongings import Belongings
    from ceylon.core.cell import Cell
    from ceylon.core.interior import Interior

__all__ = ["Lifespan", "OwnTask"]


class OwnTask:
    """A task of an agent's: `ended` is raised when it is over, and `error` is then what it ended by."""

    __slots__ = ("ended", "error", "is_cancelling", "name", "task")

    task: "Task"

    def __init__(self, name: str, ended: Signal) -> None:
        self.name = name
        self.ended = ended
        self.error: BaseException | None = None
        self.is_cancelling = False  # by the mesh: a cancellation from elsewhere is a failure

    def cancel(self) -> None:
        """End it."""
        if not self.ended.is_raised:
            self.is_cancelling = True
            self.task.cancel()


class Lifespan:
    """An agent's `lifespan` in a task of its own, because scopes must be left by the task that entered them."""

    def __init__(self, belongings: "Belongings", interior: "Interior", cell: "Cell") -> None:
        self._belongings = belongings
        self._interior = interior
        self._cell = cell
        self._is_entered = Signal(interior.driver)
        self._may_leave = Signal(interior.driver)
        self._has_yielded = False
        self.task: OwnTask | None = None

    async def enter(self) -> BaseException | None:
        """Run the lifespan up to its `yield`; return what it raises."""
        self.task = self._belongings.spawn(self._cell, self._run, "lifespan")
        self.task.ended.also(self._ended)
        await self._is_entered.wait()
        return self.task.error

    async def leave(self, patience: float) -> None:
        """Run the rest of it, or end it if it has not come to its `yield`."""
        self._may_leave.set()
        if self.task is not None:
            if not self._has_yielded:
                self.task.cancel()
            await self._belongings.wait_or_end(self._cell, self.task, "lifespan", patience)

    def _ended(self) -> None:
        self._is_entered.set()
        if self._has_yielded and self.task is not None and self.task.error is not None:
            self._interior.quiet_log.error("lifespan_failed", self._cell.address, exc_info=self.task.error)

    async def _run(self, cell: "Cell") -> None:
        hook = cell.agent.__ceylon_hook__("lifespan")
        context = self._belongings.context_for(cell)
        current.set(context)
        steps = hook(context) if hook is not None else None
        if not inspect.isasyncgen(steps):
            if inspect.iscoroutine(steps):
                steps.close()
            message = f"{type(cell.agent).__name__}.lifespan must be `async def` with one `yield`"
            raise DefinitionError(message)
        made = cast("AsyncGenerator[None, None]", steps)
        async with contextlib.AsyncExitStack() as entered:
            with self._belongings.holding(cell, context):
                await entered.enter_async_context(contextlib.asynccontextmanager(lambda: made)())
            self._has_yielded = True
            self._is_entered.set()
            await self._may_leave.wait()
