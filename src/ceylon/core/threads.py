"""Worker threads for handlers that may block.

A hop to a thread and back costs more than most handlers, so it is paid per batch: a thread takes a lease on an agent
and handles its envelopes one after the other, up to a number and a time. The loop hears of finished ones through one
queue, with one wake-up for many; counters change on the loop only.
"""

import contextvars
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ceylon.core.context import BlockingContext, blocking_twin
from ceylon.core.current import current
from ceylon.core.invocation import LAZY
from ceylon.core.leases import EXPIRED, UNBEGUN, Lease, Run
from ceylon.core.limits import LeaseLimit
from ceylon.core.ordered import Ordered
from ceylon.core.permits import Hold, PermittedThreads
from ceylon.core.signals import Signal
from ceylon.core.sinks import ThreadSink
from ceylon.errors import MeshClosedError
from ceylon.messages import Outcome, attempt

if TYPE_CHECKING:
    from ceylon.core.backend import Driver
    from ceylon.core.cell import Cell
    from ceylon.core.context import Context
    from ceylon.core.handlers import Handler
    from ceylon.core.interior import Interior
    from ceylon.core.origin import Origin
    from ceylon.messages import Envelope

__all__ = ["ThreadPool"]


class ThreadPool(PermittedThreads):
    """The threads of one mesh, and what they do for its agents."""

    def __init__(self, interior: "Interior", driver: "Driver") -> None:
        super().__init__(interior.name, interior.settings)
        self._interior = interior
        self._driver = driver
        self._settings = interior.settings
        self._open: Ordered[Run] = Ordered()  # what `run` has begun; on the loop only
        self._done: deque[tuple[Lease, Envelope | None, Outcome, bool]] = deque()
        self._is_armed = False
        self._variables = contextvars.copy_context()
        self._now = driver.now_anywhere

    # -- on the loop ---------------------------------------------------------------------------------------------------

    def lease(self, cell: "Cell", handler: "Handler", envelope: "Envelope") -> None:
        """Give *cell* to a thread, from *envelope* on; the caller has checked that it has a slot."""
        lease = Lease(cell, handler, envelope)
        cell.running += 1
        if cell.leases is None:
            cell.leases = []
        cell.leases.append(lease)
        if cell.options.handler_timeout is not None:
            lease.limit = LeaseLimit(self._interior.dispatcher, lease, cell.options.handler_timeout)
            lease.limit.begin()
        self.submit(lambda: self._run_lease(lease))

    async def run(self, function: Callable[[], Any]) -> Any:
        """Run *function* in a thread and return what it returns; a cancelled caller leaves it running.

        Raises:
            MeshClosedError: the mesh was closed first.
        """
        outcome: Outcome = await self._start(function, current.get()).future
        return outcome.get()

    async def lend(self, function: Callable[[], Any]) -> Outcome:
        """Do the same for one of several tasks of a handler: a cancelled caller gives the thread up, here and now.

        The thread does not keep the handler from being cancelled, as it does where the handler is that one function.

        Raises:
            MeshClosedError: the mesh was closed first.
        """
        run = self._start(function, None)
        try:
            outcome: Outcome = await run.future
        except BaseException:
            run.is_unwanted = True
            self._open.discard(run)
            self.let_go(run)
            raise
        return outcome

    def _start(self, function: Callable[[], Any], origin: "Origin | None") -> Run:
        """Have *function* run in a thread, as part of *origin*; the result's future has how it ended."""
        if self._why_closed:
            raise MeshClosedError(self._interior.name, self._why_closed)
        run = Run(self._driver.future(), origin)

        def work() -> None:
            if run.is_unwanted:
                return
            self._begin(run)
            outcome = attempt(function)
            self._interior.gateway.post_quietly(lambda: ended(outcome))

        def ended(outcome: Outcome) -> None:
            self._forget(run)
            if not run.future.done():
                run.future.set_result(outcome)

        self._open.add(run)
        self.submit(work)
        return run

    def sink(self) -> ThreadSink:
        """Return a place for a result that the calling thread is going to wait for."""
        return ThreadSink()

    def context_for(self, context: "Context") -> BlockingContext:
        """Return the same context for use in a thread."""
        return blocking_twin(context)

    def runs_for(self, origin: "Origin | None") -> bool:
        """Say whether a thread does something as part of *origin*, or is about to."""
        return any(run.origin is origin for run in self._open)

    async def join(self, origin: "Origin") -> None:
        """Wait until no thread does anything as part of *origin* any more, or it is given up."""
        for run in [run for run in self._open if run.origin is origin]:
            if run.over is None:
                run.over = Signal(self._driver)
            await run.over.wait()

    def _forget(self, run: Run) -> None:
        """Nobody is interested in *run* any more, but those who wait for its end."""
        self._open.discard(run)
        if run.over is not None:
            run.over.set()

    def let_go_of(self, origin: "Origin") -> bool:
        """Do the same with what threads still do as part of *origin*; say whether there was any."""
        still_runs = [run for run in self._open if run.origin is origin]
        for run in still_runs:
            self._forget(run)
            self.let_go(run)
        return bool(still_runs)

    def close(self, why: str) -> None:
        """Let threads end when they have nothing to run; who waits for one hears that the mesh is closed."""
        self.close_threads(why)
        for run in self._open:
            self.let_go(run)
            if not run.future.done():
                run.future.set_result(Outcome(error=MeshClosedError(self._interior.name, why)))
            if run.over is not None:
                run.over.set()

    # -- on a thread ---------------------------------------------------------------------------------------------------

    def _run_lease(self, lease: Lease) -> None:
        """Handle one envelope after the other, until the lease is used up or the mail is."""
        self._begin(lease)
        now, done = self._now, self._done
        limit = now() + self._settings.lease_seconds
        taken: tuple[Handler, Envelope] | None = (lease.first, lease.envelope)
        if lease.is_abandoned:  # before a thread was free; its first envelope has been counted
            taken = None
        elif not lease.cell.state.handles_mail:  # likewise: the agent is to stop or to restart
            done.append((lease, lease.envelope, UNBEGUN, False))
            taken = None
        left = self._settings.lease_messages
        while taken is not None:
            handler, envelope = taken
            outcome, has_replied = self._handle(lease, handler, envelope)
            if lease.limit is not None and not lease.conclude():
                return
            left -= 1
            must_end = type(outcome.value) in LAZY or (
                outcome.error is not None and lease.cell.options.on_failure != "resume"
            )
            taken = None if must_end or not left or now() >= limit else lease.take()
            # Reported only now: the one wake-up tells of this end and of the room that the next one has left.
            done.append((lease, envelope, outcome, has_replied))
            if not self._is_armed:
                self._wake()
        done.append((lease, None, EXPIRED, False))
        self._wake()

    def _blocks(self, hold: Hold) -> None:
        """See `PermittedThreads`; an agent with a slot left may be handed to another thread."""
        if isinstance(hold, Lease):
            cell = hold.cell
            self._interior.gateway.post_quietly(lambda: self._interior.dispatcher.offer(cell))

    def _handle(self, lease: Lease, handler: "Handler", envelope: "Envelope") -> tuple[Outcome, bool]:
        """Run one handler, if its deadline has not passed; return its outcome, and whether it has replied already."""
        deadline = envelope.deadline
        if deadline is not None and self._now() >= deadline:
            return EXPIRED, False
        context = lease.context = BlockingContext(self._interior, lease.cell, envelope)
        if lease.limit is not None:
            lease.began = self._now()
        outcome = self._variables.copy().run(_run, handler, context)
        return outcome, context.has_replied

    def _wake(self) -> None:
        """Let the loop look at what is done; one wake-up serves many."""
        if not self._is_armed:
            self._is_armed = True
            self._interior.gateway.post_quietly(self.flush)

    def flush(self) -> None:
        """Take over what the threads have done; on the loop."""
        self._is_armed = False
        dispatcher = self._interior.dispatcher
        while self._done:
            lease, envelope, outcome, has_replied = self._done.popleft()
            if envelope is None:
                dispatcher.lease_ended(lease)
            else:
                dispatcher.lease_reported(lease, envelope, outcome, has_replied=has_replied)


def _run(handler: "Handler", context: BlockingContext) -> Outcome:
    """Call *handler*, in variables of its own, and return how it ended: `attempt`, a call less."""
    current.set(context)
    try:
        if handler.takes_context:
            return Outcome(handler.function(context.cell.agent, context.envelope.message, context))
        return Outcome(handler.function(context.cell.agent, context.envelope.message))
    except BaseException as error:  # noqa: BLE001 – SystemExit and the like too: a thread of ours must outlive them
        return Outcome(error=error)
