"""Threads with permits: so many may run at a time, one that waits in a blocking verb gives its permit to another.

What they run is not known here, but for what it counts as: a `Hold`.
"""

import contextlib
import queue
import threading
from collections import deque
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

from ceylon.core.ledger import ThreadStatistics
from ceylon.errors import DeadlockError

if TYPE_CHECKING:
    from ceylon.settings import Settings

__all__ = ["Hold", "PermittedThreads"]


class Hold:
    """What a thread does for somebody, and whether it counts among those that may run. Under the pool's lock."""

    __slots__ = ("has_passed_on", "is_blocked", "is_let_go", "is_under_way")

    def __init__(self) -> None:
        self.is_under_way = False  # a thread has begun it, and not ended
        self.is_blocked = False  # its thread waits in a blocking verb
        self.is_let_go = False  # nobody waits for it any more, and it may never end
        self.has_passed_on = False  # and its permit to run is another thread's since


class PermittedThreads:
    """So many threads may run jobs, more may wait in blocking verbs, and there is a hard cap."""

    def __init__(self, mesh: str, settings: "Settings") -> None:
        self._mesh = mesh
        self._most_running, self._cap = settings.threads, settings.thread_cap
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
        self._names = 0
        self._here = threading.local()

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

    def close_threads(self, why: str) -> None:
        """Let threads end when they have nothing to run; *why* is kept."""
        with self._lock:
            self._why_closed = why
            self._running += len(self._resuming)
            while self._resuming:
                self._resuming.popleft().release()
            for _ in range(self._idle):
                self._jobs.put(None)

    # -- jobs ----------------------------------------------------------------------------------------------------------

    def submit(self, job: Callable[[], None]) -> None:
        """Run *job* on a thread as soon as one may."""
        with self._lock:
            if self._running >= self._most_running or self._resuming or not self._has_thread():
                self._waiting.append(job)
                return
            self._running += 1
            needs_thread = self._claim()
        self._dispatch(job, needs_thread=needs_thread)

    def _has_thread(self) -> bool:
        """Say whether one is idle or may be made. Under the lock."""
        return self._idle > 0 or self._alive < self._cap

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
            name = f"ceylon {self._mesh} {self._names}"
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
                if self._waiting and self._running < self._most_running:
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

    # -- permits -------------------------------------------------------------------------------------------------------

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
            if self._blocked + 1 >= self._cap:
                raise DeadlockError(
                    (),
                    f"all {self._cap} threads of mesh {self._mesh!r} (its thread limiter) "
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
        if hold is not None:
            self._blocks(hold)
        try:
            yield
        finally:
            self._resume(hold)

    def _blocks(self, hold: Hold) -> None:
        """Hear that the thread of *hold* waits in a blocking verb from now on; on that thread."""

    def _resume(self, hold: Hold | None) -> None:
        """Wait until one thread more may run, and go on; one that was given up may in any case, and does not count."""
        with self._lock:
            self._blocked -= 1
            if hold is not None and hold.is_let_go:
                hold.is_blocked, hold.has_passed_on = False, True
                return
            if self._running < self._most_running or self._why_closed:
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
