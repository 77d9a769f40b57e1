"""Agents begin, fail, begin again and end.

What takes time runs in a task of its own for as long as it takes; an agent that is merely there has none.
"""

from typing import TYPE_CHECKING

import anyio

from ceylon.core.cell import Cell, State
from ceylon.core.ledger import Reason
from ceylon.core.log import logger
from ceylon.core.signals import Signal
from ceylon.core.timers import Timer
from ceylon.errors import AgentStartError, AgentStoppedError, CeylonError, MeshClosedError, describe
from ceylon.messages import Envelope

if TYPE_CHECKING:
    from ceylon.core.interior import Interior

__all__ = ["Lifecycle"]

_HOOKS = ("on_start", "lifespan")


class Lifecycle:
    """Starts, restarts and stops the agents of one mesh."""

    def __init__(self, interior: "Interior") -> None:
        self._interior = interior
        self._driver = interior.driver

    # -- start ---------------------------------------------------------------------------------------------------------

    def start(self, cell: Cell) -> None:
        """Let *cell* handle messages, after its start hooks if it has any."""
        if any(cell.agent.hook(name) is not None for name in _HOOKS):
            self._interior.belongings.spawn(cell, self._start, "start")
        else:
            self._run(cell)

    def _run(self, cell: Cell) -> None:
        cell.state = State.RUNNING
        self.changed(cell)
        if cell.mail:
            self._interior.dispatcher.offer(cell)

    async def _start(self, cell: Cell) -> None:
        """Run the start hooks; a failing one is tried again by the rule for restarts."""
        while True:
            try:
                await self._enter(cell)
            except Exception as error:  # noqa: BLE001 – a hook's failure is the supervisor's affair
                cell.have_life().start_error = error
                logger().error("agent_start_failed", agent=cell.address, exc_info=error)
                if not await self._pause(cell, error):
                    return
                if not self._renew(cell):
                    return
            else:
                cell.have_life().start_error = None
                self._run(cell)
                return

    async def _enter(self, cell: Cell) -> None:
        if cell.agent.hook("lifespan") is not None:
            await self._interior.belongings.enter_lifespan(cell)
        await self._interior.belongings.call_hook(cell, "on_start")

    async def _pause(self, cell: Cell, error: BaseException) -> bool:
        """Wait before the next attempt; say no, and stop the agent for good, if there were too many."""
        supervisor, now = self._interior.supervisor, self._driver.now()
        failures = cell.have_life().failures
        if not supervisor.may_restart(failures, now):
            logger().error("agent_failed_for_good", agent=cell.address, error=describe(error))
            await self._leave(cell, Reason.AGENT_FAILED)
            return False
        await self.sleep(supervisor.pause(failures))
        return cell.state in {State.STARTING, State.RESTARTING}

    async def sleep(self, seconds: float) -> None:
        """Wait for *seconds*, on the mesh's own timers."""
        future = self._driver.future()
        timer = Timer(lambda: None if future.done() else future.set_result(None))
        self._interior.timers.add(self._driver.now() + seconds, timer)
        try:
            await future
        finally:
            self._interior.timers.cancel(timer)

    # -- failure -------------------------------------------------------------------------------------------------------

    def supervise(self, cell: Cell, envelope: Envelope, error: BaseException) -> None:
        """Do what the supervisor decides after a handler failed."""
        if cell.state is not State.RUNNING:
            return
        try:
            directive = self._interior.supervisor.decide(cell.options, envelope, error)
        except Exception as refused:  # noqa: BLE001 – a user's callable; the agent must not hang between two states
            logger().error("supervision_failed", agent=cell.address, exc_info=refused)
            directive = "stop"
        if directive == "restart":
            cell.state = State.RESTARTING
            self._interior.belongings.spawn(cell, lambda it: self._restart(it, error), "restart")
        elif directive == "stop":
            self.halt(cell)  # at once: what is behind the failing message is not handled any more
            logger().error("agent_stopped_by_failure", agent=cell.address, error=describe(error))
            self._interior.belongings.spawn(cell, lambda it: self.stop(it, reason=Reason.AGENT_FAILED), "stop")

    async def _restart(self, cell: Cell, error: BaseException) -> None:
        """Leave the old instance, make a new one, and let it go on with the same mailbox."""
        await self._wait_until_settled(cell)
        await self._close_hooks(cell)
        if not await self._pause(cell, error) or not self._renew(cell):
            return
        cell.restarts += 1
        while True:
            try:
                await self._enter(cell)
                await self._interior.belongings.call_hook(cell, "on_restart", error)
            except Exception as again:  # noqa: BLE001 – as in _start
                logger().error("agent_restart_failed", agent=cell.address, exc_info=again)
                await self._close_hooks(cell)
                if not await self._pause(cell, again) or not self._renew(cell):
                    return
            else:
                logger().warning("agent_restarted", agent=cell.address, restarts=cell.restarts, error=describe(error))
                self._run(cell)
                return

    def _renew(self, cell: Cell) -> bool:
        """Put a new instance in the agent's place; say no if it cannot be made."""
        try:
            cell.agent = cell.agent.rebuild()
        except Exception as error:  # noqa: BLE001 – a user's __init__
            logger().error("agent_rebuild_failed", agent=cell.address, exc_info=error)
            cell.have_life().start_error = error
            self._interior.belongings.spawn(cell, lambda it: self._leave(it, Reason.AGENT_FAILED), "stop")
            return False
        self._interior.adopt(cell)
        return True

    # -- stop ----------------------------------------------------------------------------------------------------------

    def halt(self, cell: Cell) -> None:
        """Let *cell* begin nothing more; the mesh is going to stop it."""
        if cell.state is State.RUNNING:
            cell.state = State.HALTED

    async def stop(self, cell: Cell, *, reason: Reason = Reason.STOPPED, grace: float | None = None) -> None:
        """End *cell*: what runs may finish within the drain time, what waits becomes dead letters."""
        if cell.state in {State.STOPPING, State.STOPPED}:
            while cell.state is not State.STOPPED:
                await self._wait_for_change(cell)
            return
        starting = cell.state not in {State.RUNNING, State.HALTED}
        cell.state = State.STOPPING
        if starting:
            self._interior.belongings.cancel_tasks(cell)
        patience = self._interior.settings.drain_timeout if grace is None else grace
        if patience and not await self._wait_until_settled(cell, patience):
            self._interior.dispatcher.cancel_handlers(cell)
            await self._wait_until_settled(cell, self._interior.settings.stop_grace)
        self._give_up(cell)
        await self._leave(cell, reason)

    async def _leave(self, cell: Cell, reason: Reason) -> None:
        """Run the stop hooks, empty the mailbox and take the agent out of the mesh."""
        cell.state = State.STOPPING
        self._bounce_mail(cell, reason)
        await self._close_hooks(cell)
        self._interior.remove(cell)
        cell.state = State.STOPPED
        self.changed(cell)

    def _bounce_mail(self, cell: Cell, reason: Reason) -> None:
        router = self._interior.router
        for call in cell.parked or ():
            call.refused(reason, self._why_stopped(cell))
        cell.parked = None
        while cell.mail:
            router.bounce(cell.mail.popleft(), cell, reason, self._why_stopped(cell))

    def _why_stopped(self, cell: Cell) -> CeylonError:
        """Return what the askers of a stopped agent are told."""
        error = cell.life.start_error if cell.life is not None else None
        if error is not None:
            started = AgentStartError(cell.address, error)
            started.__cause__ = error
            return started
        if self._interior.is_stopping:
            return MeshClosedError(self._interior.name, "it stopped before the agent answered")
        return AgentStoppedError(cell.address)

    def _give_up(self, cell: Cell) -> None:
        """Count what still runs, in threads or against its cancellation, as cancelled; it can do no harm any more."""
        router = self._interior.router
        held = self._interior.dispatcher.give_up(cell)
        for lease in cell.leases or ():
            lease.is_abandoned = True
            cell.running -= 1
            held += [lease.envelope] * lease.count_held()
            logger().warning("thread_abandoned", agent=cell.address)
        cell.leases = None
        for envelope in held:
            cell.cancelled += 1
            if envelope is not None and (call := router.calls.get(envelope.id)) is not None:
                call.fail(self._why_stopped(cell))
            router.ended()

    async def _close_hooks(self, cell: Cell) -> None:
        """Run `on_stop`, then end what the agent owns; errors are logged."""
        belongings = self._interior.belongings
        belongings.cancel_timers(cell)
        try:
            with anyio.move_on_after(self._interior.settings.stop_grace):
                await belongings.call_hook(cell, "on_stop")
        except Exception as error:  # noqa: BLE001 – a hook's failure stops nothing
            logger().error("agent_stop_failed", agent=cell.address, exc_info=error)
        await belongings.leave_lifespan(cell)
        await cell.agent.vacate()
        belongings.cancel_tasks(cell)

    # -- waiting -------------------------------------------------------------------------------------------------------

    def settled(self, cell: Cell) -> None:
        """Take note that a handler of an agent has ended which is to stop or restart."""
        self._interior.one_settled()
        if not cell.running:
            self.changed(cell)

    def changed(self, cell: Cell) -> None:
        """Wake whoever waits for something about *cell*."""
        if cell.life is not None and cell.life.changed is not None:
            cell.life.changed.set()
            cell.life.changed = None

    async def _wait_for_change(self, cell: Cell) -> None:
        life = cell.have_life()
        if life.changed is None:
            life.changed = Signal(self._driver)
        await life.changed.wait()

    async def _wait_until_settled(self, cell: Cell, patience: float | None = None) -> bool:
        """Wait until no handler of *cell* runs; say no if that takes longer than *patience* seconds."""
        timer = Timer(lambda: self.changed(cell))
        if patience is not None:
            self._interior.timers.add(self._driver.now() + patience, timer)
        while cell.running and (patience is None or timer.is_armed):
            await self._wait_for_change(cell)
        self._interior.timers.cancel(timer)
        return not cell.running
