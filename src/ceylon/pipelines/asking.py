"""Stages that are agents: asked over the mesh, so that deadline, budget and trace go along.

If somebody watches, what an agent sends on its way to the answer is shown: the parts of a model, the items of a
generator, the events of a pipeline.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from ceylon.agents.answering import AnsweringAgent
from ceylon.errors import IncompleteStreamError
from ceylon.models.turns import ReplyPart
from ceylon.pipelines.events import StageEvent
from ceylon.pipelines.parts import AgentParts, comes_in_parts
from ceylon.pipelines.running import Run, Unit
from ceylon.pipelines.stages import action_at

if TYPE_CHECKING:
    from ceylon.core.ref import Ref
    from ceylon.pipelines.nodes import Stage
    from ceylon.pipelines.watching import Execution, Watcher

__all__ = ["ActionUnit", "AgentUnit"]


class AgentUnit(Unit):
    """An agent that is asked."""

    def __init__(self, node: "Stage", place: str, steps: tuple[Unit, ...]) -> None:
        super().__init__(node, place, steps)
        self._target = node.target

    async def perform(self, run: Run, value: Any, execution: "Execution | None") -> Any:
        """Ask it *value*; what its handler yields is a flow."""
        try:
            ref = await run.ref_of(self._target)
            if comes_in_parts(ref, value):
                return AgentParts(run, ref, value, self)
            if execution is None or run.watcher is None:
                return await ref.ask(value)
            return await self._show(ref, value, execution, run.watcher)
        except BaseException as error:
            run.blame(error, self)
            raise

    async def _show(self, ref: "Ref", value: Any, execution: "Execution", watcher: "Watcher") -> Any:
        """Ask it such that what comes before the answer can be seen."""
        behind = ref.__ceylon_target__
        if isinstance(behind, AnsweringAgent):
            return await _of_model(ref, value, execution)
        if hasattr(behind, "__ceylon_pipeline__"):
            return await _Nested(self.place, execution, watcher).run(ref, value)
        return await ref.ask(value)


async def _of_model(ref: "Ref", value: Any, execution: "Execution") -> Any:
    """Show the parts of a model's answer; return what an ask would have returned."""
    async with ref.stream(value, idle_timeout=math.inf) as parts:  # the agent has a clock for its turn
        async for part in parts:
            if isinstance(part, ReplyPart):
                return part.reply.text if part.reply.output is None else part.reply.output
            await execution.tell("part", value=part)
    raise IncompleteStreamError(ref.address, "")


class _Nested:
    """The events of another pipeline's run, as those of one stage of this one."""

    def __init__(self, place: str, execution: "Execution", watcher: "Watcher") -> None:
        self._place, self._execution, self._watcher = place, execution, watcher
        self._numbers: dict[int, int] = {}
        self._open: dict[int, StageEvent] = {}
        self._result: Any = None

    async def run(self, ref: "Ref", value: Any) -> Any:
        try:
            async with ref.stream(value, idle_timeout=math.inf) as events:  # its own stages have their clocks
                async for event in events:
                    await self._take(event)
        except BaseException:
            for event in reversed(self._open.values()):  # nobody is left to tell their ends
                ended = msgspec.structs.replace(event, what="cancelled", value=None, at=self._watcher.at())
                self._watcher.send_now(ended)
            raise
        return self._result

    async def _take(self, event: StageEvent) -> None:
        if event.parent == 0:  # the whole run, which is this stage's
            self._numbers[event.id] = self._execution.id
            self._result = event.value
            return
        if event.id not in self._numbers:
            self._numbers[event.id] = self._watcher.number()
        place = f"{self._place}.{event.place}"
        number, parent = self._numbers[event.id], self._numbers[event.parent]
        shown = StageEvent(
            number, parent, place, event.label, event.what, event.value, event.error, self._watcher.at(), event.index
        )
        if event.what == "started":
            self._open[number] = shown
        elif event.what in {"ended", "failed", "cancelled"}:
            self._open.pop(number, None)
        await self._watcher.send(shown)


class ActionUnit(Unit):
    """An action of an agent."""

    def __init__(self, node: "Stage", place: str, steps: tuple[Unit, ...]) -> None:
        super().__init__(node, place, steps)
        self._node = node

    async def perform(self, run: Run, value: Any, execution: "Execution | None") -> Any:
        """Call it with *value*."""
        del execution
        try:
            ref = await run.ref_of(self._node.target)
            run.interior.router.wake(ref.address)
            return await ref.call(self._node.action, **self._arguments(value))
        except BaseException as error:
            run.blame(error, self)
            raise

    def _arguments(self, value: Any) -> dict[str, Any]:
        """Return what it is called with; nothing for one that is not there, which the mesh will say."""
        given, action = dict(self._node.arguments), action_at(self._node)
        if action is None:
            return given
        free = {name: each for name, each in action.signature.parameters.items() if name not in given}
        required = [name for name, each in free.items() if each.default is each.empty]
        if len(required) > 1 and isinstance(value, Mapping):
            return {**given, **value}
        return {**given, next(iter(free), "value"): value}
