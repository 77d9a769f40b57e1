"""The nodes that go by what a function says of the value: which stage, and whether once more."""

from typing import TYPE_CHECKING, Any, ClassVar

from ceylon.errors import LoopLimitError, NoBranchError
from ceylon.pipelines.callables import Callee
from ceylon.pipelines.nodes import Branch, Loop
from ceylon.pipelines.running import Run, Unit, number_of

if TYPE_CHECKING:
    from ceylon.pipelines.watching import Execution

__all__ = ["BranchUnit", "LoopUnit"]


class BranchUnit(Unit):
    """See `branch`."""

    shows_items: ClassVar[bool] = False

    def __init__(self, node: Branch, place: str, steps: tuple[Unit, ...]) -> None:
        super().__init__(node, place, steps)
        self._keys = [key for key, _ in node.choices]
        self._choices = dict(zip(self._keys, steps, strict=False))
        self._default = None if node.default is None else steps[len(self._keys)]
        self._by = None if node.has_plain_key else steps[-1]
        self._callee = Callee(node.by) if node.has_plain_key else None  # type: ignore[arg-type] # a stage, then

    async def perform(self, run: Run, value: Any, execution: "Execution | None") -> Any:
        """Run the one that is chosen."""
        parent = number_of(execution)
        try:
            chosen = self._find(await self._key(run, value, parent))
        except BaseException as error:
            run.blame(error, self)
            raise
        if run.watcher is not None:
            for step in self.steps:
                if step is not chosen and step is not self._by:
                    await run.watcher.skip(step, parent)
        return await chosen.run(run, value, parent)

    async def _key(self, run: Run, value: Any, parent: int) -> Any:
        if self._by is not None:
            return await self._by.settle(run, value, parent)
        callee = self._callee
        return None if callee is None else await callee.call(run, *callee.arguments(run, value))

    def _find(self, key: Any) -> Unit:
        try:
            chosen: Unit | None = self._choices.get(key, self._default)
        except TypeError:  # one that cannot be hashed is none of them
            chosen = self._default
        if chosen is None:
            raise NoBranchError(key, self._keys)
        return chosen


class LoopUnit(Unit):
    """See `loop`."""

    def __init__(self, node: Loop, place: str, steps: tuple[Unit, ...]) -> None:
        super().__init__(node, place, steps)
        self._at_most, self._keeps = node.at_most, node.until is None or node.at_limit == "keep"
        self._until = None if node.until is None else Callee(node.until)

    async def perform(self, run: Run, value: Any, execution: "Execution | None") -> Any:
        """Run it round by round."""
        (step,), parent = self.steps, number_of(execution)
        for number in range(self._at_most):
            value = await step.settle(run, value, parent, number)
            if await self._is_done(run, value):
                return value
        if self._keeps:
            return value
        error = LoopLimitError(self._at_most, value)
        run.blame(error, self)
        raise error

    async def _is_done(self, run: Run, value: Any) -> bool:
        if self._until is None:
            return False
        try:
            return bool(await self._until.call(run, *self._until.arguments(run, value)))
        except BaseException as error:
            run.blame(error, self)
            raise
