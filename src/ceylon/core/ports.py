"""What the core asks of the outside: the shape of an agent. Agents themselves live a layer above."""

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias, get_args

import msgspec

from ceylon.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ceylon.core.handlers import Behaviour
    from ceylon.core.interior import Interior
    from ceylon.messages import Envelope

__all__ = [
    "DIRECTIVES",
    "STRATEGIES",
    "AgentLike",
    "AgentOptions",
    "AgentSource",
    "Directive",
    "OnFailure",
    "Strategy",
    "as_agent",
    "check_agent",
]

Directive: TypeAlias = Literal["resume", "restart", "stop", "escalate"]
"""What a supervisor decides after a failure."""

DIRECTIVES: Final[tuple[str, ...]] = get_args(Directive)

Strategy: TypeAlias = Literal["one_for_one", "one_for_all", "rest_for_one"]
"""Which children begin again when one of them is restarted: it alone, all of them, or it and those started after it."""

STRATEGIES: Final[tuple[str, ...]] = get_args(Strategy)

OnFailure: TypeAlias = "Directive | Callable[[BaseException, Envelope], Directive]"


class AgentOptions(msgspec.Struct, frozen=True):
    """What an agent's class, or the agent, says about how it is to be run; `None` leaves it to the mesh.

    `takes_keys`: addresses with a key behind the name are the agent's own affair.
    """

    concurrency: int
    mailbox_capacity: int | None
    ask_timeout: float | None
    on_failure: Any  # OnFailure, which is no type msgspec could check
    takes_keys: bool
    handler_timeout: float | None = None
    strategy: Strategy = "one_for_one"
    max_restarts: int | None = None
    restart_period: float | None = None
    critical: bool = False
    reentrant: bool = False


class AgentLike(Protocol):
    """An agent, as the mesh sees it; `ceylon.Agent` is the one that users subclass."""

    @property
    def name(self) -> str:
        """The agent's name."""
        ...

    @property
    def __ceylon_behaviour__(self) -> "Behaviour":
        """What its class does."""
        ...

    @property
    def __ceylon_itself__(self) -> "AgentLike":
        """The agent; behind a weak reference, a real one."""
        ...

    def __ceylon_options__(self) -> "AgentOptions":
        """Return what it is set to."""
        ...

    def __ceylon_claim__(self, interior: "Interior") -> None:
        """Leave a mesh that holds the agent only for want of another.

        Raises:
            AgentInUseError: another mesh has it.
        """
        ...

    async def __ceylon_vacate__(self) -> None:
        """Give back what was opened on the mesh's loop; after `on_stop`."""
        ...

    def __ceylon_be_keyed__(self, name: str, key: str) -> None:
        """Be called *name*, as all of the family or the pool are, and know the own *key* or number; once, when made."""
        ...

    def __ceylon_move_in__(self, interior: "Interior", address: str) -> None:
        """Know the mesh and the address from now on."""
        ...

    def __ceylon_leave_home__(self) -> None:
        """Be free for another mesh."""
        ...

    def __ceylon_serial_key__(self, envelope: "Envelope") -> Hashable | None:
        """Return what must not be handled twice at once; `None` for an envelope that is free."""
        ...

    def __ceylon_expect__(self, envelope: "Envelope") -> None:
        """Hear of an envelope to an address with a key, before it is in the mailbox; perhaps more than once."""
        ...

    def __ceylon_rebuild__(self) -> "AgentLike":
        """Return a new agent, made as this one was."""
        ...

    def __ceylon_hook__(self, name: str) -> "Callable[..., Any] | None":
        """Return the hook of this name if the class defines one of its own."""
        ...


class AgentSource(Protocol):
    """A value that an agent can be made of; a mesh makes it when the value is added."""

    def __ceylon_agent__(self) -> AgentLike:
        """Return a new agent."""
        ...


def as_agent(agent: Any) -> AgentLike:
    """Return *agent*, or the agent that is made of it.

    Raises:
        DefinitionError: it is none, and none can be made of it.
    """
    if isinstance(agent, type) or not hasattr(agent, "__ceylon_behaviour__"):
        agent = _made_of(agent)
    return agent  # type: ignore[no-any-return]  # a name of its type would cost each agent two bytecodes


def _made_of(source: Any) -> Any:
    make = None if isinstance(source, type) else getattr(source, "__ceylon_agent__", None)
    if make is None:
        check_agent(source)
        return source
    return make()


def check_agent(agent: object) -> None:
    """Raise `DefinitionError` unless *agent* is an agent."""
    if isinstance(agent, type):
        message = f"{agent.__name__} is a class; add an instance: {agent.__name__}('name')"
        raise DefinitionError(message)
    if not hasattr(agent, "__ceylon_behaviour__"):
        message = f"{agent!r} is no agent; agents are instances of subclasses of ceylon.Agent"
        raise DefinitionError(message)
