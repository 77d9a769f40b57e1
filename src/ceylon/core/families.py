"""What `register` and `pool` return: handles on agents of which there are many behind one name."""

from typing import TYPE_CHECKING

from ceylon.core.cell import State
from ceylon.core.members import Members
from ceylon.core.ref import BlockingRef, Ref
from ceylon.core.registering import address_in
from ceylon.core.verbs import source_in
from ceylon.errors import UnknownAgentError

if TYPE_CHECKING:
    from ceylon.core.interior import Interior

__all__ = ["BlockingFamily", "BlockingPool", "Family", "Pool"]


class _Family:
    """What both kinds of handles on a family are: its name in a mesh."""

    __slots__ = ("_mesh", "name")

    def __init__(self, interior: "Interior", name: str) -> None:
        self._mesh = interior
        self.name = name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} in mesh {self._mesh.name!r}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Family) and other.name == self.name and other._mesh is self._mesh

    def __hash__(self) -> int:
        return hash(self.name)

    @property
    def active(self) -> list[str]:
        """The keys whose agents are in memory."""
        start = f"{self.name}/"
        cells = list(self._mesh.cells().items())
        there = [address for address, cell in cells if cell.state is not State.WAITING and address.startswith(start)]
        return [address.removeprefix(start) for address in there]


class Family(_Family):
    """A handle on the agents that are registered under one name."""

    __slots__ = ()

    def ref(self, key: str) -> Ref:
        """Return a handle on the agent for *key*.

        Raises:
            InvalidNameError: a key is a text of 1 to 256 characters.
        """
        return Ref(self._mesh, address_in(self._mesh, self.name, key))

    @property
    def blocking(self) -> "BlockingFamily":
        """The same handle for threads."""
        return BlockingFamily(self._mesh, self.name)


class BlockingFamily(_Family):
    """A handle on the agents that are registered under one name, for threads."""

    __slots__ = ()

    def ref(self, key: str) -> BlockingRef:
        """Return a handle on the agent for *key*; see `Family.ref`."""
        return BlockingRef(self._mesh, address_in(self._mesh, self.name, key))


class _Pool:
    """What both kinds of handles on a pool know of it, in any thread."""

    __slots__ = ()

    address: str
    _mesh: "Interior"

    @property
    def size(self) -> int:
        """How many members get messages."""
        return len(_members(self._mesh, self.address).present)

    @property
    def members(self) -> tuple[str, ...]:
        """The addresses of the members that get messages."""
        return tuple(cell.address for cell in list(_members(self._mesh, self.address).present))


class Pool(_Pool, Ref):
    """A handle on a pool: a ref whose messages are shared by the members."""

    __slots__ = ()

    async def resize(self, size: int) -> None:
        """Have *size* members; those that are too many get nothing more, and go when they have handled what they have.

        This waits until they are gone. By key, only the keys of members that come or go move, 1/n of them each; a key
        moves when its old member has no message of it any more, so that its messages stay in order.

        Raises:
            ArgumentError: *size* is no whole number from 1.
            UnknownAgentError: the pool has ended.
        """
        mesh, source = self._mesh, source_in(self._mesh)
        found = _members(mesh, self.address)
        (await mesh.gateway.perform(lambda sink: found.resize(size, sink, source))).get()

    @property
    def blocking(self) -> "BlockingPool":
        """The same handle with blocking verbs, for threads."""
        return BlockingPool(self._mesh, self.address, self._options)


class BlockingPool(_Pool, BlockingRef):
    """A handle on a pool whose verbs block the calling thread."""

    __slots__ = ()

    def resize(self, size: int) -> None:
        """Have *size* members, and wait until those that are too many are gone; see `Pool.resize`."""
        mesh, source = self._mesh, source_in(self._mesh)
        found = _members(mesh, self.address)
        mesh.gateway.block("resize", lambda sink: found.resize(size, sink, source)).get()


def _members(interior: "Interior", name: str) -> Members:
    """Return the pool of this name."""
    found = interior.registered.get(name)
    if not isinstance(found, Members):
        raise UnknownAgentError(name, interior.registered)
    return found
