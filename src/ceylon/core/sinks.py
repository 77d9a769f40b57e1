"""Where callers elsewhere wait for the mesh's answers: a task on another loop, or a thread."""

import threading
from typing import TYPE_CHECKING, Any, Final

from ceylon.errors import MeshClosedError

if TYPE_CHECKING:
    from ceylon.core.backend import Driver, Future

__all__ = ["LOOP_ENDED", "ForeignSink", "ThreadSink"]

LOOP_ENDED: Final = "its event loop has ended"
_LOOK_UP: Final = 1.0
"""Seconds after which a waiting thread looks whether the mesh's loop is still there."""


class ForeignSink:
    """A result on its way to another loop."""

    __slots__ = ("_driver", "_is_done", "future")

    def __init__(self, driver: "Driver") -> None:
        self._driver = driver
        self._is_done = False
        self.future: Future = driver.future()

    def done(self) -> bool:
        """Say whether there is a result."""
        return self._is_done

    def set_result(self, result: Any, /) -> None:
        """Send the result over; a loop that has ended meanwhile waits for nothing."""
        self._is_done = True
        try:
            self._driver.call_threadsafe(lambda: self._arrive(result))
        except RuntimeError:
            return

    def _arrive(self, result: Any) -> None:
        if not self.future.done():
            self.future.set_result(result)


class ThreadSink:
    """A result that a thread waits for."""

    __slots__ = ("_lock", "_result")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()
        self._result: Any = None

    def done(self) -> bool:
        """Say whether there is a result."""
        return not self._lock.locked()

    def set_result(self, result: Any, /) -> None:
        """Wake the thread."""
        self._result = result
        self._lock.release()

    def wait(self, driver: "Driver", mesh: str) -> Any:
        """Wait for the result; Ctrl-C interrupts a main thread here.

        Raises:
            MeshClosedError: the loop was closed with the mesh still open, so nobody is left to say anything.
        """
        while not self._lock.acquire(timeout=_LOOK_UP):
            if driver.has_ended():
                if self._lock.acquire(blocking=False):  # the last thing it did
                    break
                raise MeshClosedError(mesh, LOOP_ENDED)
        self._lock.release()
        return self._result
