"""The meshes of this package that are open: each on a thread of its own, drained at the interpreter's exit."""

import contextlib
import importlib
import os
import threading
from typing import Final

from ceylon.core.blocking import BlockingMesh
from ceylon.errors import MeshClosedError, MeshFailedError

__all__ = ["open_mesh", "open_meshes"]

_meshes: Final[list[BlockingMesh]] = []  # held: one whose owner is gone may still have to drain
_lock = threading.Lock()


def open_mesh(name: str) -> BlockingMesh:
    """Start a mesh on its own thread.

    Raises:
        MeshClosedError: the interpreter is exiting.
    """
    if _is_over:
        raise MeshClosedError(name, "the interpreter is exiting")
    made = BlockingMesh(name).start()
    with _lock:
        _meshes[:] = [*(mesh for mesh in _meshes if mesh.is_open), made]
    return made


def open_meshes() -> list[BlockingMesh]:
    """Return the meshes that take messages."""
    with _lock:
        return [mesh for mesh in _meshes if mesh.is_open]


def _stop() -> None:
    """Drain them; the interpreter is about to wait for its threads."""
    global _is_over  # noqa: PLW0603 – as the process's own mesh does
    _is_over = True
    for mesh in reversed(open_meshes()):
        with contextlib.suppress(MeshFailedError):  # logged; nobody is left to be told
            mesh.stop()


def _heed_exit() -> bool:
    """Have them drained at exit; say whether there is still time for that. See `ceylon.core.default`.

    That module comes first, so what is registered here runs before: handlers may still want the process's own mesh.
    """
    try:
        importlib.import_module("ceylon.core.default")
        threading._register_atexit(_stop)  # type: ignore[attr-defined]  # noqa: SLF001 – as concurrent.futures does
    except RuntimeError:  # the interpreter is exiting
        return False
    return True


def _forget() -> None:
    """Have none in a forked child: their threads are not there, and the lock may be held by one that is not."""
    global _lock  # noqa: PLW0603 – as above
    _lock = threading.Lock()
    _meshes.clear()


_is_over = not _heed_exit()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
