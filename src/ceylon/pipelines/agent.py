"""A pipeline as an agent: what is asked of it runs through the stages."""

from typing import TYPE_CHECKING, Any, ClassVar

from ceylon.agents.agent import Agent
from ceylon.agents.emitting import channel_of
from ceylon.agents.guest import private_address
from ceylon.core.context import Context
from ceylon.core.ref import Ref
from ceylon.errors import AgentInUseError
from ceylon.pipelines.nodes import Stage, walk
from ceylon.pipelines.running import Run
from ceylon.pipelines.units import unit_of
from ceylon.pipelines.watching import Watcher
from ceylon.settings import DEFAULTS

if TYPE_CHECKING:
    from ceylon.core.interior import Interior
    from ceylon.pipelines.value import Pipeline

__all__ = ["PipelineAgent"]


class PipelineAgent(Agent):
    """Runs a pipeline for each message it gets: an ask is answered with the result, a stream with `StageEvent`s.

    ``mesh.add(pipeline)`` makes one. Agents among the stages that are in no mesh become its children: they are
    supervised with it, and end with it.
    """

    ask_timeout: float | None = DEFAULTS.pipeline_timeout
    __ceylon_pipeline__: ClassVar[bool] = True  # for whoever may not import this module

    def __init__(self, pipeline: "Pipeline") -> None:
        super().__init__(pipeline.name)
        self.concurrency = pipeline.concurrency
        self.pipeline = pipeline
        self._unit = unit_of(pipeline.__ceylon_root__)
        self._unit.label = pipeline.name
        self._places: dict[int, Ref] = {}

    async def on_start(self, context: Context) -> None:
        """Find the agents among the stages, or take them in."""
        for _, node in walk(self.pipeline.__ceylon_root__):
            if isinstance(node, Stage) and isinstance(node.target, Agent):
                self._places[id(node.target)] = await _place(node.target, context)

    async def on_message(self, message: Any, context: Context) -> Any:
        """Run the pipeline with *message*."""
        channel = channel_of(context)
        watcher = None if channel is None else Watcher(context, channel)
        run = Run(context, self.name, self._places, watcher)
        result = await self._unit.settle(run, message, 0)
        return result if watcher is None else None

    # -- where it lives ------------------------------------------------------------------------------------------------

    def __ceylon_move_in__(self, interior: "Interior", address: str) -> None:
        """See `AgentLike`; the pipeline runs here from now on."""
        super().__ceylon_move_in__(interior, address)
        self.pipeline.__ceylon_lives__(interior, address)


async def _place(agent: Agent, context: Context) -> Ref:
    """Return a handle on *agent* where it lives; without a mesh of its own, it lives here from now on."""
    interior = context.interior
    while (home := agent.__ceylon_home__) is not None and home[0] is interior:
        cell = interior.router.find(home[1])
        if cell is None or cell.state.takes_mail:
            return Ref(*home)
        await interior.lifecycle.wait_for_change(cell)  # another pipeline, which nobody has any more, lets it go
    if home is not None and not home[0].is_default and not home[0].has_ended:
        raise AgentInUseError(agent.name, home[0].name)
    address = private_address(agent.name) if "$" in context.address else agent.name
    return Ref(interior, interior.spawn(context.cell, agent, address))
