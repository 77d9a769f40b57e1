"""The nodes that run others: one after the other, side by side, once more, or for so long."""

import itertools
from typing import TYPE_CHECKING, Any, ClassVar, Final

import anyio

from ceylon.errors import AllFailedError, StageTimeoutError, describe
from ceylon.pipelines.events import Failed
from ceylon.pipelines.flow import Emit, Flow
from ceylon.pipelines.nodes import Fallback, Parallel, Retry, Sequence, Timeout
from ceylon.pipelines.running import Run, Unit, number_of

if TYPE_CHECKING:
    from ceylon.pipelines.watching import Execution

__all__ = [
    "FallbackUnit",
    "ParallelUnit",
    "RaceUnit",
    "RetryUnit",
    "SequenceUnit",
    "TapUnit",
    "TimeoutUnit",
]

_DOUBLINGS: Final = 64  # of a pause; beyond its limit in any case, and more of them would overflow


class SequenceUnit(Unit):
    """One after the other."""

    takes_flow: ClassVar[bool] = True
    shows_items: ClassVar[bool] = False  # its last stage does

    def __init__(self, node: Sequence, place: str, steps: tuple[Unit, ...]) -> None:
        super().__init__(node, place, steps)
        self._is_named = bool(node.name)
        if node.name:
            for step in steps:
                step.belong(node.name, place)

    async def perform(self, run: Run, value: Any, execution: "Execution | None") -> Any:
        """Pass *value* through."""
        parent = number_of(execution)
        try:
            for step in self.steps:
                value = await step.run(run.taking(value) if step.takes_flow else run, value, parent)
        except BaseException as error:
            if self._is_named:
                run.blame(error, self)
            raise
        return _Blaming(run, self, value) if self._is_named and isinstance(value, Flow) else value


class _Blaming(Flow):
    """The flow of a pipeline inside another; its failures say so."""

    def __init__(self, run: Run, unit: SequenceUnit, items: Flow) -> None:
        self._run, self._unit, self._items = run, unit, items
        self.strand = items.strand

    async def drive(self, emit: Emit) -> None:
        """See `Flow`."""
        try:
            await self._items.drive(emit)
        except BaseException as error:
            self._run.blame(error, self._unit)
            raise

    def abandon(self) -> None:
        """See `Flow`."""
        self._items.abandon()


class ParallelUnit(Unit):
    """See `parallel`."""

    def __init__(self, node: Parallel, place: str, steps: tuple[Unit, ...]) -> None:
        super().__init__(node, place, steps)
        self._names, self._on_failure = node.names, node.on_failure

    async def perform(self, run: Run, value: Any, execution: "Execution | None") -> Any:
        """Run all of them."""
        parent, results, failures = number_of(execution), [None] * len(self.steps), dict[int, BaseException]()

        async def go(number: int, step: Unit) -> None:
            try:
                results[number] = await step.settle(run, value, parent)
            except BaseException as error:
                if self._on_failure == "cancel" or not run.is_kept(error):
                    raise
                failures[number] = error

        async with run.crew() as crew:
            for number, step in enumerate(self.steps):
                crew.start(go, number, step)
        if failures and self._on_failure == "wait":
            first, *others = (failures[number] for number in sorted(failures))
            for other in others:
                first.add_note(f"there was also {describe(other)}")
            raise first
        kept = [
            *(Failed(step.label, failures[n]) if n in failures else results[n] for n, step in enumerate(self.steps))
        ]
        return dict(zip(self._names, kept, strict=True)) if self._names else kept


class RaceUnit(Unit):
    """See `race`."""

    async def perform(self, run: Run, value: Any, execution: "Execution | None") -> Any:
        """Run all of them for the first success."""
        parent, won, failures = number_of(execution), list[Any](), dict[int, BaseException]()
        async with run.crew() as crew:

            async def go(number: int, step: Unit) -> None:
                try:
                    result = await step.settle(run, value, parent)
                except BaseException as error:
                    if not run.is_kept(error):
                        raise
                    failures[number] = error
                else:
                    won.append(result)
                    crew.cancel()

            for number, step in enumerate(self.steps):
                crew.start(go, number, step)
        if won:
            return won[0]
        lost = AllFailedError([failures[number] for number in sorted(failures)])
        run.blame(lost, self)
        raise lost from [*failures.values()][-1]


class RetryUnit(Unit):
    """See `retry`."""

    def __init__(self, node: Retry, place: str, steps: tuple[Unit, ...]) -> None:
        super().__init__(node, place, steps)
        self._node = node

    async def perform(self, run: Run, value: Any, execution: "Execution | None") -> Any:
        """Run it until it succeeds."""
        (step,), parent, node = self.steps, number_of(execution), self._node
        for number in itertools.count():
            try:
                return await step.settle(run, value, parent, number)
            except BaseException as error:
                if number + 1 >= node.times or not run.is_kept(error, node.on):
                    raise
                if execution is not None:
                    await execution.tell("retried", error=describe(error), index=number)
            await anyio.sleep(self._pause(run, number))
        return None

    def _pause(self, run: Run, number: int) -> float:
        """Return the seconds between the try of this *number* and the next: exponential, with full jitter by default.

        See Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
        """
        node = self._node
        most = min(node.pause * node.factor ** min(number, _DOUBLINGS), run.interior.settings.stage_longest_pause)
        return most - run.interior.random.uniform(0.0, most * node.jitter) if node.jitter else most


class FallbackUnit(Unit):
    """See `fallback`."""

    def __init__(self, node: Fallback, place: str, steps: tuple[Unit, ...]) -> None:
        super().__init__(node, place, steps)
        self._on = node.on

    async def perform(self, run: Run, value: Any, execution: "Execution | None") -> Any:
        """Run them one after the other, for the first success."""
        parent = number_of(execution)
        for number, step in enumerate(self.steps, 1):
            try:
                result = await step.settle(run, value, parent)
            except BaseException as error:
                if number == len(self.steps) or not run.is_kept(error, self._on):
                    raise
                continue
            if run.watcher is not None:
                for unused in self.steps[number:]:
                    await run.watcher.skip(unused, parent)
            return result
        return None


class TimeoutUnit(Unit):
    """See `timeout`; while a person is asked for a yes, its clock stands still."""

    def __init__(self, node: Timeout, place: str, steps: tuple[Unit, ...]) -> None:
        super().__init__(node, place, steps)
        self._seconds = node.seconds

    async def perform(self, run: Run, value: Any, execution: "Execution | None") -> Any:
        """Run it for so long."""
        (step,) = self.steps
        with run.interior.pauses.clock(run.context, self._seconds):
            return await step.settle(run, value, number_of(execution))
        error = StageTimeoutError(step.label, self._seconds)
        run.blame(error, self)
        raise error


class TapUnit(Unit):
    """See `tap`."""

    async def perform(self, run: Run, value: Any, execution: "Execution | None") -> Any:
        """Show it *value*."""
        (step,) = self.steps
        await step.settle(run, value, number_of(execution))
        return value
