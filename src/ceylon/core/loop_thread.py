"""The thread of a mesh that nobody else's loop carries: it begins with the mesh and ends after it."""

import contextlib
import math
import threading
from typing import TYPE_CHECKING, Final

import anyio

from ceylon.core.termination import heeding_termination
from ceylon.errors import BlockingCallError, MeshClosedError, MeshFailedError

if TYPE_CHECKING:
    from ceylon.core.mesh import Mesh

__all__ = ["LoopThread"]

_LOOK_UP: Final = 1.0
"""Seconds after which a waiting main thread looks up: a signal that comes just before a wait does not end it."""


class LoopThread:
    """A thread that runs an event loop for one mesh.

    It is a daemon: a handler that never ends must not hold the interpreter's exit. Whoever leaves the `with` block
    waits for the orderly stop all the same.
    """

    def __init__(self, mesh: "Mesh", backend: str) -> None:
        self._mesh = mesh
        self._backend = backend
        self._thread: threading.Thread | None = None
        self._has_started = threading.Event()
        # Waited for instead of `Thread.join`: up to 3.12 a Ctrl-C in there marks the running thread as ended.
        self._has_ended = threading.Event()
        self._error: BaseException | None = None

    def start(self) -> None:
        """Start, and wait until the mesh is open."""
        if self._thread is not None:
            raise MeshClosedError(self._mesh.name, "a mesh is opened once; make a new one")
        self._thread = threading.Thread(target=self._run, name=f"ceylon {self._mesh.name} loop", daemon=True)
        self._thread.start()
        self._has_started.wait()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            anyio.run(self._main, backend=self._backend)
        except BaseException as error:  # noqa: BLE001 – told to whoever starts it
            self._error = error
        finally:
            self._has_started.set()
            self._has_ended.set()

    async def _main(self) -> None:
        await self._mesh.start()
        self._has_started.set()
        with contextlib.suppress(MeshFailedError):  # told to whoever leaves the mesh
            await self._mesh.wait()

    def stop(self, *, at_once: bool) -> None:
        """Stop the mesh in order and wait for the thread's end."""
        if self._thread is None or self._has_ended.is_set() or not self._thread.is_alive():  # as in a forked child
            return
        if threading.current_thread() is self._thread:
            verb = "stop"
            raise BlockingCallError(verb, "`await mesh.stop()` from async code")
        settings = self._mesh.interior.settings
        try:
            self._mesh.stop_soon(at_once)
            self._wait(settings.drain_timeout + 2 * settings.stop_grace)
        except KeyboardInterrupt:  # a second Ctrl-C does not wait for the drain
            self.end_now()
            raise

    def end_now(self) -> None:
        """Stop the mesh without a drain, and wait for the thread's end, but not for handlers that never end."""
        self._mesh.stop_soon(True)  # noqa: FBT003 – as it is called back
        self._wait(2 * self._mesh.interior.settings.stop_grace)

    def _wait(self, seconds: float) -> None:
        """Wait for the thread's end, for *seconds* at most, and look up meanwhile."""
        for _ in range(math.ceil(seconds / _LOOK_UP)):
            if self._has_ended.wait(min(seconds, _LOOK_UP)):
                return

    def join(self) -> None:
        """Wait until the mesh has stopped; Ctrl-C stops it."""
        if self._thread is None:
            return
        try:
            with heeding_termination(self._mesh.stop_soon):
                while not self._has_ended.wait(_LOOK_UP):
                    pass
        except KeyboardInterrupt:
            self.stop(at_once=True)
            raise
