"""Worker threads in lock step with the loop: one of them runs at any time, so that a seed decides everything.

The loop hands the baton to a thread and waits until it has it back: when the thread's job is done, or when it waits in
a blocking verb. The answer it waits for does not wake the thread, it makes the loop hand the baton over again. A thread
that keeps the baton for some real seconds, because it waits for something else, has to do without it: the loop goes on
with its clock held, as for any real thing under way.
"""

import contextlib
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Final

import msgspec

from ceylon.core.sinks import LOOP_ENDED, ThreadSink
from ceylon.errors import InjectedFaultError, MeshClosedError
from ceylon.testing.recording import RecordedThreadPool, record_of
from ceylon.testing.simulation.faults import note_fault

if TYPE_CHECKING:
    from ceylon.core.backend import Driver
    from ceylon.core.clock import Clock
    from ceylon.core.handlers import Handler
    from ceylon.core.leases import Lease
    from ceylon.messages import Envelope, Outcome
    from ceylon.testing.fingerprints import Fingerprints
    from ceylon.testing.simulation.choices import Choices
    from ceylon.testing.simulation.faults import FaultPlan

__all__ = ["LockStepPool"]

_PATIENCE: Final = 3.0
"""Real seconds the loop waits for a thread: longer than any handler computes."""
_LATEST: Final = 2.0
_LOOK_UP: Final = 1.0


class _Stretch:
    """The time a thread has the baton."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._is_astray = False

    def wait(self) -> bool:
        """Wait for its end, on the loop; say no if the thread keeps the baton too long."""
        if self._is_over.wait(_PATIENCE):
            return True
        with self._lock:
            self._is_astray = not self._is_over.is_set()
        return not self._is_astray

    def end(self) -> bool:
        """Give the baton back, on the thread; say no if the loop has not waited for it."""
        with self._lock:
            self._is_over.set()
            return not self._is_astray


class _Pause(ThreadSink):
    """What a thread of the pool waits for in a blocking verb, or for its turn."""

    __slots__ = ("_has_result", "_pool", "_stretch")

    def __init__(self, pool: "LockStepPool") -> None:
        super().__init__()
        self._pool = pool
        self._has_result = False
        self._stretch: _Stretch

    def done(self) -> bool:
        """Say whether there is a result."""
        return self._has_result

    def set_result(self, result: Any, /) -> None:
        """Let the loop hand the baton to the thread."""
        self._has_result, self._result = True, result
        self._pool.go_on(self)

    def wait(self, driver: "Driver", mesh: str) -> Any:
        """Give the baton back and wait for it.

        Raises:
            MeshClosedError: the loop has ended.
        """
        self._pool.give_back()
        while not self._lock.acquire(timeout=_LOOK_UP):
            if driver.has_ended():
                raise MeshClosedError(mesh, LOOP_ENDED)
        self._pool.take_over(self._stretch)
        return self._result

    def resume(self, stretch: _Stretch) -> None:
        """Let the thread have the baton for *stretch*."""
        self._stretch = stretch
        self._lock.release()

    def release(self) -> None:
        """Do what the lock does that stands here in a pool without simulation: it is the thread's turn to run."""
        self.set_result(None)


class LockStepPool(RecordedThreadPool):
    """A pool whose threads and loop never run at the same time."""

    plan: "ClassVar[FaultPlan]"
    fingerprints: "ClassVar[Fingerprints]"
    choices: "ClassVar[Choices]"
    clock: "ClassVar[Clock]"

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        most = self.choices.below(4) + 1
        self._settings = msgspec.structs.replace(self._settings, lease_messages=most)

    # -- the baton -----------------------------------------------------------------------------------------------------

    def _soon(self, callback: Callable[[], None]) -> None:
        """Run *callback* on the loop; one that has ended needs nothing any more."""
        with contextlib.suppress(RuntimeError):
            self._driver.call_threadsafe(callback)

    def _dispatch(self, job: Callable[[], None], *, needs_thread: bool) -> None:
        """Let the loop begin with *job* in its own time; the caller may be a thread."""
        self._soon(lambda: self._hand_over(job, needs_thread=needs_thread))

    def _hand_over(self, job: Callable[[], None], *, needs_thread: bool) -> None:
        stretch = _Stretch()

        def run() -> None:
            self.take_over(stretch)
            job()

        super()._dispatch(run, needs_thread=needs_thread)
        self._wait_for(stretch)

    def go_on(self, pause: _Pause) -> None:
        """Let the loop hand the baton to whoever waits in *pause*, in its own time."""
        self._soon(lambda: self._resume_one(pause))

    def _resume_one(self, pause: _Pause) -> None:
        stretch = _Stretch()
        pause.resume(stretch)
        self._wait_for(stretch)

    def _wait_for(self, stretch: _Stretch) -> None:
        """Wait until the baton is back, or go on without it."""
        if not stretch.wait():
            self.clock.hold()

    def take_over(self, stretch: _Stretch) -> None:
        """Have the baton; on a thread."""
        self._here.stretch = stretch

    def give_back(self) -> None:
        """Give the baton back; on a thread."""
        if not self._here.stretch.end():
            self._soon(self.clock.let_go)

    def _next_job(self) -> Callable[[], None] | None:
        job = super()._next_job()
        if job is None:
            self.give_back()
        return job

    # -- waiting -------------------------------------------------------------------------------------------------------

    def sink(self) -> ThreadSink:
        """Return what a blocking verb waits in; other people's threads are not in step."""
        return _Pause(self) if getattr(self._here, "is_worker", False) else super().sink()

    def _new_turn(self) -> Any:
        return _Pause(self)  # it has the one method of a lock that the pool uses

    def _await_turn(self, turn: Any) -> None:
        turn.wait(self._driver, self._interior.name)

    def _sleep(self, seconds: float) -> None:
        """Let a thread wait for virtual time to pass."""
        pause, driver = _Pause(self), self._driver

        def set_timer() -> None:
            driver.call_at(driver.now() + seconds, pause.release)

        self._soon(set_timer)
        pause.wait(driver, self._interior.name)

    # -- faults --------------------------------------------------------------------------------------------------------

    def _handle(self, lease: "Lease", handler: "Handler", envelope: "Envelope") -> "tuple[Outcome, bool]":
        function = handler.function

        def spoilt(*arguments: Any) -> Any:
            self.fingerprints.check(envelope)
            record = record_of(self._interior)
            if self.plan.strikes("slow"):
                seconds = self.plan.seconds(_LATEST)
                note_fault(record, envelope, f"waits {seconds:g} s before its handler begins")
                self._sleep(seconds)
            if self.plan.strikes("crash"):
                note_fault(record, envelope, "crash at await 0")
                raise InjectedFaultError
            return function(*arguments)

        return super()._handle(lease, msgspec.structs.replace(handler, function=spoilt), envelope)
