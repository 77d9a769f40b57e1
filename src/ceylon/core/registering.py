"""Names behind which there is more than one agent, and how each finds who is to have an envelope."""

from typing import TYPE_CHECKING, Protocol

from ceylon.core.keyed import KeyedAgents
from ceylon.core.makers import Maker, Makes
from ceylon.core.members import Members, check_size
from ceylon.core.names import check_address
from ceylon.core.ref import address_of
from ceylon.errors import ArgumentError, InvalidNameError, UnknownAgentError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ceylon.core.cell import Cell
    from ceylon.core.interior import Interior
    from ceylon.core.ports import AgentLike
    from ceylon.core.routings import Routing
    from ceylon.core.snapshots import Snapshots
    from ceylon.messages import Envelope

__all__ = ["Registered", "add_family", "add_pool", "address_in"]


class Registered(Protocol):
    """A family or a pool, as the router and the mesh see it; on the mesh's loop."""

    maker: "Maker"

    @property
    def sample(self) -> str:
        """What an address of it looks like, for errors."""
        ...

    @property
    def timers(self) -> int:
        """How many of the mesh's timers are armed for it."""
        ...

    @property
    def example(self) -> "AgentLike | None":
        """One of its agents, which all do the same, from any thread; `None`: there is none just now."""
        ...

    def receiver(self, envelope: "Envelope", key: str) -> "Cell | None":
        """Return whose mailbox *envelope* belongs into; `None`: nobody's."""
        ...

    def cells(self) -> "Sequence[Cell]":
        """Return the places of all its agents."""
        ...

    def wants_key(self) -> bool:
        """Say whether an address of it has a key."""
        ...

    async def all_leave(self, until: float) -> None:
        """Let those leave in time who do so one by one: the mesh has nothing to do any more, and is about to stop."""
        ...

    async def end(self, until: float | None) -> BaseException | None:
        """Make no agent any more and end those there are; return what whoever asks is to be told."""
        ...


def add_family(
    interior: "Interior",
    makes: Makes,
    name: str | None,
    idle: float | None,
    limit: int | None,
    snapshots: "Snapshots | None",
) -> str:
    """Let one agent for each key exist from its first message on; return the family's name; see `Mesh.register`."""
    settings, maker = interior.settings, Maker(makes, name, "register")
    family = KeyedAgents(
        interior,
        maker,
        idle=_checked_idle(settings.family_idle if idle is None else idle),
        limit=_checked_limit(settings.family_limit if limit is None else limit),
        snapshots=interior.snapshots if snapshots is None else snapshots,
    )
    interior.anywhere("register", lambda: interior.register(maker.name, family))
    return maker.name


def _checked_idle(idle: object) -> float:
    if not isinstance(idle, int | float) or not idle > 0:
        message = f"idle={idle!r} cannot be; it takes seconds above 0, `math.inf` for never"
        raise ArgumentError(message)
    return idle


def _checked_limit(limit: object) -> int:
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
        message = f"limit={limit!r} cannot be; it takes a whole number of agents, from 1"
        raise ArgumentError(message)
    return limit


def add_pool(interior: "Interior", makes: Makes, name: str | None, size: int, routing: "Routing") -> str:
    """Let *size* agents share the work behind one name; return it; see `Mesh.pool`."""
    check_size(size)
    members = Members(interior, Maker(makes, name, "pool"), routing)

    def begin() -> None:
        interior.register(members.name, members)
        try:
            members.grow(size)
        except BaseException:
            interior.unregister(members.name)
            raise

    interior.anywhere("pool", begin)
    return members.name


def address_in(interior: "Interior", recipient: object, key: object) -> str:
    """Return the address that *recipient* names: an address, a ref, a registered class; with *key* one of a family.

    Raises:
        UnknownAgentError: the class is registered nowhere.
        ArgumentError: it is registered more than once, or a key is missing.
        InvalidNameError: the key is none.
        TypeError: it names none.
    """
    if isinstance(recipient, type):
        address = _name_of_class(interior, recipient, has_key=key is not None)
    else:
        address = address_of(recipient)
    if key is None:
        return address
    if not isinstance(key, str):
        raise InvalidNameError(key, "a key is a text")
    if "/" in address:
        whole = f"{address}/{key}"
        raise InvalidNameError(whole, "a key goes behind a family's name, and this address has one")
    return check_address(f"{address}/{key}")


def _name_of_class(interior: "Interior", cls: type, *, has_key: bool) -> str:
    """Return the name under which *cls* is registered."""
    registered = dict(interior.registered)  # at once: the caller may be any thread
    names = [name for name, each in registered.items() if each.maker.cls is cls]
    if not names:
        raise UnknownAgentError(cls.__name__, [each.sample for each in registered.values()], is_class=True)
    if len(names) > 1:
        message = (
            f"{cls.__name__} is registered as {' and as '.join(map(repr, names))}; say which: ref({names[0]!r}, ...)"
        )
        raise ArgumentError(message)
    if not has_key and registered[names[0]].wants_key():
        message = f'{cls.__name__} is registered for keys; say whose: ref({cls.__name__}, key="...")'
        raise ArgumentError(message)
    return names[0]
