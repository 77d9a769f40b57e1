"""The nodes that take a flow item by item: `each`, `gather`, `reduce`."""

import copy
from collections import deque
from typing import TYPE_CHECKING, Any, ClassVar, Final

import anyio

from ceylon.core.signals import Signal
from ceylon.pipelines.callables import Callee, FunctionUnit
from ceylon.pipelines.events import Failed
from ceylon.pipelines.flow import Emit, Flow
from ceylon.pipelines.nodes import Each, Gather, Reduce
from ceylon.pipelines.running import Run, Unit, number_of
from ceylon.pipelines.sources import flow_of

if TYPE_CHECKING:
    from ceylon.pipelines.crew import Crew
    from ceylon.pipelines.watching import Execution

__all__ = ["EachUnit", "GatherUnit", "ReduceUnit"]

_NOTHING: Final = object()
"""In the place of the result of an item that failed, where the others finish."""


class _FlowUnit(Unit):
    """A node that takes flows."""

    takes_flow: ClassVar[bool] = True

    def source(self, run: Run, value: Any) -> Flow:
        """Return the items of *value*."""
        try:
            return flow_of(run, value, self)
        except TypeError as error:
            run.blame(error, self)
            raise


class EachUnit(_FlowUnit):
    """See `each`."""

    def __init__(self, node: Each, place: str, steps: tuple[Unit, ...]) -> None:
        super().__init__(node, place, steps)
        self.node = node

    async def perform(self, run: Run, value: Any, execution: "Execution | None") -> Flow:
        """Return the flow of the results; nothing begins before that is driven."""
        return _EachFlow(run, self, self.source(run, value), execution)


class _EachFlow(Flow):
    """What comes of each item of another flow."""

    def __init__(self, run: Run, unit: EachUnit, items: Flow, execution: "Execution | None") -> None:
        self._run, self._unit, self._items = run, unit, items
        self._parent = number_of(execution)
        self.strand = items.strand

    async def drive(self, emit: Emit) -> None:
        async with self._run.crew() as crew:
            line = _Line(self._run, self._unit, crew, emit, self._parent)
            await self._items.drive(line.feed)
        line.check()

    def abandon(self) -> None:
        self._items.abandon()


class _Line:
    """The items of an `each` that are in its step, or behind it and wait to leave."""

    def __init__(self, run: Run, unit: EachUnit, crew: "Crew", emit: Emit, parent: int) -> None:
        self._run, self._node, self._step = run, unit.node, unit.steps[0]
        self._crew, self._emit, self._parent = crew, emit, parent
        self._begun = self._inside = self._left = 0  # how many: ever begun, in the step, gone on
        self._done: dict[int, Any] = {}  # results that wait, by the number of their item
        self._ready: deque[int] = deque()  # likewise the numbers, as they ended
        # Of a function the end itself is known, a turn of the loop before its result comes here.
        self._is_exact = not self._node.ordered and isinstance(self._step, FunctionUnit) and self._step.ends_at_once
        self._is_leaving = False  # one is being taken by who comes next
        self._room: Signal | None = None
        self._failures: dict[int, BaseException] = {}

    async def feed(self, item: Any) -> None:
        """Begin *item* as soon as it may be; see `each`."""
        while not self._has_room():
            self._room = Signal(self._run.interior.driver)
            await self._room.wait()
        self._inside += 1
        self._begun += 1
        self._crew.start(self._pass, self._begun - 1, item)

    def check(self) -> None:
        """Raise the failure of the first item that has one, where the others have finished."""
        if self._failures:
            raise self._failures[min(self._failures)]

    def _has_room(self) -> bool:
        """Say whether one more may begin: so few are waiting that even if all ended now, no more than that would."""
        most = self._node.concurrency
        return self._inside < most and self._inside + len(self._done) + self._is_leaving <= most

    async def _pass(self, number: int, item: Any) -> None:
        run = self._run
        if self._is_exact:
            run = run.telling(lambda: self._ready.append(number))
        try:
            self._done[number] = await self._step.settle(run, item, self._parent, number)
        except BaseException as error:
            if self._node.on_failure == "cancel" or not self._run.is_kept(error):
                raise
            self._done[number] = self._in_place_of(number, error)
        if not self._is_exact:
            self._ready.append(number)
        self._inside -= 1
        self._make_room()
        if not self._is_leaving:
            await self._let_leave()

    def _in_place_of(self, number: int, error: BaseException) -> Any:
        if self._node.on_failure == "keep":
            return Failed(self._step.label, error)
        self._failures[number] = error
        return _NOTHING

    async def _let_leave(self) -> None:
        """Hand on what may go; one task does it for all, so that they go one by one."""
        self._is_leaving = True
        while (number := self._next()) is not None:
            result = self._done.pop(number)
            if result is not _NOTHING:
                await self._emit(result)
            self._left += 1
            self._make_room()
        self._is_leaving = False
        self._make_room()

    def _next(self) -> int | None:
        if self._node.ordered:
            return self._left if self._left in self._done else None
        return self._ready.popleft() if self._ready and self._ready[0] in self._done else None

    def _make_room(self) -> None:
        if self._room is not None and self._has_room():
            room, self._room = self._room, None
            room.set()


class GatherUnit(_FlowUnit):
    """See `gather`."""

    def __init__(self, node: Gather, place: str, steps: tuple[Unit, ...]) -> None:
        super().__init__(node, place, steps)

    async def perform(self, run: Run, value: Any, execution: "Execution | None") -> list[Any]:
        """Return all items."""
        del execution
        return await self.source(run, value).collect()


class ReduceUnit(_FlowUnit):
    """See `reduce`."""

    def __init__(self, node: Reduce, place: str, steps: tuple[Unit, ...]) -> None:
        super().__init__(node, place, steps)
        self._callee, self._initial = Callee(node.function), node.initial

    async def perform(self, run: Run, value: Any, execution: "Execution | None") -> Any:
        """Return what the items are folded into."""
        del execution
        accumulated = copy.copy(self._initial)
        async with run.crew() as crew:

            async def fold(item: Any) -> None:
                nonlocal accumulated
                try:
                    accumulated = await self._callee.call(run, accumulated, item)
                except BaseException as error:
                    if run.is_cancelled_by(error):
                        raise
                    run.blame(error, self)
                    crew.fail(error)  # not raised: whoever hands the item over is not to blame
                    await anyio.sleep_forever()  # until the crew's end comes here

            await self.source(run, value).drive(fold)
        return accumulated
