"""What an agent owns besides its mailbox and its timers: hooks under way, a lifespan, background tasks."""

import contextlib
import contextvars
import inspect
from collections.abc import Awaitable, Callable, Generator
from typing import TYPE_CHECKING, Any

from ceylon.core.context import Context
from ceylon.core.current import current
from ceylon.core.invocation import call_as
from ceylon.core.lifespan import Lifespan, OwnTask
from ceylon.core.signals import Signal
from ceylon.core.timers import Timer
from ceylon.errors import DefinitionError, StrayCancellationError
from ceylon.messages import TELL

if TYPE_CHECKING:
    from ceylon.core.backend import Task
    from ceylon.core.cell import Cell
    from ceylon.core.interior import Interior

__all__ = ["Belongings"]

_own_task: contextvars.ContextVar["OwnTask | None"] = contextvars.ContextVar("ceylon_own_task", default=None)


class Belongings:
    """Makes, keeps and ends them, for all agents of a mesh."""

    def __init__(self, interior: "Interior") -> None:
        self._interior = interior
        self.alive = 0  # hooks and background tasks; not lifespans, which mostly wait for the end

    def context_for(self, cell: "Cell") -> Context:
        """Return a context for code that handles no message; what it sends is nobody's ask."""
        envelope = self._interior.router.envelope(TELL, None, cell.address, None)
        return Context(self._interior, cell, envelope)

    # -- hooks ---------------------------------------------------------------------------------------------------------

    async def run_hook(
        self, cell: "Cell", name: str, *arguments: Any, patience: float | None = None
    ) -> BaseException | None:
        """Run a hook if the agent has it, on the loop if it is async, else in a thread; return what it raises.

        It runs in a task of its own, so that one which hangs, or cancels itself, or leaves a scope open, spoils nothing
        but itself; after *patience* seconds it is cancelled.
        """
        hook = cell.agent.__ceylon_hook__(name)
        if hook is None:
            return None

        async def run(_: "Cell") -> None:
            await self.call_hook(cell, hook, *arguments)

        return await self.run(cell, run, name, patience=patience)

    async def run(
        self, cell: "Cell", function: Callable[["Cell"], Awaitable[None]], name: str, *, patience: float | None = None
    ) -> BaseException | None:
        """Run ``function(cell)`` in a task that the agent owns, as a hook is run; return what it raises."""
        own = self.spawn(cell, function, name)
        await self.wait_or_end(cell, own, name, patience)
        if isinstance(own.error, KeyboardInterrupt):
            self._interior.interrupt()
        return own.error

    async def call_hook(self, cell: "Cell", hook: Callable[..., Any], *arguments: Any) -> Any:
        """Return what *hook* does, called with as much of *arguments* and a context as it takes; in a task for it."""
        takes = len(inspect.signature(hook).parameters)
        context = self.context_for(cell)
        current.set(context)
        with self.holding(cell, context):
            if inspect.iscoroutinefunction(hook):
                return await hook(*(*arguments, context)[:takes])
            blocking = self._interior.threads.context_for(context)
            given = (*arguments, blocking)[:takes]
            return await self._interior.threads.run(lambda: call_as(blocking, hook, *given))

    @contextlib.contextmanager
    def holding(self, cell: "Cell", context: Context) -> Generator[None]:
        """Let the waits graph know that a hook runs, whose end the agent's mail may wait for."""
        hooks = cell.have_life().hooks
        hooks.append(context)
        try:
            yield
        finally:
            hooks.remove(context)

    async def enter_lifespan(self, cell: "Cell") -> BaseException | None:
        """Start the agent's lifespan, if it has one, and wait until it has yielded; return what it raises."""
        if cell.agent.__ceylon_hook__("lifespan") is None:
            return None
        lifespan = Lifespan(self, self._interior, cell)
        cell.have_life().lifespan = lifespan
        error = await lifespan.enter()
        if error is not None:
            cell.have_life().lifespan = None
        return error

    async def leave_lifespan(self, cell: "Cell", patience: float) -> None:
        """End the agent's lifespan, if it has one."""
        life = cell.life
        if life is not None and life.lifespan is not None:
            lifespan, life.lifespan = life.lifespan, None
            await lifespan.leave(patience)

    # -- tasks ---------------------------------------------------------------------------------------------------------

    def start_soon(self, cell: "Cell", function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        """Run ``function(*arguments)`` in the background as the agent's own.

        Raises:
            DefinitionError: the function is not async.
        """
        if not inspect.iscoroutinefunction(function):
            message = f"start_soon takes an async function, not {function!r}; a plain one belongs in a handler"
            raise DefinitionError(message)

        async def run(_: "Cell") -> None:
            current.set(self.context_for(cell))
            await function(*arguments)

        own = self.spawn(cell, run, "background")
        own.ended.also(lambda: self._background_ended(cell, own))

    def _background_ended(self, cell: "Cell", own: OwnTask) -> None:
        if cell.is_thrifty and not cell.mail and not cell.leases:
            cell.rest()  # what was to be done is done, also what no message was about
        if isinstance(own.error, KeyboardInterrupt):
            self._interior.interrupt()
        elif own.error is not None:  # nobody awaits it
            self._interior.quiet_log.error("background_failed", cell.address, exc_info=own.error)

    def spawn(self, cell: "Cell", function: Callable[["Cell"], Awaitable[None]], name: str) -> OwnTask:
        """Run ``function(cell)`` in a task that the agent owns."""
        own = OwnTask(name, Signal(self._interior.driver))
        tasks = cell.have_life().tasks
        counts = name != "lifespan"

        async def run(task: "Task") -> None:
            _own_task.set(own)
            try:
                with task.life():
                    try:
                        await function(cell)
                    except BaseException as error:  # noqa: BLE001 – kept for whoever waits; it must not reach the loop
                        own.error = self._judge(cell, own, error)
                    await task.tidy()
            except BaseException:  # noqa: BLE001, S110 – a scope was left in disorder; the task ends here anyway
                pass
            finally:
                self.alive -= counts
                tasks.discard(own)
                own.ended.set()
                self._interior.lifecycle.changed(cell)

        tasks.add(own)
        self.alive += counts
        if self._interior.watchdog is not None:
            self._interior.watchdog.wake()
        own.task = self._interior.driver.spawn(run, f"ceylon {cell.address} {name}")
        return own

    def _judge(self, cell: "Cell", own: OwnTask, error: BaseException) -> BaseException | None:
        """Return what *error* means: a cancellation is the mesh's only if the mesh, or its loop's end, asked for it."""
        if not isinstance(error, self._interior.driver.cancellation):
            return error
        self._interior.close_if_loop_ends()
        if own.is_cancelling or not self._interior.is_open:
            return None
        stray = StrayCancellationError(cell.address)
        stray.__cause__ = error
        return stray

    async def wait_or_end(self, cell: "Cell", own: OwnTask, name: str, patience: float | None) -> None:
        """Wait for *own*; after *patience* seconds cancel it, and after as many again leave it alone."""
        try:
            await self._wait(own, patience)
        except BaseException:  # whoever waits is cancelled, and so is what he waits for
            own.cancel()
            raise
        if not own.ended.is_raised:
            own.cancel()
            await self._wait_or_disown(cell, own, name, patience)

    async def end_tasks(self, cell: "Cell", patience: float) -> None:
        """Cancel the agent's tasks, but for the one that runs here and the lifespan's, and wait for their ends."""
        life = cell.life
        if life is None:
            return
        spared = {_own_task.get(), life.lifespan.task if life.lifespan is not None else None}
        others = [own for own in life.tasks if own not in spared]
        for own in others:
            own.cancel()
        end = self._interior.driver.now() + patience
        for own in others:
            await self._wait_or_disown(cell, own, "background", end - self._interior.driver.now())

    async def _wait_or_disown(self, cell: "Cell", own: OwnTask, name: str, patience: float | None) -> None:
        await self._wait(own, patience)
        if not own.ended.is_raised:
            own.task.disown()
            self._interior.quiet_log.error("task_abandoned", cell.address, task=name)

    async def _wait(self, own: OwnTask, patience: float | None) -> None:
        if patience is None:
            await own.ended.wait()
        if patience is None or own.ended.is_raised:
            return
        is_over = Signal(self._interior.driver)
        own.ended.also(is_over.set)
        timer = Timer(is_over.set)
        self._interior.timers.add(self._interior.driver.now() + patience, timer)
        try:
            await is_over.wait()
        finally:
            self._interior.timers.cancel(timer)
