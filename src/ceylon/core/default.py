"""The process-wide mesh for agents that have no other: started at first use, drained when the interpreter exits."""

import concurrent.futures.thread  # noqa: F401 – its exit hook must be registered before ours, so that it runs after
import os
import threading

from ceylon.core.blocking import BlockingMesh

__all__ = ["default_mesh"]

_lock = threading.Lock()
_mesh: BlockingMesh | None = None


def default_mesh() -> BlockingMesh:
    """Return the process's own mesh, on its own thread; the first call starts it.

    It is drained for at most 10 s when the interpreter exits. A forked child starts a fresh one at its first use.
    """
    global _mesh  # noqa: PLW0603 – the one mesh that belongs to the process
    with _lock:
        if _mesh is None or not _mesh.is_open:
            _mesh = BlockingMesh("default").start()
            _mesh.interior.is_default = True
        return _mesh


def _stop() -> None:
    """Drain the mesh; the interpreter is about to wait for its threads."""
    if _mesh is not None:
        _mesh.stop()


def _forget() -> None:
    """Start afresh in a forked child: the parent's thread is not there, and the lock may be held by one that is not."""
    global _lock, _mesh
    _lock, _mesh = threading.Lock(), None


# Plain `atexit` is too late: by then name resolution fails in threads, and whatever still wants a model fails with it.
threading._register_atexit(_stop)  # type: ignore[attr-defined]  # noqa: SLF001 – as concurrent.futures does
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
