"""Agents begin, fail, begin again and end.

What takes time runs in a task of its own for as long as it takes; an agent that is merely there has none.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import anyio

from ceylon.core.cell import Cell, State
from ceylon.core.ledger import Reason
from ceylon.core.log import logger
from ceylon.core.signals import Signal
from ceylon.core.timers import Timer
from ceylon.errors import AgentStartError, CeylonError

if TYPE_CHECKING:
    from ceylon.core.interior import Interior
    from ceylon.core.keyed_cell import KeyedCell

__all__ = ["Lifecycle"]

_BETWEEN = frozenset({State.STARTING, State.RESTARTING})
_UNDER_WAY = _BETWEEN | {State.LEAVING}


class Lifecycle:
    """Starts, restarts and stops the agents of one mesh."""

    def __init__(self, interior: "Interior") -> None:
        self._interior = interior
        self._driver = interior.driver

    # -- start ---------------------------------------------------------------------------------------------------------

    def start(self, cell: Cell) -> None:
        """Let *cell* handle messages, after its start hooks if it has any."""
        find = cell.agent.__ceylon_hook__
        if find("on_start") is not None or find("lifespan") is not None or cell.restores:
            self._undertake(cell)
        else:
            self._run(cell)

    def go_on(self, cell: Cell) -> None:
        """Let *cell* handle messages again, by the instance it has; the mesh may be about to stop it."""
        Lifecycle._run(self, cell)

    def _run(self, cell: Cell) -> None:
        cell.state = State.HALTED if self._interior.router.is_halted else State.RUNNING
        self.changed(cell)
        if cell.behaviour.ticking is not None:
            self._interior.agent_timers.begin(cell, cell.behaviour.ticking)
        if cell.mail:
            self._interior.dispatcher.offer(cell)

    def _undertake(self, cell: Cell) -> None:
        """Start *cell* in a task of its own. If that fails by a mistake of ours, the agent is given up."""
        own = self._interior.belongings.spawn(cell, self.begin, "start")

        def ended() -> None:
            if own.error is not None:
                logger().critical("lifecycle_failed", agent=cell.address, task="start", exc_info=own.error)
                self._interior.failures.could_not_start(cell, own.error)

        own.ended.also(ended)

    async def begin(self, cell: Cell, cause: BaseException | None = None) -> None:
        """Run the start hooks; failing ones are tried again by the rule for restarts. *cause*: of a restart."""
        life = cell.have_life()
        era, life.is_beginning = life.era, True
        try:
            while (error := await self._enter(cell, cause, era)) is not None:
                if not _is_beginning(cell, era):
                    return
                logger().error("agent_start_failed", agent=cell.address, exc_info=error)
                await self._retire(cell)
                life.start_error = error
                if not _is_beginning(cell, era) or not await self._interior.restarts.may_try_again(cell, error):
                    return
            if _is_beginning(cell, era):
                life.start_error = None
                self._run(cell)
                if cell.is_thrifty and not cell.mail:
                    cell.rest()  # what it was started for may have been taken back
        finally:
            life.is_beginning = False

    async def _enter(self, cell: Cell, cause: BaseException | None, era: int) -> BaseException | None:
        """Run what comes before the first message; return what it raises."""
        belongings = self._interior.belongings
        error = await cell.load(self._interior.keeping)
        if error is None and _is_beginning(cell, era):
            error = await belongings.enter_lifespan(cell)
        if error is None and _is_beginning(cell, era):
            error = await belongings.run_hook(cell, "on_start")
        cell.have_life().start_error = error
        if error is None and cause is not None and _is_beginning(cell, era):
            error = await belongings.run_hook(cell, "on_restart", cause)
        return error

    async def sleep(self, seconds: float) -> None:
        """Wait for *seconds*, on the mesh's own timers."""
        future = self._driver.future()
        timer = Timer(lambda: None if future.done() else future.set_result(None))
        self._interior.timers.add(self._driver.now() + seconds, timer)
        try:
            await future
        finally:
            self._interior.timers.cancel(timer)

    # -- stop ----------------------------------------------------------------------------------------------------------

    def halt(self, cell: Cell) -> None:
        """Let *cell* begin nothing more; the mesh is going to stop it."""
        if cell.state is State.RUNNING:
            cell.state = State.HALTED

    async def take_down(self, cell: Cell) -> None:
        """End the present instance before a restart, in whatever state it is; the mailbox stays."""
        life = cell.have_life()
        cell.state = State.RESTARTING
        if life.is_beginning:
            await self._end_beginning(cell)
        if cell.state is State.RESTARTING:
            await self._retire(cell)

    async def leave(self, cell: "KeyedCell", until: float) -> BaseException | None:
        """End the instance of a keyed agent that leaves, unless its state could not be saved; return that error."""
        life = cell.have_life()
        life.retiring = retiring = Signal(self._driver)
        try:
            await self._settle(cell, until)
            error = await self._interior.keeping.save(cell)
            if error is None:
                await self._stop_children(cell, until)
                await self._close_hooks(cell)
                await self._stop_children(cell, until)
            return error
        finally:
            life.retiring = None
            retiring.set()

    def vacate(self, cell: Cell, reason: Reason = Reason.STOPPED) -> None:
        """Take *cell* out of the mesh, whose instance has ended, or has never been."""
        self._take_out(cell, reason)

    async def _retire(self, cell: Cell) -> None:
        """End the instance: its handlers, its children, its hooks. Whoever stops the agent meanwhile waits for that."""
        life = cell.have_life()
        if life.retiring is not None:
            await life.retiring.wait()
            return
        life.retiring = retiring = Signal(self._driver)
        until = self._driver.now() + self._interior.grace()
        try:
            await self._settle(cell, until)
            await self._stop_children(cell, until)
            await self._close_hooks(cell)
            await self._stop_children(cell, until)  # of background tasks that were not over yet
        finally:
            life.retiring = None
            retiring.set()

    async def stop(self, cell: Cell, *, reason: Reason = Reason.STOPPED, until: float | None = None) -> None:
        """End *cell*: what runs may finish within the drain time, what waits becomes dead letters.

        Its children end after its handlers, which may need them, and before its hooks. *until* is when handlers are
        cancelled; a second stop that is sooner hurries the first.
        """
        now = self._driver.now()
        until = now + self._interior.settings.drain_timeout if until is None else until
        if cell.state in {State.STOPPING, State.STOPPED}:
            if until <= now:
                self._hurry(cell)
            while cell.state is not State.STOPPED:
                await self.wait_for_change(cell)
            return
        was, cell.state = cell.state, State.STOPPING
        self.changed(cell)
        if until <= now:
            self._hurry(cell)
        if was in _UNDER_WAY:
            await self._end_beginning(cell)
        await self._settle(cell, until)
        self._bounce_mail(cell, reason)
        if was not in _BETWEEN and reason is Reason.STOPPED:
            await cell.save(self._interior.keeping)
        await self._stop_children(cell, until)
        await self._close_hooks(cell)
        self._take_out(cell, reason)

    async def _end_beginning(self, cell: Cell) -> None:
        """End a start that is under way; an instance that is being taken down has a right to its end."""
        life = cell.have_life()
        life.era += 1
        if life.retiring is not None:
            await life.retiring.wait()
        await self._interior.belongings.end_tasks(cell, self._interior.grace())

    def _hurry(self, cell: Cell) -> None:
        """Cancel what *cell* still runs, and its children, and let none of them have time for more."""
        if cell.running:
            self._interior.dispatcher.cancel_handlers(cell)
        if cell.life is not None:
            cell.life.is_hurried = True
            self.changed(cell)
            for child in cell.life.children.values():
                self._hurry(child)

    async def _settle(self, cell: Cell, until: float) -> None:
        """Wait for the handlers of *cell*, cancel them at the time *until*, and give up what ignores that."""
        if not cell.running:
            return
        life, patience = cell.have_life(), until - self._driver.now()
        await self._wait_until_settled(cell, patience, lambda: life.is_hurried)
        if cell.running:
            self._interior.dispatcher.cancel_handlers(cell)
            await self._wait_until_settled(cell, self._interior.grace())
            self._give_up(cell)

    async def _stop_children(self, cell: Cell, until: float) -> None:
        """Stop the agent's children, last started first; each is gone before the next one's turn."""
        life = cell.life
        while life is not None and life.children:
            address, child = next(reversed(life.children.items()))
            await self.stop(child, until=self._driver.now() if life.is_hurried else until)
            if life.children.get(address) is child:  # it could not be stopped; the others are to be all the same
                del life.children[address]

    def drop(self, cell: Cell) -> None:
        """End *cell* here and now: its loop is not going to run any more."""
        cell.lose(self._interior.keeping)
        cell.state = State.STOPPING
        self._give_up(cell)
        self._interior.agent_timers.cancel_all(cell)
        self._take_out(cell, Reason.STOPPED)

    def _take_out(self, cell: Cell, reason: Reason) -> None:
        """Empty the mailbox and take the agent out of the mesh; its hooks have run."""
        cell.state = State.STOPPING
        self._bounce_mail(cell, reason)
        self._interior.remove(cell)
        self._interior.watches.ended(cell)
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
        return self._interior.why_cancelled(cell)

    def _give_up(self, cell: Cell) -> None:
        """Count what still runs, in threads or against its cancellation, as cancelled; it can do no harm any more."""
        router = self._interior.router
        cell.busy_keys = None  # a conversation whose handler is given up may go on after a restart
        self._interior.threads.flush()  # what has ended in time is not among it
        held = self._interior.dispatcher.give_up(cell)
        for lease in cell.leases or ():
            held += lease.abandon()
            cell.running -= 1
            if lease.limit is not None:
                self._interior.timers.cancel(lease.limit)
            self._interior.threads.let_go(lease)
            if self._interior.is_open:
                self._interior.quiet_log.warning("thread_abandoned", cell.address)
        cell.leases = None
        for envelope in held:
            cell.cancelled += 1
            if (call := router.calls.get(envelope.id)) is not None:
                call.fail(self._why_stopped(cell))
            router.ended(envelope, "cancelled")

    async def _close_hooks(self, cell: Cell) -> None:
        """Run `on_stop` if the agent had started, then end what it owns; errors are logged."""
        belongings = self._interior.belongings
        self._interior.agent_timers.cancel_all(cell)
        if cell.life is None or not (cell.life.start_error or cell.life.has_stopped):
            if cell.life is not None:
                cell.life.has_stopped = True
            error = await belongings.run_hook(cell, "on_stop", patience=self._interior.grace())
            if error is not None:
                logger().error("agent_stop_failed", agent=cell.address, exc_info=error)
        await self._clear_out(cell)

    async def _clear_out(self, cell: Cell) -> None:
        """End what the agent owns; what its background tasks use is there until they have ended."""
        belongings, grace = self._interior.belongings, self._interior.grace
        self._interior.agent_timers.cancel_all(cell)
        await belongings.end_tasks(cell, grace())
        await belongings.leave_lifespan(cell, grace())
        try:
            with anyio.move_on_after(grace()):
                await cell.agent.__ceylon_vacate__()
        except Exception as error:  # noqa: BLE001 – what is not given back must not keep the agent
            logger().error("agent_stop_failed", agent=cell.address, exc_info=error)

    # -- waiting -------------------------------------------------------------------------------------------------------

    def settled(self, cell: Cell) -> None:
        """Take note that a handler of an agent has ended which is to stop or restart."""
        self._interior.quiet.one_settled()
        if not cell.running:
            self.changed(cell)

    def changed(self, cell: Cell) -> None:
        """Wake whoever waits for something about *cell*."""
        if cell.life is not None and cell.life.changed is not None:
            cell.life.changed.set()
            cell.life.changed = None

    async def wait_for_change(self, cell: Cell) -> None:
        """Wait until something about *cell* has changed, perhaps nothing that matters here."""
        life = cell.have_life()
        if life.changed is None:
            life.changed = Signal(self._driver)
        await life.changed.wait()

    async def _wait_until_settled(
        self, cell: Cell, patience: float, is_hurried: Callable[[], bool] = lambda: False
    ) -> None:
        """Wait until no handler of *cell* runs, for *patience* seconds at most, or until somebody is in a hurry."""
        timer = Timer(lambda: self.changed(cell))
        self._interior.timers.add(self._driver.now() + patience, timer)
        try:
            while cell.running and timer.is_armed and not is_hurried():
                await self.wait_for_change(cell)
        finally:
            self._interior.timers.cancel(timer)


def _is_beginning(cell: Cell, era: int) -> bool:
    """Say whether *cell* still begins as it did in *era*: it has neither ended nor begun once more."""
    return cell.state in _BETWEEN and cell.have_life().era == era
