"""How an agent that no mesh has lives in the default one: the mesh holds it weakly, so it leaves when nobody else does.

The mesh has a `Guest` in the agent's place. Whatever it runs, handlers, actions and hooks, it runs with the agent
itself, held for as long as that takes: user code never sees a reference that may go. An agent whose `lifespan` or
background task is under way is held by that.
"""

import itertools
import weakref
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, Final

import anyio.to_thread
import msgspec

from ceylon.core.default import default_mesh, running_default_mesh
from ceylon.core.handlers import Handler
from ceylon.core.ports import AgentOptions
from ceylon.errors import AgentInUseError, AgentStoppedError

if TYPE_CHECKING:
    from ceylon.agents.answering import AnsweringAgent
    from ceylon.agents.seat import Seat
    from ceylon.core.backend import Sink
    from ceylon.core.interior import Interior
    from ceylon.messages import Envelope

__all__ = ["Guest", "join", "join_blocking", "private_address"]

_numbers: Final = itertools.count(1)
_HOOKS_AT_LEAVING: Final = ("on_stop", "lifespan")


def private_address(name: str) -> str:
    """Return an address for an agent that shares its mesh with strangers: two of one name do not meet there."""
    return f"{name}${next(_numbers)}"


async def join(agent: "AnsweringAgent") -> None:
    """Add *agent* to the default mesh, from any loop."""
    mesh = running_default_mesh()
    if mesh is None:
        mesh = await anyio.to_thread.run_sync(default_mesh)
    interior, guest = mesh.interior, Guest(agent)
    outcome = await interior.gateway.perform(lambda sink: interior.add_for(guest, guest.address, sink))
    if not isinstance(outcome.error, AgentInUseError):  # else somebody else was faster
        outcome.get()


def join_blocking(agent: "AnsweringAgent") -> None:
    """Add *agent* to the default mesh, from any thread."""
    guest = Guest(agent)
    try:
        default_mesh().interior.add(guest, guest.address)
    except AgentInUseError:
        return


class Guest:
    """Stands for one agent in the default mesh."""

    def __init__(self, agent: "AnsweringAgent", *, holds: bool = False) -> None:
        self.name = agent.name
        self.address = private_address(agent.name)
        self.__ceylon_behaviour__ = agent.__ceylon_behaviour__.mapped(_awake)
        self._id = id(agent)
        self._agent = weakref.ref(agent)
        self._held: AnsweringAgent | None = agent if holds else None
        self._seat: Seat | None = None

    @property
    def __ceylon_itself__(self) -> "AnsweringAgent":
        """The agent, from now on held by whoever asks.

        Raises:
            AgentStoppedError: it is gone.
        """
        agent = self._held or self._agent()
        if agent is None:
            raise AgentStoppedError(self.address)
        return agent

    # -- what the mesh asks for ----------------------------------------------------------------------------------------

    def __ceylon_options__(self) -> AgentOptions:
        """See `AgentLike`; a function of the agent's is found again when it is needed."""
        options = self.__ceylon_itself__.__ceylon_options__()
        return msgspec.structs.replace(options, on_failure=self._decide) if callable(options.on_failure) else options

    def _decide(self, error: BaseException, envelope: "Envelope") -> Any:
        said: Any = self.__ceylon_itself__.on_failure
        return said(error, envelope)

    def __ceylon_claim__(self, interior: "Interior") -> None:
        """See `AgentLike`; of two that want to bring the agent in, the second is refused."""
        agent = self.__ceylon_itself__
        if agent.__ceylon_home__ is not None:
            raise AgentInUseError(self.name, agent.__ceylon_home__[0].name)
        agent.__ceylon_claim__(interior)

    def __ceylon_move_in__(self, interior: "Interior", address: str) -> None:
        """See `AgentLike`."""
        agent = self.__ceylon_itself__
        agent.__ceylon_move_in__(interior, address)
        self._seat = agent.__ceylon_seat__
        if self._seat is not None:
            self._seat.guest = self

    def __ceylon_leave_home__(self) -> None:
        """See `AgentLike`; an agent that has moved on stays where it is."""
        agent = self._held or self._agent()
        if agent is not None and agent.__ceylon_seat__ is self._seat:
            agent.__ceylon_leave_home__()
        self._held = None

    async def __ceylon_vacate__(self) -> None:
        """See `AgentLike`."""
        if self._seat is not None:
            await self._seat.close()

    def __ceylon_serial_key__(self, envelope: "Envelope") -> Hashable | None:
        """See `AgentLike`."""
        return self.__ceylon_itself__.__ceylon_serial_key__(envelope)

    def __ceylon_expect__(self, envelope: "Envelope") -> None:
        """See `AgentLike`."""
        self.__ceylon_itself__.__ceylon_expect__(envelope)

    def __ceylon_rebuild__(self) -> "Guest":
        """See `AgentLike`; nobody else holds the new instance, so this one does until the old handle is gone."""
        return Guest(self.__ceylon_itself__.__ceylon_rebuild__(), holds=True)

    def __ceylon_hook__(self, name: str) -> Callable[..., Any] | None:
        """See `AgentLike`."""
        agent = self._held or self._agent()
        return None if agent is None else agent.__ceylon_hook__(name)

    # -- leaving -------------------------------------------------------------------------------------------------------

    def let_go(self, agent: "AnsweringAgent") -> None:
        """Let the agent move to another mesh; if it does something at leaving, that comes first."""
        interior, address = self._place()
        if (
            any(agent.__ceylon_hook__(name) is not None for name in _HOOKS_AT_LEAVING)
            and not interior.gateway.is_inside()
        ):
            interior.gateway.block("add", lambda sink: interior.stop_agent(address, sink), may_warn=False)
        else:
            interior.gateway.post_quietly(lambda: interior.stop_agent(address, _Nobody()))

    def depart(self, agent: "AnsweringAgent") -> None:
        """Let the agent leave, whose last reference is gone; it is held until that is done.

        Called while garbage is collected, by any thread: nothing here waits.
        """
        interior, address = self._place()
        if id(agent) == self._id and interior.is_open:
            self._held = agent
            interior.gateway.post_quietly(lambda: interior.stop_agent(address, _Nobody()))

    def _place(self) -> "tuple[Interior, str]":
        if self._seat is None:
            raise AgentStoppedError(self.address)
        return self._seat.interior, self._seat.address


def _awake(handler: Handler) -> Handler:
    """Return *handler* as a guest's: it runs with the agent itself."""
    function = handler.function

    def run(guest: Guest, *arguments: Any) -> Any:
        return function(guest.__ceylon_itself__, *arguments)

    return msgspec.structs.replace(handler, function=run)


class _Nobody:
    """Takes a result that nobody waits for."""

    def done(self) -> bool:
        return False

    def set_result(self, result: Any, /) -> None:
        """Forget *result*."""


if TYPE_CHECKING:
    _sink: Sink = _Nobody()
