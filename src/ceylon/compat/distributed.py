"""The mesh over many machines, which a later release brings."""

from typing import Any, Final

from ceylon.compat.meshes import PyLocalMesh
from ceylon.errors import NotYetError

__all__ = ["DistributedMesh", "PyDistributedMesh"]

_WHEN: Final = "a later release, as a mesh over many machines"
_MEANWHILE: Final = "use `LocalMesh`, which has the same verbs in one process"


class PyDistributedMesh(PyLocalMesh):
    """A mesh over many machines; it can be imported, and made once a release brings it.

    Args:
        name: What it will be called.
        port: Where it will listen.

    Raises:
        NotYetError: always.
    """

    def __init__(self, name: str, port: int) -> None:
        what = f"{type(self).__name__}({name!r}, {port!r})"
        raise NotYetError(what, _WHEN, _MEANWHILE)

    def connect_peer(self, agent_name: str, url: str) -> Any:
        """Say that the agent *agent_name* is to be found at *url*; with the class."""
        what = f"connect_peer({agent_name!r}, {url!r})"
        raise NotYetError(what, _WHEN, _MEANWHILE)

    @staticmethod
    def with_registry(name: str, port: int, registry: Any) -> "PyDistributedMesh":
        """Make one that finds agents by *registry*; see the class."""
        del registry
        return PyDistributedMesh(name, port)


class DistributedMesh(PyDistributedMesh):
    """The same, for agents written in Python."""
