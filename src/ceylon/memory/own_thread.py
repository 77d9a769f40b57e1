"""One thread that owns what may not wait on a loop: a SQLite connection, a client that blocks."""

import os
import queue
import threading
import weakref
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

from ceylon.core.backend import Driver, Future, current_driver

__all__ = ["OwnThread"]

_Thing = TypeVar("_Thing")
_Result = TypeVar("_Result")

_END_SECONDS: Final = 5.0  # for the thread to end; it is a daemon and holds nobody up for longer


class OwnThread(Generic[_Thing]):
    """Opens a thing in a thread of its own at first use, and does there, one after the other, whatever is to be done.

    It serves any number of loops, of either kind, and a forked process makes its own. With the last reference the
    thread closes the thing and ends.
    """

    def __init__(self, name: str, opener: Callable[[], _Thing], closer: Callable[[_Thing], None]) -> None:
        self._name, self._opener, self._closer = name, opener, closer
        self._lock = threading.Lock()
        self._running: tuple[int, _Thread, weakref.finalize[..., Any]] | None = None

    async def run(self, function: Callable[[_Thing], _Result]) -> _Result:
        """Return what ``function(thing)`` returns in the thread; if nobody waits any more, it may not be begun."""
        driver = current_driver()
        job = _Job(function, driver, driver.future())
        self._put(job)
        try:
            await job.done
        except BaseException:
            job.is_abandoned = True
            raise
        if job.error is not None:
            try:
                raise job.error
            finally:
                job.error = None  # it would hold its own traceback
        result: _Result = job.result
        return result

    def stop(self) -> None:
        """Close the thing behind what is to be done still, and end the thread; blocks for that long."""
        with self._lock:
            running, self._running = self._running, None
        if running is not None and running[0] == os.getpid():
            running[2]()

    def _put(self, job: "_Job") -> None:
        """Give *job* to a thread that runs in this process; under the lock, so that none comes behind the end."""
        with self._lock:
            if self._running is not None and self._running[0] != os.getpid():
                self._running[2].detach()  # a fork: the thread is the parent's
                self._running = None
            if self._running is None:
                thread = _Thread(self._name, self._opener, self._closer)
                thread.start()
                self._running = (os.getpid(), thread, weakref.finalize(self, _end, thread))
            self._running[1].put(job)


class _Job:
    """Something to be done, and where whoever waits for it does."""

    def __init__(self, function: Callable[[Any], Any], driver: Driver, done: Future) -> None:
        self.function, self.driver, self.done = function, driver, done
        self.result: Any = None
        self.error: BaseException | None = None
        self.is_abandoned = False

    def tell(self, end: Callable[["_Job"], None]) -> None:
        """Wake who waits and call *end* on their loop, so that it sees a thread at work until then."""

        def wake() -> None:
            end(self)
            if not self.done.done():
                self.done.set_result(None)

        try:
            self.driver.call_threadsafe(wake)
        except RuntimeError:  # the loop has ended, and whoever waited with it
            end(self)


class _Thread(threading.Thread):
    """Does the jobs; it knows nothing of who owns it, so that the owner can be collected."""

    def __init__(self, name: str, opener: Callable[[], Any], closer: Callable[[Any], None]) -> None:
        super().__init__(name=name, daemon=True)
        self._opener, self._closer = opener, closer
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._open: set[_Job] = set()

    @property
    def is_at_work(self) -> bool:
        """Whether it has something to do; a simulation's clock stands still meanwhile."""
        return bool(self._open)

    def put(self, job: _Job) -> None:
        """Do *job* behind the others."""
        self._open.add(job)
        self._jobs.put(job)

    def end(self) -> None:
        """End behind what is to be done."""
        self._jobs.put(None)

    def run(self) -> None:
        """Do one job after the other."""
        things: list[Any] = []
        try:
            while (job := self._jobs.get()) is not None:
                if not job.is_abandoned:
                    self._do(job, things)
                job.tell(self._open.discard)
                del job  # and with it what was asked and answered
        finally:
            for thing in things:
                self._closer(thing)

    def _do(self, job: _Job, things: list[Any]) -> None:
        try:
            if not things:
                things.append(self._opener())
            job.result = job.function(things[0])
        except BaseException as error:  # noqa: BLE001 – it is raised where the job was asked for
            job.error = error


def _end(thread: _Thread) -> None:
    thread.end()
    if thread is not threading.current_thread():
        thread.join(_END_SECONDS)
