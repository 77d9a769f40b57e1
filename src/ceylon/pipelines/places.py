"""Where the agents live that are stages of a pipeline: wherever they are, else with the pipeline's own agent."""

from typing import TYPE_CHECKING

from ceylon.agents.agent import Agent
from ceylon.agents.guest import private_address
from ceylon.core.ref import Ref
from ceylon.errors import AgentInUseError

if TYPE_CHECKING:
    from ceylon.core.context import Context

__all__ = ["Places"]


class Places:
    """The agents of one pipeline's agent."""

    def __init__(self) -> None:
        self._own: dict[int, Ref] = {}  # those it has taken in, by identity; the tree holds them

    async def find(self, agent: Agent, context: "Context") -> Ref:
        """Return a handle on *agent*; one that is in no mesh becomes a child of the pipeline's agent.

        One that was, and has ended, is not brought back: its supervisor has decided so.

        Raises:
            AgentInUseError: it is in another mesh.
        """
        own = self._own.get(id(agent))
        if own is not None:
            return own
        interior = context.interior
        while (home := agent.__ceylon_home__) is not None and home[0] is interior:
            cell = interior.router.find(home[1])
            if cell is None or cell.state.takes_mail:
                return Ref(*home)
            await interior.lifecycle.wait_for_change(cell)  # another pipeline, which nobody has any more, lets it go
        if home is not None and not home[0].is_default and not home[0].has_ended:
            raise AgentInUseError(agent.name, home[0].name)
        address = private_address(agent.name) if "$" in context.address else agent.name
        made = self._own[id(agent)] = Ref(interior, interior.spawn(context.cell, agent, address))
        return made
