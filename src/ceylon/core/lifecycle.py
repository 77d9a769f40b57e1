"""Agents begin, fail, begin again and end.

What takes time runs in a task of its own for as long as it takes; an agent that is merely there has none.
"""

from collections.abc import Awaitable, Callable
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
_BETWEEN = frozenset({State.STARTING, State.RESTARTING})


class Lifecycle:
    """Starts, restarts and stops the agents of one mesh."""

    def __init__(self, interior: "Interior") -> None:
        self._interior = interior
        self._driver = interior.driver

    # -- start ---------------------------------------------------------------------------------------------------------

    def start(self, cell: Cell) -> None:
        """Let *cell* handle messages, after its start hooks if it has any."""
        if any(cell.agent.__ceylon_hook__(name) is not None for name in _HOOKS):
            self._undertake(cell, lambda it: self._begin(it, None), "start")
        else:
            self._run(cell)

    def _run(self, cell: Cell) -> None:
        cell.state = State.RUNNING
        self.changed(cell)
        if cell.mail:
            self._interior.dispatcher.offer(cell)

    def _undertake(self, cell: Cell, function: Callable[[Cell], Awaitable[None]], name: str) -> None:
        """Start, restart or stop *cell* in a task of its own. If that fails by a mistake of ours, the agent stops."""
        own = self._interior.belongings.spawn(cell, function, name)

        def ended() -> None:
            if own.error is not None:
                logger().critical("lifecycle_failed", agent=cell.address, task=name, exc_info=own.error)
                if name != "stop":
                    self._undertake(cell, self._stop_failed, "stop")

        own.ended.also(ended)

    async def _begin(self, cell: Cell, cause: BaseException | None) -> None:
        """Run the start hooks; failing ones are tried again by the rule for restarts. *cause*: of a restart."""
        while (error := await self._enter(cell, cause)) is not None:
            if cell.state not in _BETWEEN:
                return
            logger().error("agent_start_failed", agent=cell.address, exc_info=error)
            await self._close_hooks(cell)
            cell.have_life().start_error = error
            if not await self._may_try_again(cell, error):
                return
        if cell.state in _BETWEEN:
            cell.have_life().start_error = None
            self._run(cell)

    async def _enter(self, cell: Cell, cause: BaseException | None) -> BaseException | None:
        """Run what comes before the first message; return what it raises."""
        belongings = self._interior.belongings
        error = await belongings.enter_lifespan(cell) or await belongings.run_hook(cell, "on_start")
        cell.have_life().start_error = error
        if error is None and cause is not None:
            error = await belongings.run_hook(cell, "on_restart", cause)
        return error

    async def _may_try_again(self, cell: Cell, error: BaseException) -> bool:
        """Wait, and put a new instance in the agent's place; say no, having stopped it for good, if that is no use."""
        supervisor = self._interior.supervisor
        failures = cell.have_life().failures
        if not supervisor.may_restart(failures, self._driver.now()):
            logger().error("agent_failed_for_good", agent=cell.address, error=describe(error))
            self._take_out(cell, Reason.AGENT_FAILED)
            return False
        await self.sleep(supervisor.pause(failures))
        if cell.state not in _BETWEEN:
            return False
        try:
            cell.agent = cell.agent.__ceylon_rebuild__()
        except Exception as refused:  # noqa: BLE001 – a user's __init__
            logger().error("agent_rebuild_failed", agent=cell.address, exc_info=refused)
            cell.have_life().start_error = refused
            self._take_out(cell, Reason.AGENT_FAILED)
            return False
        cell.have_life().has_stopped = False
        self._interior.adopt(cell)
        return True

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
        except BaseException as refused:  # noqa: BLE001 – a user's callable; the agent must not hang between two states
            logger().error("supervision_failed", agent=cell.address, exc_info=refused)
            directive = "stop"
        if directive == "restart":
            cell.state = State.RESTARTING
            self._undertake(cell, lambda it: self._restart(it, error), "restart")
        elif directive == "stop":
            self.halt(cell)  # at once: what is behind the failing message is not handled any more
            logger().error("agent_stopped_by_failure", agent=cell.address, error=describe(error))
            self._undertake(cell, self._stop_failed, "stop")

    async def _stop_failed(self, cell: Cell) -> None:
        await self.stop(cell, reason=Reason.AGENT_FAILED)

    async def _restart(self, cell: Cell, error: BaseException) -> None:
        """Leave the old instance, make a new one, and let it go on with the same mailbox."""
        await self._wait_until_settled(cell)
        await self._close_hooks(cell)
        if await self._may_try_again(cell, error):
            cell.restarts += 1
            await self._begin(cell, error)
            if cell.state is State.RUNNING:
                logger().warning("agent_restarted", agent=cell.address, restarts=cell.restarts, error=describe(error))

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
        is_between, cell.state = cell.state in _BETWEEN, State.STOPPING
        if is_between:
            await self._interior.belongings.end_tasks(cell, self._interior.settings.stop_grace)
        patience = self._interior.settings.drain_timeout if grace is None else grace
        if patience and not await self._wait_until_settled(cell, patience):
            self._interior.dispatcher.cancel_handlers(cell)
            await self._wait_until_settled(cell, self._interior.settings.stop_grace)
        self._give_up(cell)
        self._bounce_mail(cell, reason)
        await self._close_hooks(cell)
        self._take_out(cell, reason)

    def drop(self, cell: Cell) -> None:
        """End *cell* here and now: its loop is not going to run any more."""
        cell.state = State.STOPPING
        self._give_up(cell)
        self._interior.belongings.cancel_timers(cell)
        self._take_out(cell, Reason.STOPPED)

    def _take_out(self, cell: Cell, reason: Reason) -> None:
        """Empty the mailbox and take the agent out of the mesh; its hooks have run."""
        cell.state = State.STOPPING
        self._bounce_mail(cell, reason)
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
        self._interior.threads.flush()  # what a thread has done is done
        held = self._interior.dispatcher.give_up(cell)
        for lease in cell.leases or ():
            held += lease.abandon()
            cell.running -= 1
            self._interior.threads.abandon(1)
            if self._interior.is_open:
                logger().warning("thread_abandoned", agent=cell.address)
        cell.leases = None
        for envelope in held:
            cell.cancelled += 1
            if (call := router.calls.get(envelope.id)) is not None:
                call.fail(self._why_stopped(cell))
            router.ended(envelope, "cancelled")

    async def _close_hooks(self, cell: Cell) -> None:
        """Run `on_stop` if the agent had started, then end what it owns; errors are logged."""
        belongings = self._interior.belongings
        belongings.cancel_timers(cell)
        if cell.life is None or not (cell.life.start_error or cell.life.has_stopped):
            if cell.life is not None:
                cell.life.has_stopped = True
            error = await belongings.run_hook(cell, "on_stop", patience=self._interior.settings.stop_grace)
            if error is not None:
                logger().error("agent_stop_failed", agent=cell.address, exc_info=error)
        await self._clear_out(cell)

    async def _clear_out(self, cell: Cell) -> None:
        """End what the agent owns; what its background tasks use is there until they have ended."""
        belongings, patience = self._interior.belongings, self._interior.settings.stop_grace
        belongings.cancel_timers(cell)
        await belongings.end_tasks(cell, patience)
        await belongings.leave_lifespan(cell, patience)
        try:
            with anyio.move_on_after(patience):
                await cell.agent.__ceylon_vacate__()
        except Exception as error:  # noqa: BLE001 – what is not given back must not keep the agent
            logger().error("agent_stop_failed", agent=cell.address, exc_info=error)

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
