"""What an agent owns besides its mailbox: hooks under way, a lifespan, timers, background tasks."""

import contextvars
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ceylon.core.context import Context
from ceylon.core.current import current
from ceylon.core.invocation import call_as
from ceylon.core.log import logger
from ceylon.core.signals import Signal
from ceylon.core.timers import Timer
from ceylon.errors import CeylonError, DefinitionError
from ceylon.messages import TELL

if TYPE_CHECKING:
    from ceylon.core.backend import Task
    from ceylon.core.cell import Cell
    from ceylon.core.interior import Interior

__all__ = ["Belongings", "TimerHandle"]

_own_task: contextvars.ContextVar["Task | None"] = contextvars.ContextVar("ceylon_own_task", default=None)


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
            self._interior.belongings.cancel_timer(self._cell, self._timer)
        else:
            self._interior.gateway.post_quietly(lambda: self._interior.belongings.cancel_timer(self._cell, self._timer))


class Lifespan:
    """An agent's `lifespan` in a task of its own, because scopes must be left by the task that entered them."""

    def __init__(self, interior: "Interior", cell: "Cell", context: Context) -> None:
        self._interior = interior
        self._cell = cell
        self._context = context
        self._is_entered = Signal(interior.driver)
        self._may_leave = Signal(interior.driver)
        self._is_left = Signal(interior.driver)
        self._error: BaseException | None = None
        self._task: Task | None = None

    async def enter(self) -> None:
        """Run the lifespan up to its `yield`; raise what it raises."""
        self._task = self._interior.driver.spawn(self._run, f"ceylon {self._cell.address} lifespan")
        await self._is_entered.wait()
        if self._error is not None:
            raise self._error

    async def leave(self) -> None:
        """Run the rest of it, within the grace given to agents that stop."""
        self._may_leave.set()
        timer = Timer(lambda: self._task.cancel() if self._task is not None else None)
        self._interior.timers.add(self._interior.driver.now() + self._interior.settings.stop_grace, timer)
        await self._is_left.wait()
        self._interior.timers.cancel(timer)

    async def _run(self, task: "Task") -> None:
        hook = self._cell.agent.hook("lifespan")
        try:
            with task.life():
                current.set(self._context)
                steps = hook(self._context) if hook is not None else None
                if not inspect.isasyncgen(steps):
                    message = f"{type(self._cell.agent).__name__}.lifespan must be `async def` with one `yield`"
                    raise DefinitionError(message)  # noqa: TRY301 – carried to whoever starts the agent
                await anext(steps, None)
                self._is_entered.set()
                await self._may_leave.wait()
                await anext(steps, None)
                await steps.aclose()
        except BaseException as error:  # noqa: BLE001 – told to whoever starts the agent, or logged
            self._error = error
            if self._is_entered.is_raised:
                logger().error("lifespan_failed", agent=self._cell.address, exc_info=error)
        finally:
            self._is_entered.set()
            self._is_left.set()


class Belongings:
    """Makes, keeps and ends them, for all agents of a mesh."""

    def __init__(self, interior: "Interior") -> None:
        self._interior = interior

    # -- hooks ---------------------------------------------------------------------------------------------------------

    async def call_hook(self, cell: "Cell", name: str, *arguments: Any) -> None:
        """Run a hook, on the loop if it is async, else in a thread."""
        hook = cell.agent.hook(name)
        if hook is None:
            return
        context = self._context(cell)
        takes = len(inspect.signature(hook).parameters)
        if inspect.iscoroutinefunction(hook):
            token = current.set(context)
            try:
                await hook(*(*arguments, context)[:takes])
            finally:
                current.reset(token)
        else:
            blocking = self._interior.threads.context_for(context)
            given = (*arguments, blocking)[:takes]
            await self._interior.threads.run(lambda: call_as(blocking, hook, *given))

    def _context(self, cell: "Cell") -> Context:
        """Return a context for code that handles no message; what it sends is nobody's ask."""
        envelope = self._interior.router.envelope(TELL, None, cell.address, None)
        return Context(self._interior, cell, envelope)

    async def enter_lifespan(self, cell: "Cell") -> None:
        """Start the agent's lifespan and wait until it has yielded."""
        lifespan = Lifespan(self._interior, cell, self._context(cell))
        await lifespan.enter()
        cell.have_life().lifespan = lifespan

    async def leave_lifespan(self, cell: "Cell") -> None:
        """End the agent's lifespan, if it has one."""
        life = cell.life
        if life is not None and life.lifespan is not None:
            lifespan, life.lifespan = life.lifespan, None
            await lifespan.leave()

    # -- timers --------------------------------------------------------------------------------------------------------

    def after(self, cell: "Cell", seconds: float, message: Any) -> TimerHandle:
        """Tell *cell* *message* in *seconds*."""
        timers = cell.have_life().timers

        def fire() -> None:
            timers.discard(timer)
            self._tell(cell, message)

        timer = Timer(fire)
        timers.add(timer)
        self._interior.timers.add(self._interior.driver.now() + seconds, timer)
        return TimerHandle(self._interior, cell, timer)

    def every(self, cell: "Cell", seconds: float, message: Any) -> TimerHandle:
        """Tell *cell* *message* every *seconds*; a tick that finds no room is a dead letter."""
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

    def cancel_timer(self, cell: "Cell", timer: Timer) -> None:
        """End one of the agent's timers."""
        if cell.life is not None:
            cell.life.timers.discard(timer)
        self._interior.timers.cancel(timer)

    def cancel_timers(self, cell: "Cell") -> None:
        """End all of them."""
        for timer in list(cell.life.timers) if cell.life is not None else ():
            self.cancel_timer(cell, timer)

    # -- tasks ---------------------------------------------------------------------------------------------------------

    def start_soon(self, cell: "Cell", function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        """Run ``function(*arguments)`` in the background as the agent's own.

        Raises:
            DefinitionError: the function is not async.
        """
        if not inspect.iscoroutinefunction(function):
            message = f"start_soon takes an async function, not {function!r}; a plain one belongs in a handler"
            raise DefinitionError(message)
        context = self._context(cell)

        async def run(_: "Cell") -> None:
            current.set(context)
            try:
                await function(*arguments)
            except Exception as error:  # noqa: BLE001 – nobody awaits it
                logger().error("background_failed", agent=cell.address, exc_info=error)

        self.spawn(cell, run, "background")

    def spawn(self, cell: "Cell", function: Callable[["Cell"], Any], name: str) -> None:
        """Run ``function(cell)`` in a task that the agent owns."""
        life = cell.have_life()

        async def run(task: "Task") -> None:
            _own_task.set(task)
            try:
                with task.life():
                    await function(cell)
            except BaseException:  # noqa: BLE001, S110 – cancelled by its agent's end, or it has logged its error
                pass
            finally:
                life.tasks.discard(task)
                self._interior.lifecycle.changed(cell)

        life.tasks.add(self._interior.driver.spawn(run, f"ceylon {cell.address} {name}"))

    def cancel_tasks(self, cell: "Cell") -> None:
        """Cancel the agent's tasks, but for the one that runs here."""
        mine = _own_task.get()
        for task in list(cell.life.tasks) if cell.life is not None else ():
            if task is not mine:
                task.cancel()
