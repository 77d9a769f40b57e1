"""A pipeline: an immutable value, the tree of its stages, with the verbs to run it."""

from typing import TYPE_CHECKING, Any, TypeVar, overload

from ceylon.core.composing import Composed, In, Out, Sides
from ceylon.core.names import check_name
from ceylon.errors import ArgumentError, DefinitionError
from ceylon.pipelines.checking import Checked, check
from ceylon.pipelines.describing import describe
from ceylon.pipelines.drawing import Drawn
from ceylon.pipelines.nodes import Node, Sequence, walk
from ceylon.pipelines.places import check_names
from ceylon.pipelines.road import Road
from ceylon.settings import DEFAULTS

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Iterable
    from typing import TypeAlias

    from ceylon.core.budgets import Budget
    from ceylon.core.interior import Interior
    from ceylon.pipelines.agent import PipelineAgent
    from ceylon.pipelines.showing import Progress
    from ceylon.pipelines.streams import BlockingPipelineStream, PipelineStream

    Seconds: TypeAlias = float | None

__all__ = ["BlockingPipeline", "Pipeline"]

T = TypeVar("T")
B = TypeVar("B")


class Pipeline(Drawn, Composed[In, Out]):
    """Stages, and how the values go from one to the next.

    Made by `pipeline`, ``>>`` and the other words of `ceylon.pipelines`. It is a value: nothing changes it, two of one
    tree are equal, and it may run any number of times at once.
    """

    __slots__ = ("__weakref__", "_checked", "_concurrency", "_name", "_road", "_root")

    def __init__(
        self,
        root: Sequence,
        *,
        name: str | None = None,
        concurrency: int | None = None,
        known: Checked = Checked(),  # noqa: B008 – immutable
    ) -> None:
        if not hasattr(root, "steps"):
            message = f"{root!r} is no tree of a pipeline; write `pipeline(stage, ...)`, in small letters"
            raise DefinitionError(message)
        self._checked = check(root, known)
        self._root, self._name, self._concurrency = root, name, concurrency
        self._road = Road(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pipeline) and other._root == self._root

    def __hash__(self) -> int:
        return hash(tuple((place, node.kind, node.label) for place, node in walk(self._root)))

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self._root, self._name, self._concurrency)

    def __repr__(self) -> str:
        return f"<Pipeline {self.name!r} {' >> '.join(step.label for step in self._root.steps)}>"

    @property
    def name(self) -> str:
        """What it is called, in a mesh too."""
        return self._name or "pipeline"

    def named(self, name: str, *, concurrency: int | None = None) -> "Pipeline[In, Out]":
        """Return the same stages under a *name*; as an agent it takes *concurrency* runs at a time (64)."""
        if concurrency is not None and not _is_number(concurrency):
            message = f"concurrency={concurrency!r} cannot be; it takes a whole number from 1"
            raise ArgumentError(message)
        return Pipeline(self._root, name=check_name(name), concurrency=concurrency, known=self._checked)

    def describe(self) -> dict[str, Any]:
        """Return the tree as plain JSON data.

        Every node has `kind`, `place` (the indexes of the children on the way to it, ``"1.0.2"``), `label`, `facts`
        (its options) and `children`; stages have `what` and `source` besides, and where children are named there are
        `keys`.
        """
        told = describe(self._root, label=self.name)
        return {"name": self.name, **told}

    # -- running -------------------------------------------------------------------------------------------------------

    @overload
    async def run(
        self, value: In, *, timeout: "Seconds" = None, budget: "Budget | None" = None, progress: "Progress" = None
    ) -> Out: ...
    @overload  # a flow is made of whatever has items
    async def run(
        self: "Pipeline[AsyncIterator[T], B]",
        value: "Iterable[T] | AsyncIterable[T]",
        *,
        timeout: "Seconds" = None,
        budget: "Budget | None" = None,
        progress: "Progress" = None,
    ) -> B: ...
    async def run(
        self,
        value: Any,
        *,
        timeout: float | None = None,
        budget: "Budget | None" = None,
        progress: "Progress" = None,
    ) -> Any:
        """Pass *value* through the stages and return what comes out; on any loop, in a mesh or not.

        It runs in the mesh that the pipeline was added to, else where its refs and agents are, else in that of the
        handler which calls this, else in the default mesh.

        Args:
            value: What the first stage gets.
            timeout: Seconds for the run; by default what is left of an inherited deadline, else an hour.
            budget: What the run, with all that follows from it, may spend.
            progress: `None`: shown on a terminal; `False`: never; `True`: always; or a function of each `StageEvent`.

        Raises:
            HandlerError: an agent failed; a note says in which stage, as for whatever else a stage may raise.
            AskTimeoutError: the time was over.
        """
        return await self._road.run(value, timeout, budget, progress)

    @overload
    def stream(self, value: In, *, timeout: "Seconds" = None) -> "PipelineStream[Out]": ...
    @overload  # a flow is made of whatever has items
    def stream(
        self: "Pipeline[AsyncIterator[T], B]", value: "Iterable[T] | AsyncIterable[T]", *, timeout: "Seconds" = None
    ) -> "PipelineStream[B]": ...
    def stream(self, value: Any, *, timeout: float | None = None) -> "PipelineStream":
        """Pass *value* through the stages and take a `StageEvent` for all that happens; see `run`.

        The run begins with the first event that is awaited, waits for whoever takes its time, and is cancelled when
        the stream is left.
        """
        return self._road.stream(value, timeout)

    @property
    def blocking(self) -> "BlockingPipeline[In, Out]":
        """The same verbs, blocking, for scripts and threads."""
        return BlockingPipeline(self, self._road)

    # -- for code of this package --------------------------------------------------------------------------------------

    @property
    def concurrency(self) -> int:
        """Runs at a time, as an agent."""
        return DEFAULTS.pipeline_concurrency if self._concurrency is None else self._concurrency

    def __ceylon_agent__(self) -> "PipelineAgent":
        """See `AgentSource`.

        Raises:
            DefinitionError: its agents' names clash.
        """
        check_names(self._root, self.name)
        return self._road.agent(self)

    def __ceylon_copy__(self) -> "Pipeline[In, Out]":
        """Return the same pipeline as another value; an agent that holds that one does not hold this one."""
        return _again(self._root, self._name, self._concurrency)

    def __ceylon_lives__(self, interior: "Interior", address: str) -> None:
        """Take note that an agent of this pipeline is in that mesh, under that address."""
        self._road.settle(interior, address)

    @property
    def __ceylon_root__(self) -> Sequence:
        """The tree."""
        return self._root

    @property
    def __ceylon_checked__(self) -> Checked:
        """What is known of its stages, for a pipeline that begins with them."""
        return self._checked if self._name is None else Checked()

    @property
    def __ceylon_tree__(self) -> Node:
        """The tree as a stage; one with a name stays together inside another."""
        if self._name is not None:
            return Sequence(self._root.steps, self._name)
        return self._root.steps[0] if len(self._root.steps) == 1 else self._root


class BlockingPipeline(Sides[In, Out]):
    """The verbs of a pipeline for code that blocks."""

    def __init__(self, pipeline: Pipeline[In, Out], road: Road) -> None:
        self._pipeline = pipeline  # held as long as this is
        self._road = road

    def __repr__(self) -> str:
        return f"<Blocking{repr(self._pipeline)[1:]}"

    @overload
    def run(
        self, value: In, *, timeout: "Seconds" = None, budget: "Budget | None" = None, progress: "Progress" = None
    ) -> Out: ...
    @overload  # a flow is made of whatever has items
    def run(
        self: "BlockingPipeline[AsyncIterator[T], B]",
        value: "Iterable[T] | AsyncIterable[T]",
        *,
        timeout: "Seconds" = None,
        budget: "Budget | None" = None,
        progress: "Progress" = None,
    ) -> B: ...
    def run(
        self,
        value: Any,
        *,
        timeout: float | None = None,
        budget: "Budget | None" = None,
        progress: "Progress" = None,
    ) -> Any:
        """Pass *value* through the stages and wait for what comes out; see `Pipeline.run`.

        Raises:
            BlockingCallError: this thread runs the mesh's own loop.
        """
        return self._road.block_run(value, timeout, budget, progress)

    @overload
    def stream(self, value: In, *, timeout: "Seconds" = None) -> "BlockingPipelineStream[Out]": ...
    @overload  # a flow is made of whatever has items
    def stream(
        self: "BlockingPipeline[AsyncIterator[T], B]",
        value: "Iterable[T] | AsyncIterable[T]",
        *,
        timeout: "Seconds" = None,
    ) -> "BlockingPipelineStream[B]": ...
    def stream(self, value: Any, *, timeout: float | None = None) -> "BlockingPipelineStream":
        """Pass *value* through the stages and take the events one by one; see `Pipeline.stream`."""
        return self._road.blocking_stream(value, timeout)


def _again(root: Sequence, name: str | None, concurrency: int | None) -> Pipeline:
    """Return a pipeline as it was before it was copied, or sent elsewhere."""
    return Pipeline(root, name=name, concurrency=concurrency)


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
