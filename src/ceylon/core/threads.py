"""Worker threads for handlers that may block.

A hop to a thread and back costs more than most handlers, so it is paid per batch: a thread takes a lease on an agent
and handles its envelopes one after the other, up to a number and a time. The loop hears of finished ones through one
queue, with one wake-up for many; counters change on the loop only.
"""

import contextlib
import contextvars
import queue
import threading
from collections import deque
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from ceylon.core.context import BlockingContext, blocking_twin
from ceylon.core.current import current
from ceylon.core.invocation import LAZY
from ceylon.core.leases import EXPIRED, UNBEGUN, Hold, Lease, Run
from ceylon.core.ledger import ThreadStatistics
from ceylon.core.limits import LeaseLimit
from ceylon.core.ordered import Ordered
from ceylon.core.signals import Signal
from ceylon.core.sinks import ThreadSink
from ceylon.errors import DeadlockError, MeshClosedError
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


class ThreadPool:
    """The threads of one mesh: so many may run handlers, more may wait in blocking verbs, and there is a hard cap."""

    def __init__(self, interior: "Interior", driver: "Driver") -> None:
        self._interior = interior
        self._driver = driver
        self._settings = interior.settings
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._waiting: deque[Callable[[], None]] = deque()  # no thread may run them yet
        self._resuming: deque[threading.Lock] = deque()  # likewise: threads that have waited in a verb
        self._lock = threading.Lock()  # guards the numbers below; all of them change on several threads
        self._idle = 0
        self._running = 0
        self._blocked = 0
        self._alive = 0
        self._abandoned = 0
        self._why_closed = ""
        self._stuck = 0
        self._open: Ordered[Run] = Ordered()  # what `run` has begun; on the loop only
        self._done: deque[tuple[Lease, Envelope | None, Outcome, bool]] = deque()
        self._is_armed = False
        self._names = 0
        self._here = threading.local()
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

    def statistics(self) -> ThreadStatistics:
        """Return how many threads do what."""
        with self._lock:
            return ThreadStatistics(
                running=self._running,
                blocked=self._blocked,
                idle=self._idle,
                abandoned=self._abandoned,
                stuck=self._stuck,
            )

    def let_go(self, hold: Hold) -> None:
        """Give up what a thread does: it may never end, so another thread gets its permit to run."""
        job, needs_thread = None, False
        with self._lock:
            if hold.is_let_go or not hold.is_under_way:
                return
            hold.is_let_go = True
            self._abandoned += 1
            self._stuck += 1
            if not hold.is_blocked:
                hold.has_passed_on = True
                job, needs_thread = self._pass_on()
        if job is not None:
            self._dispatch(job, needs_thread=needs_thread)

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
        with self._lock:
            self._why_closed = why
            self._running += len(self._resuming)
            while self._resuming:
                self._resuming.popleft().release()
            for _ in range(self._idle):
                self._jobs.put(None)
        for run in self._open:
            self.let_go(run)
            if not run.future.done():
                run.future.set_result(Outcome(error=MeshClosedError(self._interior.name, why)))
            if run.over is not None:
                run.over.set()

    # -- jobs and threads ----------------------------------------------------------------------------------------------

    def submit(self, job: Callable[[], None]) -> None:
        """Run *job* on a thread as soon as one may."""
        with self._lock:
            if self._running >= self._settings.threads or self._resuming or not self._has_thread():
                self._waiting.append(job)
                return
            self._running += 1
            needs_thread = self._claim()
        self._dispatch(job, needs_thread=needs_thread)

    def _has_thread(self) -> bool:
        """Say whether one is idle or may be made. Under the lock."""
        return self._idle > 0 or self._alive < self._settings.thread_cap

    def _claim(self) -> bool:
        """Take an idle thread; say whether a new one is needed. Under the lock."""
        if self._idle:
            self._idle -= 1
            return False
        self._alive += 1
        self._names += 1
        return True

    def _dispatch(self, job: Callable[[], None], *, needs_thread: bool) -> None:
        self._jobs.put(job)
        if needs_thread:
            name = f"ceylon {self._interior.name} {self._names}"
            threading.Thread(target=self._work, name=name, daemon=True).start()

    def _work(self) -> None:
        """Run jobs until there are none; a thread's whole life."""
        self._here.is_worker = True
        while (job := self._jobs.get()) is not None:
            while job is not None:
                job()
                job = self._next_job()
        with self._lock:
            self._alive -= 1

    def _begin(self, hold: Hold) -> None:
        """Note what this thread does from here on."""
        with self._lock:
            hold.is_under_way = True
            self._here.hold = hold

    def _next_job(self) -> Callable[[], None] | None:
        """Give back the permit to run, or go on with a job that waited for it."""
        with self._lock:
            hold: Hold | None = getattr(self._here, "hold", None)
            self._here.hold = None
            if hold is not None:
                hold.is_under_way = False
                self._stuck -= hold.is_let_go
            if hold is not None and hold.has_passed_on:  # one that waits has no other thread if all are taken
                if self._waiting and self._running < self._settings.threads:
                    self._running += 1
                    return self._waiting.popleft()
            elif self._resuming:
                self._resuming.popleft().release()
            elif self._waiting:
                return self._waiting.popleft()
            else:
                self._running -= 1
            self._idle += 1
            if self._why_closed:
                self._jobs.put(None)
            return None

    def _pass_on(self) -> "tuple[Callable[[], None] | None, bool]":
        """Give a permit to run to whoever waits for one; return a job to dispatch. Under the lock."""
        if self._resuming:
            self._resuming.popleft().release()
        elif self._waiting and self._has_thread():
            return self._waiting.popleft(), self._claim()
        else:
            self._running -= 1
        return None, False

    @contextlib.contextmanager
    def giving_back(self) -> Generator[None]:
        """Let another handler run while this thread waits in a blocking verb.

        Raises:
            DeadlockError: so many threads wait already that nothing could go on.
        """
        if not getattr(self._here, "is_worker", False):
            yield
            return
        with self._lock:
            if self._blocked + 1 >= self._settings.thread_cap:
                raise DeadlockError(
                    (),
                    f"all {self._settings.thread_cap} threads of mesh {self._interior.name!r} (its thread limiter) "
                    "would wait for each other; make the handlers that ask `async def`",
                )
            self._blocked += 1
            hold: Hold | None = getattr(self._here, "hold", None)
            job, needs_thread = None, False
            if hold is None or not hold.has_passed_on:
                job, needs_thread = self._pass_on()
            if hold is not None:
                hold.is_blocked = True
        if job is not None:
            self._dispatch(job, needs_thread=needs_thread)
        if isinstance(hold, Lease):
            cell = hold.cell
            self._interior.gateway.post_quietly(lambda: self._interior.dispatcher.offer(cell))
        try:
            yield
        finally:
            self._resume(hold)

    def _resume(self, hold: Hold | None) -> None:
        """Wait until one thread more may run, and go on; one that was given up may in any case, and does not count."""
        with self._lock:
            self._blocked -= 1
            if hold is not None and hold.is_let_go:
                hold.is_blocked, hold.has_passed_on = False, True
                return
            if self._running < self._settings.threads or self._why_closed:
                self._running += 1
                if hold is not None:
                    hold.is_blocked = False
                return
            turn = self._new_turn()
            self._resuming.append(turn)
        self._await_turn(turn)
        if hold is not None:
            with self._lock:
                hold.is_blocked = False
                if not hold.is_let_go:
                    return
                hold.has_passed_on = True
                job, needs_thread = self._pass_on()
            if job is not None:
                self._dispatch(job, needs_thread=needs_thread)

    def _new_turn(self) -> "threading.Lock":
        """Return what a thread waits in until it may run again; whoever lets it, releases that."""
        turn = threading.Lock()
        turn.acquire()
        return turn

    def _await_turn(self, turn: "threading.Lock") -> None:
        turn.acquire()

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
