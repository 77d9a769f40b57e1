"""The way to where a pipeline runs: its agent in a mesh, or a guest that stands for it as long as anybody has it."""

import functools
import importlib
import math
import threading
import weakref
from typing import TYPE_CHECKING, Any, TypeVar

import anyio.to_thread

from ceylon.agents.agent import Agent
from ceylon.agents.guest import private_address
from ceylon.core import verbs
from ceylon.core.current import current
from ceylon.core.default import default_mesh, running_default_mesh
from ceylon.core.ref import Ref
from ceylon.core.streams import BlockingStream, Stream
from ceylon.core.terms import Terms, terms_of
from ceylon.errors import DefinitionError, HandlerError
from ceylon.messages import attempt
from ceylon.pipelines.nodes import Stage, walk
from ceylon.pipelines.showing import Display, Progress, display_for
from ceylon.pipelines.streams import BlockingPipelineStream, PipelineStream
from ceylon.settings import DEFAULTS

if TYPE_CHECKING:
    from ceylon.core.backend import Sink
    from ceylon.core.budgets import Budget
    from ceylon.core.interior import Interior
    from ceylon.pipelines.agent import PipelineAgent
    from ceylon.pipelines.value import Pipeline

__all__ = ["Road"]

S = TypeVar("S", Stream, BlockingStream)


class Road:
    """Leads from one pipeline, the value, to an agent that runs it."""

    def __init__(self, pipeline: "Pipeline") -> None:
        self._find = weakref.ref(pipeline)
        self._lock = threading.Lock()
        # Meshes are not held: a pipeline may outlive many.
        self._added: tuple[weakref.ref[Interior], str] | None = None  # where somebody has added it
        self._guests: weakref.WeakKeyDictionary[Interior, str] = weakref.WeakKeyDictionary()

    def agent(self, pipeline: "Pipeline") -> "PipelineAgent":
        """Return a new agent that runs *pipeline*."""
        made: PipelineAgent = importlib.import_module("ceylon.pipelines.agent").PipelineAgent(pipeline)
        return made

    def settle(self, interior: "Interior", address: str) -> None:
        """Take note where the pipeline's agent is."""
        self._added = weakref.ref(interior), address

    # -- for tasks of any loop -----------------------------------------------------------------------------------------

    async def run(self, value: Any, timeout: float | None, budget: "Budget | None", progress: Progress) -> Any:
        """See `Pipeline.run`."""
        pipeline, terms = self._pipeline(), terms_of(budget, None)
        display = display_for(progress, pipeline.describe)
        if display is not None:
            return await self._show(value, timeout, terms, display)
        interior, address = await self._find_home(pipeline)
        try:
            return await verbs.ask(interior, verbs.source_in(interior), address, value, timeout, terms=terms)
        except HandlerError as error:
            found = error.inside()
        raise found from found.__cause__

    def stream(self, value: Any, timeout: float | None, terms: Terms | None = None) -> PipelineStream:
        """See `Pipeline.stream`."""
        pipeline = self._pipeline()

        async def begin() -> Stream:
            return _stream(Stream, await self._find_home(pipeline), value, timeout, terms)

        return PipelineStream(begin)

    async def _show(self, value: Any, timeout: float | None, terms: Terms | None, display: Display) -> Any:
        try:
            async with self.stream(value, _seconds(timeout), terms) as events:
                async for event in events:
                    display.see(event)
                return await events.result()
        finally:
            display.close()

    async def _find_home(self, pipeline: "Pipeline") -> "tuple[Interior, str]":
        interior = self._interior(pipeline)
        if interior is None:
            mesh = running_default_mesh()
            interior = (mesh if mesh is not None else await anyio.to_thread.run_sync(default_mesh)).interior
        known = self._known(interior)
        if known is not None:
            return known
        outcome = await interior.gateway.perform(functools.partial(self._settle_in, pipeline, interior))
        return interior, outcome.get()

    # -- for threads ---------------------------------------------------------------------------------------------------

    def block_run(self, value: Any, timeout: float | None, budget: "Budget | None", progress: Progress) -> Any:
        """See `Pipeline.run`."""
        pipeline, terms = self._pipeline(), terms_of(budget, None)
        display = display_for(progress, pipeline.describe)
        if display is not None:
            return self._block_show(value, timeout, terms, display)
        interior, address = self._find_home_blocking(pipeline)
        try:
            return verbs.block_ask(interior, verbs.source_in(interior), address, value, timeout, terms=terms)
        except HandlerError as error:
            found = error.inside()
        raise found from found.__cause__

    def blocking_stream(self, value: Any, timeout: float | None, terms: Terms | None = None) -> BlockingPipelineStream:
        """See `Pipeline.stream`."""
        pipeline = self._pipeline()
        return BlockingPipelineStream(
            lambda: _stream(BlockingStream, self._find_home_blocking(pipeline), value, timeout, terms)
        )

    def _block_show(self, value: Any, timeout: float | None, terms: Terms | None, display: Display) -> Any:
        try:
            with self.blocking_stream(value, _seconds(timeout), terms) as events:
                for event in events:
                    display.see(event)
                return events.result()
        finally:
            display.close()

    def _find_home_blocking(self, pipeline: "Pipeline") -> "tuple[Interior, str]":
        interior = self._interior(pipeline)
        interior = default_mesh().interior if interior is None else interior
        known = self._known(interior)
        if known is not None:
            return known
        settle_in = functools.partial(self._settle_in, pipeline, interior)
        return interior, interior.gateway.block("run", settle_in, may_warn=False).get()

    # -- for both ------------------------------------------------------------------------------------------------------

    def _pipeline(self) -> "Pipeline":
        """Return the pipeline, to be held as long as it is needed."""
        pipeline = self._find()
        if pipeline is None:
            message = "the pipeline is gone; keep it as long as its `blocking` face is used"
            raise DefinitionError(message)
        return pipeline

    def _interior(self, pipeline: "Pipeline") -> "Interior | None":
        """Return the mesh to run in; `None` for the default one."""
        added = None if self._added is None else self._added[0]()
        if added is not None and not added.has_ended:
            return added
        homes = {id(each): each for each in _homes(pipeline)}
        if len(homes) > 1:
            names = ", ".join(repr(each.name) for each in homes.values())
            message = f"the agents of {pipeline!r} are in several meshes ({names}); a pipeline runs in one"
            raise DefinitionError(message)
        source = current.get()
        return next(iter(homes.values()), None if source is None else source.interior)

    def _known(self, interior: "Interior") -> "tuple[Interior, str] | None":
        """Return where in this mesh an agent runs the pipeline already."""
        added = self._added
        addresses = [added[1]] if added is not None and added[0]() is interior else []
        with self._lock:
            addresses += [self._guests[interior]] if interior in self._guests else []
        return next(((interior, address) for address in addresses if address in interior.cells()), None)

    def _settle_in(self, pipeline: "Pipeline", interior: "Interior", sink: "Sink") -> None:
        """Let *sink* have the address of the pipeline's guest, which is made unless there is one; on the mesh's loop.

        In one step: of several that run the pipeline for the first time at once, one makes it.
        """

        def find_or_make() -> str:
            known = self._known(interior)
            if known is not None:
                return known[1]
            guest, address = self._guest(pipeline)
            interior.add(guest, address)
            self._keep(pipeline, interior, address)
            return address

        sink.set_result(attempt(find_or_make))

    def _guest(self, pipeline: "Pipeline") -> "tuple[PipelineAgent, str]":
        """Return an agent that stands for *pipeline*, which it does not hold, and an address for it."""
        guest = self.agent(pipeline.__ceylon_copy__())
        return guest, private_address(guest.name)

    def _keep(self, pipeline: "Pipeline", interior: "Interior", address: str) -> None:
        """Let the guest stay until *pipeline* is gone."""
        weakref.finalize(pipeline, _depart, weakref.ref(interior), address).atexit = False
        with self._lock:
            self._guests[interior] = address


def _homes(pipeline: "Pipeline") -> "list[Interior]":
    """Return the meshes in which refs and agents among the stages are; the default one lets its guests go anywhere."""
    found: list[Interior] = []
    for _, node in walk(pipeline.__ceylon_root__):
        if isinstance(node, Stage) and isinstance(node.target, Ref):
            found.append(node.target.__ceylon_mesh__)
        elif isinstance(node, Stage) and isinstance(node.target, Agent):
            home = node.target.__ceylon_home__
            if home is not None and not home[0].has_ended and not home[0].is_default:
                found.append(home[0])
    return found


def _stream(kind: type[S], home: "tuple[Interior, str]", value: Any, timeout: float | None, terms: Terms | None) -> S:
    """Return the stream of the events of a run; its stages have clocks of their own."""
    interior, address = home
    source = verbs.source_in(interior)
    return verbs.stream(kind, interior, lambda: source, address, value, timeout, math.inf, math.inf, terms)


def _seconds(timeout: float | None) -> float | None:
    """Return how long a run may take that is shown; as one that is not, if no deadline is inherited."""
    source = current.get()
    if timeout is None and (source is None or source.deadline is None):
        return DEFAULTS.pipeline_timeout
    return timeout


def _depart(mesh: "weakref.ref[Interior]", address: str) -> None:
    """Let the guest leave whose pipeline is gone; called while garbage is collected, by any thread."""
    interior = mesh()
    if interior is not None and interior.is_open:
        interior.gateway.post_quietly(lambda: interior.stop_agent(address, _Nobody()))


class _Nobody:
    """Takes a result that nobody waits for."""

    def done(self) -> bool:
        return True

    def set_result(self, result: Any, /) -> None:
        """Forget *result*."""
