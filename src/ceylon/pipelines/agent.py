"""A pipeline as an agent: what is asked of it runs through the stages."""

from typing import TYPE_CHECKING, Any, ClassVar

from ceylon.agents.agent import Agent
from ceylon.agents.emitting import channel_of
from ceylon.core.context import Context
from ceylon.core.ref import Ref
from ceylon.errors import DefinitionError
from ceylon.pipelines.nodes import Stage, walk
from ceylon.pipelines.places import Places
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
        self._places = Places()

    async def on_start(self, context: Context) -> None:
        """Find the agents among the stages, or take them in."""
        for _, node in walk(self.pipeline.__ceylon_root__):
            if isinstance(node, Stage) and isinstance(node.target, Agent):
                await self._places.find(node.target, context)

    async def on_message(self, message: Any, context: Context) -> Any:
        """Run the pipeline with *message*."""
        channel = channel_of(context)
        watcher = None if channel is None else Watcher(context, channel)
        run = Run(context, self.name, self._places, watcher)
        result = await self._unit.settle(run, message, 0)
        return result if watcher is None else None

    # -- where it lives ------------------------------------------------------------------------------------------------

    def __ceylon_claim__(self, interior: "Interior") -> None:
        """See `AgentLike`.

        Raises:
            DefinitionError: a ref among the stages is of another mesh.
        """
        super().__ceylon_claim__(interior)
        for _, node in walk(self.pipeline.__ceylon_root__):
            if isinstance(node, Stage) and isinstance(node.target, Ref) and node.target.__ceylon_mesh__ is not interior:
                message = f"{node.target!r} is a stage of {self.pipeline!r}, which cannot run in mesh {interior.name!r}"
                raise DefinitionError(message)

    def __ceylon_move_in__(self, interior: "Interior", address: str) -> None:
        """See `AgentLike`; the pipeline runs here from now on."""
        super().__ceylon_move_in__(interior, address)
        self.pipeline.__ceylon_lives__(interior, address)
