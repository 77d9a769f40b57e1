"""Worker threads for handlers that may block.

A hop to a thread and back costs more than most handlers, so it is paid per batch: a thread takes a lease on an agent
and handles its envelopes one after the other, up to a number and a time. The loop hears of finished ones through one
queue, with one wake-up for many; counters change on the loop only.
"""

import contextlib
import contextvars
import queue
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any

from ceylon.core.context import BlockingContext
from ceylon.core.current import current
from ceylon.core.handlers import Handler, Refusal
from ceylon.core.ledger import ThreadStatistics
from ceylon.errors import DeadlockError
from ceylon.messages import STREAM, Outcome, attempt

if TYPE_CHECKING:
    from ceylon.core.backend import Driver, Future
    from ceylon.core.cell import Cell
    from ceylon.core.context import Context
    from ceylon.core.interior import Interior
    from ceylon.messages import Envelope

__all__ = ["EXPIRED", "Lease", "ThreadPool"]

EXPIRED = Outcome()
"""What a lease reports for an envelope whose deadline had passed before it was handled."""


class Lease:
    """One thread's hold on an agent; it takes envelopes on the thread, and the loop reads what it holds."""

    __slots__ = ("_lock", "_reported", "_taken", "cell", "envelope", "first", "is_abandoned")

    def __init__(self, cell: "Cell", handler: Handler, envelope: "Envelope") -> None:
        self.cell = cell
        self.first = handler
        self.envelope: Envelope | None = envelope  # under way in the thread
        self.is_abandoned = False
        self._lock = threading.Lock()
        self._taken = 1
        self._reported = 0

    def take(self) -> "tuple[Handler, Envelope] | None":
        """Take the next envelope if its handler runs in a thread too; on the thread."""
        cell = self.cell
        with self._lock:
            if not cell.mail or not cell.state.handles_mail or self.is_abandoned or cell.busy_keys is not None:
                return None
            try:
                envelope = cell.mail.popleft()  # type: ignore[union-attr]
            except IndexError:  # the loop was faster
                return None
            handler = _threaded_handler(cell, envelope)
            if handler is None:
                cell.mail.appendleft(envelope)  # type: ignore[union-attr]
                return None
            self._taken += 1
            self.envelope = envelope
        return handler, envelope

    def report(self) -> None:
        """Count one as ended; on the loop, which has put it under another counter."""
        self._reported += 1

    def count_held(self) -> int:
        """Count the envelopes taken and not ended; on the loop, exact also while the thread takes one."""
        with self._lock:
            return self._taken - self._reported


def _threaded_handler(cell: "Cell", envelope: "Envelope") -> Handler | None:
    """Return the handler if the lease may go on with it."""
    try:
        handler = cell.behaviour.find(envelope)
    except Refusal:
        return None
    return handler if handler.threaded and not handler.yields and envelope.kind != STREAM else None


class ThreadPool:
    """The threads of one mesh: so many may run handlers, more may wait in blocking verbs, and there is a hard cap."""

    def __init__(self, interior: "Interior", driver: "Driver") -> None:
        self._interior = interior
        self._driver = driver
        self._settings = interior.settings
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._waiting: deque[Callable[[], None]] = deque()  # no thread may run them yet
        self._lock = threading.Lock()  # guards the numbers below; all of them change on several threads
        self._idle = 0
        self._running = 0
        self._blocked = 0
        self._alive = 0
        self._abandoned = 0
        self._is_closed = False
        self._done: deque[tuple[Lease, Envelope | None, Outcome | None]] = deque()
        self._is_armed = False
        self._names = 0
        self._here = threading.local()
        self._variables = contextvars.copy_context()

    # -- on the loop ---------------------------------------------------------------------------------------------------

    def lease(self, cell: "Cell", handler: Handler, envelope: "Envelope") -> None:
        """Give *cell* to a thread, from *envelope* on; the caller has checked that it has a slot."""
        lease = Lease(cell, handler, envelope)
        cell.running += 1
        if cell.leases is None:
            cell.leases = []
        cell.leases.append(lease)
        self._submit(lambda: self._run_lease(lease))

    async def run(self, function: Callable[[], Any]) -> Any:
        """Run *function* in a thread and return what it returns; a cancelled caller leaves it running."""
        future: Future = self._driver.future()

        def work() -> None:
            outcome = attempt(function)
            self._interior.gateway.post_quietly(lambda: None if future.done() else future.set_result(outcome))

        self._submit(work)
        outcome: Outcome = await future
        return outcome.get()

    def context_for(self, context: "Context") -> BlockingContext:
        """Return the same context for use in a thread."""
        return BlockingContext(context.interior, context.cell, context.envelope)

    async def iterate(self, generator: "Generator[Any, None, Any]", context: "Context") -> AsyncIterator[Any]:
        """Give the parts of a generator that may block; no thread is held while the consumer takes its time."""
        blocking = self.context_for(context)
        batch = self._settings.stream_credit
        is_stream = context.envelope.kind == STREAM

        def advance() -> tuple[list[Any], bool]:
            token = current.set(blocking)
            try:
                return _take_some(generator, batch if not is_stream else 1)
            finally:
                current.reset(token)

        try:
            is_over = False
            while not is_over:
                parts, is_over = await self.run(advance)
                for part in parts:
                    yield part
        finally:
            if not generator.gi_running:
                generator.close()

    def statistics(self) -> ThreadStatistics:
        """Return how many threads do what."""
        with self._lock:
            return ThreadStatistics(
                running=self._running, blocked=self._blocked, idle=self._idle, abandoned=self._abandoned
            )

    def abandon(self) -> int:
        """Take no jobs any more, let idle threads end, and count those that still run a handler as abandoned."""
        with self._lock:
            self._is_closed = True
            self._abandoned = self._running + self._blocked
            idle = self._idle
        for _ in range(idle):
            self._jobs.put(None)
        return self._abandoned

    # -- jobs and threads ----------------------------------------------------------------------------------------------

    def _submit(self, job: Callable[[], None]) -> None:
        """Run *job* on a thread as soon as one may."""
        with self._lock:
            if self._running >= self._settings.threads:
                self._waiting.append(job)
                return
            self._running += 1
            needs_thread = self._claim()
        self._dispatch(job, needs_thread=needs_thread)

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

    def _next_job(self) -> Callable[[], None] | None:
        """Give back the permit to run, or go on with a job that waited for it."""
        with self._lock:
            if self._waiting and self._running <= self._settings.threads:
                return self._waiting.popleft()
            self._running -= 1
            self._idle += 1
            if self._is_closed:
                self._jobs.put(None)
            return None

    @contextlib.contextmanager
    def giving_back(self) -> Iterator[None]:
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
            self._running -= 1
            job = self._waiting.popleft() if self._waiting else None
            if job is not None:
                self._running += 1
                needs_thread = self._claim()
        if job is not None:
            self._dispatch(job, needs_thread=needs_thread)
        try:
            yield
        finally:
            with self._lock:
                self._blocked -= 1
                self._running += 1

    # -- on a thread ---------------------------------------------------------------------------------------------------

    def _run_lease(self, lease: Lease) -> None:
        """Handle one envelope after the other, until the lease is used up or the mail is."""
        limit = time.monotonic() + self._settings.lease_seconds
        taken: tuple[Handler, Envelope] | None = (lease.first, lease.envelope)  # type: ignore[assignment]
        left = self._settings.lease_messages
        while taken is not None:
            handler, envelope = taken
            outcome = self._handle(lease.cell, handler, envelope)
            self._report(lease, envelope, outcome)
            left -= 1
            must_end = outcome.error is not None and lease.cell.agent.on_failure != "resume"
            taken = None if must_end or not left or time.monotonic() >= limit else lease.take()
        self._report(lease, None, None)

    def _handle(self, cell: "Cell", handler: Handler, envelope: "Envelope") -> Outcome:
        """Run one handler; its deadline is looked at first."""
        if envelope.deadline is not None and self._interior.driver_now() >= envelope.deadline:
            return EXPIRED
        context = BlockingContext(self._interior, cell, envelope)
        arguments = (cell.agent, envelope.message, context) if handler.takes_context else (cell.agent, envelope.message)
        variables = self._variables.copy()
        variables.run(current.set, context)
        outcome = attempt(lambda: variables.run(handler.function, *arguments))
        if context.has_replied and outcome.error is None:
            return Outcome()
        return outcome

    def _report(self, lease: Lease, envelope: "Envelope | None", outcome: Outcome | None) -> None:
        """Tell the loop that an envelope has ended, or (`None`) that the lease has."""
        self._done.append((lease, envelope, outcome))
        if not self._is_armed:
            self._is_armed = True
            self._interior.gateway.post_quietly(self.flush)

    def flush(self) -> None:
        """Take over what the threads have done; on the loop."""
        self._is_armed = False
        dispatcher = self._interior.dispatcher
        while self._done:
            lease, envelope, outcome = self._done.popleft()
            if envelope is None or outcome is None:
                dispatcher.lease_ended(lease)
            else:
                dispatcher.lease_reported(lease, envelope, outcome)


def _take_some(generator: "Generator[Any, None, Any]", most: int) -> tuple[list[Any], bool]:
    """Return the next parts of *generator*, and whether it is exhausted."""
    parts: list[Any] = []
    for part in generator:
        parts.append(part)
        if len(parts) >= most:
            return parts, False
    return parts, True
