"""One run: a handler's invocation, and what the stages in it need of that."""

import copy
import math
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, ClassVar, Final

from ceylon.core.apart import run_apart
from ceylon.core.invocation import call_as
from ceylon.core.ref import Ref
from ceylon.errors import HandlerError, LawBrokenError, MeshClosedError, MeshFailedError, StrayCancellationError
from ceylon.pipelines.crew import Crew
from ceylon.pipelines.flow import Flow

if TYPE_CHECKING:
    from ceylon.core.context import Context
    from ceylon.core.interior import Interior
    from ceylon.pipelines.nodes import Node
    from ceylon.pipelines.places import Places
    from ceylon.pipelines.watching import Execution, Watcher

__all__ = ["Run", "Unit", "number_of"]

_NEVER: Final = (MeshClosedError, MeshFailedError, LawBrokenError, KeyboardInterrupt)
"""The mesh's own ends, and Ctrl-C: nothing is tried again after them."""


class Run:
    """One value on its way through a pipeline."""

    def __init__(self, context: "Context", name: str, places: "Places", watcher: "Watcher | None") -> None:
        self.context, self.name, self.watcher = context, name, watcher
        self.interior: Interior = context.interior
        self.cancellation = self.interior.driver.cancellation
        self.on_end: Callable[[], None] | None = None  # hears of the end of an async function
        self._places = places
        self._asides: list[BaseException] = []  # raised by what was cancelled

    def telling(self, on_end: Callable[[], None]) -> "Run":
        """Return the same run for one stage, of whose end *on_end* hears."""
        made = copy.copy(self)
        made.on_end = on_end
        return made

    def taking(self, value: Any) -> "Run":
        """Return the same run for a stage that takes *value*, in the strand of it if that is a flow with one."""
        if not isinstance(value, Flow) or value.strand is None:
            return self
        made = copy.copy(self)
        made.context = value.strand
        return made

    def crew(self) -> Crew:
        """Return a crew for tasks of this run."""
        return Crew(self.cancellation, self._asides)

    async def ref_of(self, target: Any) -> Ref:
        """Return the handle on an agent of the pipeline."""
        return target if isinstance(target, Ref) else await self._places.find(target, self.context)

    # -- user code -----------------------------------------------------------------------------------------------------

    async def on_loop(self, function: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
        """Await the async *function*."""
        on_end, self.on_end = self.on_end, None  # once: what a function returns unfinished has its own end
        return await run_apart(self.context, function, *arguments, on_end=on_end, asides=self._asides)

    async def in_thread(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Run *function*, which may block, in one of the mesh's threads."""
        context, threads = self.context, self.interior.threads
        blocking = threads.context_for(context)
        given = [blocking if each is context else each for each in arguments]
        outcome = await threads.lend(lambda: call_as(blocking, function, *given))
        if isinstance(outcome.error, self.cancellation):  # of a thread's own making: nobody cancels those
            raise StrayCancellationError(context.address) from outcome.error
        return outcome.get()

    # -- failures ------------------------------------------------------------------------------------------------------

    def is_cancelled_by(self, error: BaseException) -> bool:
        """Say whether *error* is the loop's cancellation."""
        return isinstance(error, self.cancellation)

    def is_kept(self, error: BaseException, on: tuple[type[BaseException], ...] = (BaseException,)) -> bool:
        """Say whether *error* is one of *on*, itself or as the root of an agent's, and not the end of everything."""
        errors = (error, error.root) if isinstance(error, HandlerError) else (error,)
        if any(isinstance(each, (*_NEVER, self.cancellation)) for each in errors):
            return False
        return any(isinstance(each, on) for each in errors)

    def blame(self, error: BaseException, unit: "Unit") -> None:
        """Let *error* say in which stage it came up, for each pipeline around it."""
        note = f"in stage {unit.label!r} (at {unit.local_place}) of pipeline {unit.pipeline or self.name!r}"
        if not self.is_cancelled_by(error) and note not in getattr(error, "__notes__", ()):
            error.add_note(note)


class Unit:
    """A node that can run.

    `place` is where it stands in the tree. Inside a pipeline that has a name there, `pipeline` is that name, and
    `local_place` the place in it.
    """

    pipeline: str = ""
    local_place: str = ""

    takes_flow: ClassVar[bool] = False
    shows_items: ClassVar[bool] = True

    def __init__(self, node: "Node", place: str, steps: "tuple[Unit, ...]") -> None:
        self.place, self.label, self.steps = place, node.label, steps
        self.local_place = place

    def belong(self, pipeline: str, base: str) -> None:
        """Belong, with what is below, to the pipeline of this name whose place is *base*, unless to one inside it."""
        for step in self.steps:
            step.belong(pipeline, base)
        if not self.pipeline:
            self.pipeline, self.local_place = pipeline, self.place[len(base) + 1 :]

    async def run(self, run: Run, value: Any, parent: int, index: int | None = None) -> Any:
        """Return what comes of *value*: a result, or a flow of results."""
        if isinstance(value, Flow) and not self.takes_flow:
            value = await value.collect()
        if run.watcher is None:
            return await self.perform(run, value, None)
        try:
            execution = await run.watcher.begin(self, parent, index)
        except BaseException:
            if isinstance(value, Flow):
                value.abandon()
            raise
        return await self._watched(run, value, execution)

    async def settle(self, run: Run, value: Any, parent: int, index: int | None = None) -> Any:
        """Return what comes of *value*, a flow as a list."""
        result = await self.run(run, value, parent, index)
        return await result.collect() if isinstance(result, Flow) else result

    async def perform(self, run: Run, value: Any, execution: "Execution | None") -> Any:
        """Do the node's own work; *execution* is there if somebody watches."""
        raise NotImplementedError

    async def _watched(self, run: Run, value: Any, execution: "Execution") -> Any:
        try:
            result = await self.perform(run, value, execution)
        except BaseException as error:
            await execution.fail(error, is_cancelled=run.is_cancelled_by(error))
            raise
        if isinstance(result, Flow):
            return _WatchedFlow(run, result, execution, shows_items=self.shows_items)
        await execution.end(result)
        return result


def number_of(execution: "Execution | None") -> int:
    """Return the id that what is part of *execution* names as its parent's; 0 if nobody watches."""
    return 0 if execution is None else execution.id


class _WatchedFlow(Flow):
    """A flow whose node ends when it does."""

    def __init__(self, run: Run, flow: Flow, execution: "Execution", *, shows_items: bool) -> None:
        self._run, self._flow, self._execution, self._shows_items = run, flow, execution, shows_items
        self.strand = flow.strand

    async def drive(self, emit: Callable[[Any], Awaitable[None]]) -> None:
        kept: list[Any] = []
        is_result = not self._execution.parent  # of the whole run: that is told, however long
        most, count = math.inf if is_result else self._run.interior.settings.flow_items_told, 0

        async def pass_on(item: Any) -> None:
            nonlocal count
            if count < most:
                kept.append(item)
            if self._shows_items:
                await self._execution.tell("part", value=item, index=count)
            count += 1
            await emit(item)

        try:
            await self._flow.drive(pass_on)
        except BaseException as error:
            await self._execution.fail(error, is_cancelled=self._run.is_cancelled_by(error))
            raise
        await self._execution.end(kept if count <= most else None)

    def abandon(self) -> None:
        self._flow.abandon()
        self._execution.drop()
