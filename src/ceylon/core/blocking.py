"""The mesh for code that blocks: the same verbs from plain threads, and a mesh on a thread of its own.

Nothing is done here a second time: every verb hands its operation to the gateway of the one async mesh and waits.
"""

import functools
import random
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from ceylon.core.families import BlockingFamily, BlockingPool
from ceylon.core.inspection import Inspector
from ceylon.core.loop_thread import LoopThread
from ceylon.core.mesh import Mesh
from ceylon.core.ref import BlockingRef, address_of
from ceylon.core.registering import address_in
from ceylon.core.skins import BlockingVerbs
from ceylon.core.submitting import BlockingCollecting
from ceylon.core.svg import mimebundle, svg_of
from ceylon.core.verbs import source_in
from ceylon.errors import LawBrokenError, MeshClosedError, MeshFailedError
from ceylon.messages import attempt
from ceylon.settings import DEFAULTS, Settings

if TYPE_CHECKING:
    from ceylon.core.backend import Sink
    from ceylon.core.findings import Ledger, Wait, Why
    from ceylon.core.gateway import Operation
    from ceylon.core.interceptors import Interceptor
    from ceylon.core.interior import Interior
    from ceylon.core.ledger import DeadLetter, MeshStatistics
    from ceylon.core.makers import Makes
    from ceylon.core.origin import Origin
    from ceylon.core.ports import AgentLike, AgentSource
    from ceylon.core.ref import Ref
    from ceylon.core.routings import Routing
    from ceylon.core.snapshots import Snapshots
    from ceylon.core.subscription import Subscription
    from ceylon.core.subscriptions import WhenFull

__all__ = ["BlockingMesh"]


class BlockingMesh(BlockingVerbs, BlockingCollecting):
    """A mesh with blocking verbs, on an event loop of its own in a thread of its own.

    ``with BlockingMesh("market") as mesh:`` starts it and drains it at the end. `Mesh.blocking` is the same face on a
    mesh that runs on somebody's loop. May be used from any thread but the loop's own.

    Args:
        name: What it is called in logs and errors.
        backend: The loop to run on.
        max_hops: How many agents a message may be passed through.
        settings: Every other number; see `ceylon.settings`.
        random_source: Where jitter comes from.
        interceptors: What stands around every delivery and every handling, outermost first; see `Interceptor`.
    """

    def __init__(
        self,
        name: str = "mesh",
        *,
        backend: Literal["asyncio", "trio"] = "asyncio",
        max_hops: int | None = None,
        settings: Settings = DEFAULTS,
        random_source: random.Random | None = None,
        interceptors: "Sequence[Interceptor]" = (),
    ) -> None:
        self._mesh = Mesh(
            name, max_hops=max_hops, settings=settings, random_source=random_source, interceptors=interceptors
        )
        self._thread: LoopThread | None = LoopThread(self._mesh, backend)

    @classmethod
    def of(cls, mesh: Mesh) -> "BlockingMesh":
        """Return the blocking face of *mesh*, which runs on a loop already."""
        view = cls.__new__(cls)
        view._mesh, view._thread = mesh, None  # noqa: SLF001 – the same class
        return view

    def __repr__(self) -> str:
        return f"<Blocking{repr(self._mesh)[1:]}"

    @property
    def name(self) -> str:
        """What the mesh is called."""
        return self._mesh.name

    @property
    def interior(self) -> "Interior":
        """The parts, for code of this package."""
        return self._mesh.interior

    def _interior(self) -> "Interior":
        return self._mesh.interior

    def _source(self) -> "Origin | None":
        return source_in(self._mesh.interior)

    # -- opening and closing -------------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Start the mesh's thread and wait until it takes messages."""
        if self._thread is not None:
            self._thread.start()
        return self

    def stop(self, name: "str | BlockingRef | Ref | None" = None, *, at_once: bool = False) -> None:
        """Stop the agent *name*, or the whole mesh; see `Mesh.stop`."""
        mesh, source = self._mesh, self._source()
        if name is not None:
            stop = functools.partial(mesh.interior.stop_agent, address_of(name), source=source, at_once=at_once)
            self._block("stop", stop)
        elif source is not None:  # a handler of this mesh: it has to end first, so it does not wait
            self._block("stop", functools.partial(mesh.stop_for, at_once=at_once, waits=False))
        elif self._thread is not None:
            self._thread.stop(at_once=at_once)
            mesh.interior.check_end()
        else:
            self._leave("stop", functools.partial(mesh.stop_for, at_once=at_once))

    def stop_soon(self) -> None:
        """Begin what `stop` waits for, and do not wait; from any thread, also while garbage is collected."""
        self._mesh.stop_soon(False)  # noqa: FBT003 – as it is called back

    def _leave(self, verb: str, operation: "Callable[[Sink], None]") -> None:
        """Wait for the end of a mesh on somebody else's loop; if it is over already, say how it ended."""
        try:
            self._block(verb, operation)
        except MeshClosedError as error:
            self._mesh.interior.check_end(error)
            raise

    def _block(self, verb: str, operation: "Operation") -> Any:
        return self._mesh.interior.gateway.block(verb, operation).get()

    def wait(self) -> None:
        """Wait until the mesh is stopped: by `stop`, Ctrl-C, SIGTERM, which lets it drain, or a failure: raised."""
        if self._thread is not None:
            self._thread.join()
            self._mesh.interior.check_end()
        else:
            self._leave("wait", self._mesh.tell_end)

    def drain(self) -> None:
        """Wait until nothing is in any mailbox or handler; the mesh stays open; see `Mesh.drain`."""
        source = self._source()
        self._block("drain", lambda sink: self._mesh.interior.quiet.drain(source, sink))

    def __enter__(self) -> Self:
        """Start the mesh."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self.stop(at_once=error is not None)
        except KeyboardInterrupt:  # perhaps before the stop has begun, and nobody else would begin it
            if self._thread is not None:
                self._thread.end_now()
            raise
        except (LawBrokenError, MeshFailedError):
            self._mesh.interior.check_end(error)

    # -- agents --------------------------------------------------------------------------------------------------------

    def add(self, agent: "AgentLike | AgentSource") -> BlockingRef:
        """Take *agent* in and start it; see `Mesh.add`."""
        return self._mesh.add(agent).blocking

    def register(
        self,
        makes: "Makes",
        name: str | None = None,
        *,
        idle: float | None = None,
        limit: int | None = None,
        snapshots: "Snapshots | None" = None,
    ) -> BlockingFamily:
        """Let there be one agent for each key, from its first message on; see `Mesh.register`."""
        return self._mesh.register(makes, name, idle=idle, limit=limit, snapshots=snapshots).blocking

    def pool(
        self, makes: "Makes", name: str | None = None, *, size: int, routing: "Routing" = "round_robin"
    ) -> BlockingPool:
        """Let *size* agents share the work behind one address; see `Mesh.pool`."""
        return self._mesh.pool(makes, name, size=size, routing=routing).blocking

    def ref(self, address: "str | BlockingRef | Ref | type[AgentLike]", *, key: str | None = None) -> BlockingRef:
        """Return a handle on *address*, a name or a registered class; with *key* on the agent for that key."""
        return BlockingRef(self._mesh.interior, address_in(self._mesh.interior, address, key))

    def subscribe(
        self,
        topic: str,
        recipient: "str | BlockingRef | Ref",
        *,
        group: str | None = None,
        when_full: "WhenFull" = "wait",
    ) -> "Subscription":
        """Let *recipient* receive what is published on *topic*; see `Mesh.subscribe`."""
        return self._mesh.subscribe(topic, address_of(recipient), group=group, when_full=when_full)

    def agent(self, name: str) -> "AgentLike":
        """Return the agent called *name*; see `Mesh.agent`."""
        return self._mesh.agent(name)

    @property
    def agents(self) -> list[str]:
        """The addresses of the agents; see `Mesh.agents`."""
        return self._mesh.agents

    @property
    def is_open(self) -> bool:
        """Whether the mesh takes messages."""
        return self._mesh.is_open

    # -- looking in ----------------------------------------------------------------------------------------------------

    def statistics(self) -> "MeshStatistics":
        """Return every counter as it is now; see `Mesh.statistics`."""
        if not self._mesh.is_open:
            return self._mesh.statistics()
        found: MeshStatistics = self._block("statistics", self._mesh.interior.tell_statistics)
        return found

    def ledger(self) -> "Ledger":
        """Return every counter, and every envelope that is open; see `Mesh.ledger`."""
        found: Ledger = self._inspect("ledger", Inspector.ledger)
        return found

    def waits(self) -> "list[Wait]":
        """Return who waits for whom just now; see `Mesh.waits`."""
        found: list[Wait] = self._inspect("waits", Inspector.waits)
        return found

    def why(self, message_id: str) -> "Why":
        """Return where the message of this id is, and who blocks it; see `Mesh.why`."""
        found: Why = self._inspect("why", lambda it: it.why(message_id))
        return found

    def draw(self) -> str:
        """Return a picture of the mesh as Mermaid text; see `Mesh.draw`."""
        interior = self._mesh.interior
        if interior.has_ended or not interior.was_opened:  # nothing changes meanwhile
            return self._mesh.draw()
        found: str = self._block("draw", lambda sink: sink.set_result(attempt(self._mesh.draw)))
        return found

    def svg(self) -> str:
        """Return the picture as an SVG; see `Mesh.svg`. It is rendered in the caller's thread: no agent waits."""
        return svg_of(self.draw())

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        """Show the picture in a notebook."""
        return mimebundle(self.draw, repr(self))

    def _inspect(self, verb: str, function: "Callable[[Inspector], Any]") -> Any:
        interior = self._mesh.interior
        if interior.has_ended:  # nothing changes any more
            return function(interior.inspector)
        return self._block(verb, functools.partial(interior.inspect, function))

    def dead_letters(self) -> "list[DeadLetter]":
        """Return the last dead letters, oldest first."""
        return self._mesh.dead_letters()
