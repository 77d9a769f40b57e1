"""What the generator of an agent yields, as a flow: a stream of the mesh, with credit, deadline and cancellation."""

import math
from typing import TYPE_CHECKING, Any

from ceylon.core.current import current
from ceylon.core.strands import strand_of
from ceylon.pipelines.flow import Emit, Flow

if TYPE_CHECKING:
    from ceylon.core.ref import Ref
    from ceylon.pipelines.running import Run, Unit

__all__ = ["AgentParts", "comes_in_parts"]


def comes_in_parts(ref: "Ref", message: Any) -> bool:
    """Say whether the agent at *ref* answers *message* by a generator; no, if nobody can say."""
    behaviour = ref.__ceylon_does__
    handler = None if behaviour is None else behaviour.handler_of(message.__class__)
    return handler is not None and handler.yields


class AgentParts(Flow):
    """The parts of an agent's answer. The agent is asked when somebody drives the flow."""

    def __init__(self, run: "Run", ref: "Ref", message: Any, unit: "Unit") -> None:
        self._run, self._ref, self._message, self._unit = run, ref, message, unit
        self.strand = strand_of(run.context)

    async def drive(self, emit: Emit) -> None:
        """See `Flow`; what becomes of the items is the business of the strand that takes them."""
        has_clock = self._run.context.deadline is not None  # as for an ask; else parts may not be too far apart
        token = current.set(self.strand)
        try:
            async with self._ref.stream(self._message, idle_timeout=math.inf if has_clock else None) as parts:
                async for part in parts:
                    await emit(part)
        except BaseException as error:
            self._run.blame(error, self._unit)
            raise
        finally:
            current.reset(token)

    async def collect(self) -> Any:
        """Ask: nobody takes the parts one by one."""
        try:
            return await self._ref.ask(self._message)
        except BaseException as error:
            self._run.blame(error, self._unit)
            raise

    def abandon(self) -> None:
        """Nobody was asked."""
