"""Run what a user has written in a task of its own: nothing it leaves behind is the run's.

A cancellation of its own making, a scope left open, a variable that was changed: all of that stays there. So a
cancellation is the run's own only if the run has asked for it, as for handlers, and the tasks of the run itself, which
are in task groups, never meet foreign code.
"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import anyio

from ceylon.core.current import current
from ceylon.core.signals import Signal
from ceylon.errors import MeshClosedError, StrayCancellationError
from ceylon.messages import Outcome

if TYPE_CHECKING:
    from ceylon.core.backend import Task
    from ceylon.core.context import Context
    from ceylon.core.dispatcher import Dispatcher

__all__ = ["Errand", "run_apart"]


async def run_apart(
    context: "Context",
    function: Callable[..., Awaitable[Any]],
    *arguments: Any,
    on_end: Callable[[], None] | None = None,
    asides: list[BaseException],
) -> Any:
    """Await ``function(*arguments)`` as part of *context*; cancelled, cancel it and wait for its end.

    *on_end* is called at the very end of it, a turn of the loop before this comes back. What it raises when it is
    cancelled goes to *asides*: it is no reason to go on.

    Raises:
        StrayCancellationError: it was cancelled by nobody we know.
    """
    errand = Errand(context, function, arguments)
    if on_end is not None:
        errand.ended.also(on_end)
    try:
        await errand.ended.wait()
    except BaseException:
        await errand.cancel()
        error = errand.outcome.error
        if error is not None and not isinstance(error, (context.interior.driver.cancellation, MeshClosedError)):
            asides.append(error)
        raise
    return errand.outcome.get()


class Errand:
    """One such task; the watchdog knows it by its `attempt`."""

    def __init__(self, context: "Context", function: Callable[..., Awaitable[Any]], arguments: tuple[Any, ...]) -> None:
        self.context, self._function, self._arguments = context, function, arguments
        self._interior = context.interior
        self._is_cancelling = False
        self.ended = Signal(self._interior.driver)
        self.outcome = Outcome(error=MeshClosedError(self._interior.name, "it stopped before the stage was done"))
        self._task = self._interior.driver.spawn(self._work, "ceylon stage")

    @property
    def dispatcher(self) -> "Dispatcher":
        """The dispatcher of the mesh it is part of."""
        return self._interior.dispatcher

    async def cancel(self) -> None:
        """Cancel it and wait for its end, unless it ignores that."""
        if self.ended.is_raised:
            return
        self._is_cancelling = True
        self._task.cancel()
        with anyio.move_on_after(self._interior.grace(), shield=True):
            await self.ended.wait()
        if self._interior.is_open and not bool(self.ended.is_raised):
            self._task.disown()
            self._interior.quiet_log.warning("stage_abandoned", self.context.address)

    async def _work(self, task: "Task") -> None:
        current.set(self.context)
        try:
            with task.life():
                self.outcome = await self.attempt()
                await task.tidy()
        except BaseException:  # noqa: BLE001, S110 – leaving a spoilt scope may raise; the outcome is known by then
            pass
        finally:
            current.set(None)  # the loop may keep the task's variables for a while
            self.ended.set()

    async def attempt(self) -> Outcome:
        """Run the function; return how it ended."""
        try:
            return Outcome(await self._function(*self._arguments))
        except BaseException as error:  # noqa: BLE001 – whatever it is, it is raised in the run
            if isinstance(error, self._interior.driver.cancellation) and not self._is_cancelling:
                self._interior.close_if_loop_ends()
                stray = StrayCancellationError(self.context.address)
                stray.__cause__ = error
                return Outcome(error=stray)
            return Outcome(error=error)
