"""Where the agents live that are stages of a pipeline: wherever they are, else with the pipeline's own agent."""

import contextlib
from typing import TYPE_CHECKING

from ceylon.agents.agent import Agent
from ceylon.agents.guest import private_address
from ceylon.core.ref import Ref
from ceylon.errors import AgentInUseError, DefinitionError, MeshClosedError
from ceylon.pipelines.nodes import Node, Stage, walk

if TYPE_CHECKING:
    from ceylon.core.backend import Sink
    from ceylon.core.context import Context
    from ceylon.core.interior import Interior

__all__ = ["Places", "check_names"]


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
        was = agent.__ceylon_home__
        if was is not None and was[0].is_default and was[0] is not interior:
            await _call_back(*was)
        while (home := agent.__ceylon_home__) is not None and home[0] is interior:
            cell = interior.router.find(home[1])
            if cell is None or cell.state.takes_mail:
                return Ref(*home)
            await interior.lifecycle.wait_for_change(cell)  # another pipeline, which nobody has any more, lets it go
        if home is not None and not home[0].is_default and not home[0].has_ended:
            raise AgentInUseError(agent.name, home[0].name)
        is_one_of_many = "$" in context.address or "/" in context.address  # that all have children called so
        address = private_address(agent.name) if is_one_of_many else agent.name
        made = self._own[id(agent)] = Ref(interior, interior.spawn(context.cell, agent, address))
        return made


async def _call_back(default: "Interior", address: str) -> None:
    """End the guest in the default mesh that has taken the agent there, if one has; the runs it has may finish.

    It stands for a pipeline that was run before it, or a greater one, was added to a mesh; it comes again when needed.
    """

    def end(sink: "Sink") -> None:
        cell = default.router.find(address)
        host = None if cell is None else cell.parent
        if host is not None and "$" in host.address and hasattr(host.agent, "__ceylon_pipeline__"):
            default.stop_agent(host.address, sink)
        else:
            sink.set_result(None)

    with contextlib.suppress(MeshClosedError):  # then it is free as well
        await default.gateway.perform(end)


def check_names(root: Node, name: str) -> None:
    """Raise unless the agents that will be children of a pipeline called *name* can all have their addresses.

    Raises:
        DefinitionError: two of them have one name, or one has the pipeline's.
    """
    stages = [node for _, node in walk(root) if isinstance(node, Stage)]
    agents = {id(each.target): each.target for each in stages if isinstance(each.target, Agent)}
    taken = {name: "the pipeline itself"}
    for agent in agents.values():
        home = agent.__ceylon_home__
        if home is not None and not home[0].is_default and not home[0].has_ended:
            continue  # it stays where it is
        if agent.name in taken:
            message = f"an agent of pipeline {name!r} is called {agent.name!r}, as {taken[agent.name]} is; rename one"
            raise DefinitionError(message)
        taken[agent.name] = "another of its agents"
