"""Call the functions of a pipeline: async ones on the loop, plain ones in the mesh's threads."""

import types
from collections.abc import AsyncIterator, Awaitable
from typing import TYPE_CHECKING, Any, Final

import anyio

from ceylon.pipelines.flow import Emit, Flow
from ceylon.pipelines.running import Run, Unit
from ceylon.pipelines.sources import AsyncItems, ThreadItems, flow_of

if TYPE_CHECKING:
    from ceylon.pipelines.nodes import Stage
    from ceylon.pipelines.watching import Execution

__all__ = ["Callee", "FlowFunctionUnit", "FunctionUnit"]

_FLOWS: Final = {types.AsyncGeneratorType: AsyncItems, types.GeneratorType: ThreadItems}


class Callee:
    """A function of a user's, and how it is called."""

    def __init__(self, stage: "Stage") -> None:
        self.function = stage.target
        self.shape = stage.shape

    def arguments(self, run: Run, value: Any) -> tuple[Any, ...]:
        """Return what it is called with as a stage."""
        return (value, run.context) if self.shape.takes_context else (value,)

    async def call(self, run: Run, *arguments: Any) -> Any:
        """Call it, and return what it returns."""
        if self.shape.is_async and not self.shape.yields:
            result = await run.on_loop(self.function, *arguments)
        else:
            result = await run.in_thread(self.function, *arguments)
        while result.__class__ is types.CoroutineType:  # around an `async def`, or never awaited: as handlers’ are
            result = await run.on_loop(_await, result)
        return result


async def _await(result: Awaitable[Any]) -> Any:
    return await result


class FunctionUnit(Unit):
    """A function, or a generator function, as a stage."""

    def __init__(self, node: "Stage", place: str, steps: tuple[Unit, ...]) -> None:
        super().__init__(node, place, steps)
        self._callee = Callee(node)

    @property
    def ends_at_once(self) -> bool:
        """Whether there is nothing between the end of the function and that of the stage."""
        return self._callee.shape.is_async and not self._callee.shape.yields

    async def perform(self, run: Run, value: Any, execution: "Execution | None") -> Any:
        """Call it."""
        del execution
        callee = self._callee
        given = callee.arguments(run, value)
        try:
            if not callee.shape.yields:
                result = await callee.call(run, *given)
            elif callee.shape.is_async:  # nothing of a generator runs when it is made
                result = callee.function(*given)
            else:
                result = _plain_generator(run, callee.function, given)
        except BaseException as error:
            run.blame(error, self)
            raise
        flow = _FLOWS.get(result.__class__)
        return result if flow is None else flow(run, result, self)


def _plain_generator(run: Run, function: Any, given: tuple[Any, ...]) -> Any:
    if len(given) == 1:
        return function(*given)
    return function(given[0], run.interior.threads.context_for(run.context))


class FlowFunctionUnit(Unit):
    """An async function, or async generator function, that takes its flow as an async iterator."""

    takes_flow = True

    def __init__(self, node: "Stage", place: str, steps: tuple[Unit, ...]) -> None:
        super().__init__(node, place, steps)
        self._callee = Callee(node)

    async def perform(self, run: Run, value: Any, execution: "Execution | None") -> Any:
        """Call it; its items come as it asks for them."""
        del execution
        try:
            items = flow_of(run, value, self)
        except TypeError as error:
            run.blame(error, self)
            raise
        if self._callee.shape.yields:
            return _Passed(run, self, items)
        result: Any = None
        taken = Handover(items)
        try:
            async with run.crew() as crew:
                crew.start(taken.fill)
                result = await self._result(run, taken)
                crew.cancel()
        finally:
            taken.give_up()
        return result

    async def _result(self, run: Run, taken: "Handover") -> Any:
        try:
            return await self._callee.call(run, *self.arguments(run, taken))
        except BaseException as error:
            run.blame(error, self)
            raise

    def arguments(self, run: Run, taken: "Handover") -> tuple[Any, ...]:
        """Return what the function is called with."""
        return self._callee.arguments(run, taken)

    def generator(self, run: Run, taken: "Handover") -> AsyncIterator[Any]:
        """Return what it yields."""
        made: AsyncIterator[Any] = self._callee.function(*self.arguments(run, taken))
        return made


class _Passed(Flow):
    """What an async generator makes of a flow."""

    def __init__(self, run: Run, unit: FlowFunctionUnit, items: Flow) -> None:
        self._run, self._unit, self._items = run, unit, items
        self.strand = items.strand

    async def drive(self, emit: Emit) -> None:
        taken = Handover(self._items)
        try:
            async with self._run.crew() as crew:
                crew.start(taken.fill)
                made = self._unit.generator(self._run, taken)
                await AsyncItems(self._run, made, self._unit).drive(emit)
                crew.cancel()
        finally:
            taken.give_up()

    def abandon(self) -> None:
        self._items.abandon()


class Handover:
    """An async iterator whose items another task hands over, one at a time."""

    def __init__(self, items: Flow) -> None:
        self._items, self._has_begun = items, False
        self._give, self._take = anyio.create_memory_object_stream[Any](0)

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        try:
            return await self._take.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def fill(self) -> None:
        """Hand over all items; the end of the stream is the end of the flow, and not of the task that takes."""
        self._has_begun = True
        await self._items.drive(self._give.send)
        self._give.close()

    def give_up(self) -> None:
        """Take no more; items that nobody has begun to ask for never come."""
        self._give.close()
        self._take.close()
        if not self._has_begun:
            self._items.abandon()
