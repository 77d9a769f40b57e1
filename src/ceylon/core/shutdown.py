"""The orderly end of a mesh: refuse, drain, cancel, give up; once, whoever asks and however often."""

from typing import TYPE_CHECKING

from ceylon.core.log import logger
from ceylon.core.signals import Signal
from ceylon.core.sinks import LOOP_ENDED
from ceylon.core.timers import Timer

if TYPE_CHECKING:
    from ceylon.core.backend import Task
    from ceylon.core.cell import Cell
    from ceylon.core.interior import Interior

__all__ = ["Shutdown"]


class Shutdown:
    """One mesh's end. It runs in a task of its own, so that a cancelled caller does not leave it half done."""

    def __init__(self, interior: "Interior") -> None:
        self._interior = interior
        self.closed = Signal(interior.driver)
        self._hurry = Signal(interior.driver)
        self._has_begun = False

    async def watch_loop(self, task: "Task") -> None:
        """Wait for the end; being cancelled here means that the loop ends without the mesh having been stopped."""
        try:
            with task.life():
                await self.closed.wait()
        finally:
            self._close(LOOP_ENDED)

    def begin(self, *, at_once: bool) -> None:
        """Start the end, or hurry one that has begun; on the mesh's loop."""
        if at_once:
            self._hurry.set()
        if not self._has_begun:
            self._has_begun = True
            self._interior.driver.spawn(self._run, f"ceylon {self._interior.name} stop")

    async def wait(self, *, shielded: bool = True) -> None:
        """Wait until the mesh is closed; *shielded*, also if the caller is cancelled meanwhile."""
        if shielded:
            await self._interior.driver.shielded(self.closed.wait)
        else:
            await self.closed.wait()

    async def _run(self, task: "Task") -> None:
        interior = self._interior
        try:
            with task.life():
                interior.is_stopping = interior.router.is_refusing = True
                if not self._hurry.is_raised:
                    end = interior.driver.now() + interior.settings.drain_timeout
                    await self._drain(interior.settings.drain_timeout)
                    for registered in list(interior.registered.values()):
                        await registered.all_leave(end)
                for cell in interior.router.cells.values():
                    interior.lifecycle.halt(cell)
                interior.router.is_halted = True
                interior.grace_end = interior.driver.now() + interior.settings.stop_grace
                interior.dispatcher.cancel_handlers()
                await self._wait_for_handlers(interior.grace())
                for cell in reversed([each for each in interior.router.cells.values() if each.parent is None]):
                    await self._stop_agent(cell)
                await self._close_resources()
        except Exception as error:  # noqa: BLE001 – a mesh that cannot close is worse than one that closes badly
            logger().critical("stop_failed", mesh=interior.name, exc_info=error)
        finally:
            self._close("it is closed")

    def _close(self, why: str) -> None:
        if not self.closed.is_raised:
            try:
                self._interior.close(why)
            finally:  # a mistake of ours in there must not keep whoever waits for the end
                self.closed.set()

    async def _stop_agent(self, cell: "Cell") -> None:
        try:
            await self._interior.lifecycle.stop(cell, until=self._interior.driver.now())
        except Exception as error:  # noqa: BLE001 – one that cannot stop must not keep the others running
            logger().critical("stop_failed", agent=cell.address, exc_info=error)

    async def _close_resources(self) -> None:
        """Close what the agents shared; what hangs is left behind."""
        interior = self._interior
        closed = Signal(interior.driver)

        async def close(task: "Task") -> None:
            try:
                with task.life():
                    await interior.resources.close()
            finally:
                closed.set()

        closing = interior.driver.spawn(close, f"ceylon {interior.name} resources")
        over = Signal(interior.driver)
        closed.also(over.set)
        timer = Timer(over.set)
        interior.timers.add(interior.driver.now() + interior.grace(), timer)
        try:
            await over.wait()
        finally:  # also when the loop ends meanwhile
            interior.timers.cancel(timer)
        if not closed.is_raised:
            closing.cancel()
            logger().error("resources_abandoned", mesh=interior.name)

    async def _drain(self, patience: float) -> None:
        """Let what was accepted be handled, for *patience* seconds or until somebody is in a hurry."""
        future = self._interior.driver.future()

        def go_on() -> None:
            if not future.done():
                future.set_result(None)

        timer = Timer(go_on)
        self._interior.timers.add(self._interior.driver.now() + patience, timer)
        self._interior.quiet.when_quiet(future)
        self._hurry.also(go_on)
        try:
            await future
        finally:
            self._interior.timers.cancel(timer)

    async def _wait_for_handlers(self, patience: float) -> None:
        """Let cancelled handlers, and threads, end for *patience* seconds."""
        future = self._interior.driver.future()
        timer = Timer(lambda: None if future.done() else future.set_result(None))
        self._interior.timers.add(self._interior.driver.now() + patience, timer)
        self._interior.quiet.when_idle(future)
        try:
            await future
        finally:
            self._interior.timers.cancel(timer)
