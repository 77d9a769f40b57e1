"""The process-wide mesh for agents that have no other: started at first use, drained when the interpreter exits."""

import contextlib
import contextvars
import importlib
import os
import threading

from ceylon.core.blocking import BlockingMesh
from ceylon.errors import MeshClosedError, MeshFailedError

__all__ = ["default_mesh", "running_default_mesh"]

_lock = threading.Lock()
_mesh: BlockingMesh | None = None


def default_mesh() -> BlockingMesh:
    """Return the process's own mesh, on its own thread; the first call starts it.

    It is drained for at most 10 s when the interpreter exits. A forked child starts a fresh one at its first use.

    Raises:
        MeshClosedError: the interpreter is exiting.
    """
    global _mesh  # noqa: PLW0603 – the one mesh that belongs to the process
    with _lock:
        if _mesh is None or not _mesh.is_open:
            if _is_over:
                name = "default"
                raise MeshClosedError(name, "the interpreter is exiting")
            made = contextvars.Context().run(BlockingMesh, "default")  # a test's instruments are not the process's
            made.interior.is_default = True
            _mesh = made.start()
        return _mesh


def running_default_mesh() -> BlockingMesh | None:
    """Return the process's own mesh if it runs; this waits for nothing."""
    mesh = _mesh
    return mesh if mesh is not None and mesh.is_open else None


def _stop() -> None:
    """Drain the mesh; the interpreter is about to wait for its threads."""
    global _is_over  # noqa: PLW0603 – as above
    _is_over = True
    if _mesh is not None:
        with contextlib.suppress(MeshFailedError):  # logged; nobody is left to be told
            _mesh.stop()


def _forget() -> None:
    """Start afresh in a forked child: the parent's thread is not there, and the lock may be held by one that is not."""
    global _lock, _mesh, _is_over
    _lock, _mesh, _is_over = threading.Lock(), None, False


def _heed_exit() -> bool:
    """Have the mesh drained at exit; say whether there is still time for that.

    Plain `atexit` is too late: by then name resolution fails in threads, and with it whatever still wants a model.
    """
    try:
        importlib.import_module("concurrent.futures.thread")  # its hook, set before ours, runs after it
        threading._register_atexit(_stop)  # type: ignore[attr-defined]  # noqa: SLF001 – as concurrent.futures does
    except RuntimeError:  # the interpreter is exiting, and this module was asked for only now
        return False
    return True


_is_over = not _heed_exit()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
