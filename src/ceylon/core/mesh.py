"""The mesh: agents, a router and a dispatcher on the event loop it is opened on, asyncio or trio."""

import contextlib
import random
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import anyio
import msgspec

from ceylon.core.cell import State
from ceylon.core.families import Family, Pool
from ceylon.core.findings import Ledger, Wait, Why
from ceylon.core.gateway import NOT_STARTED
from ceylon.core.inspection import Inspector
from ceylon.core.instruments import instruments
from ceylon.core.interceptors import sort_interceptors
from ceylon.core.interior import Interior
from ceylon.core.ledger import MeshStatistics
from ceylon.core.names import check_name
from ceylon.core.ports import as_agent
from ceylon.core.ref import Ref, address_of
from ceylon.core.registering import add_family, add_pool, address_in
from ceylon.core.shutdown import Shutdown
from ceylon.core.skins import AsyncVerbs
from ceylon.core.submitting import Collecting
from ceylon.core.subscription import Subscription
from ceylon.core.subscriptions import WhenFull, interest_in
from ceylon.core.svg import mimebundle, svg_of
from ceylon.core.termination import heeding_termination
from ceylon.core.verbs import source_in
from ceylon.errors import MeshClosedError, UnknownAgentError
from ceylon.messages import Outcome, attempt
from ceylon.settings import DEFAULTS, Settings

if TYPE_CHECKING:
    from ceylon.core.backend import Sink
    from ceylon.core.blocking import BlockingMesh
    from ceylon.core.interceptors import Interceptor
    from ceylon.core.ledger import DeadLetter
    from ceylon.core.makers import Makes
    from ceylon.core.origin import Origin
    from ceylon.core.ports import AgentLike, AgentSource
    from ceylon.core.routings import Routing
    from ceylon.core.snapshots import Snapshots

__all__ = ["Mesh"]


class Mesh(AsyncVerbs, Collecting):
    """Agents, and the road between them.

    ``async with Mesh("market") as mesh:`` opens it on the caller's loop; leaving the block drains it, leaving it by an
    exception cancels what runs. `start` and `stop` do the same where there is no block (notebooks, web lifespans).
    Its verbs can be awaited on any other loop too, and `blocking` has them for threads.

    Args:
        name: What it is called in logs and errors.
        max_hops: How many agents a message may be passed through.
        settings: Every other number; see `ceylon.settings`.
        random_source: Where jitter comes from; give a seeded one to make it repeatable.
        interceptors: What stands around every delivery and every handling, outermost first; see `Interceptor`.
    """

    def __init__(
        self,
        name: str = "mesh",
        *,
        max_hops: int | None = None,
        settings: Settings = DEFAULTS,
        random_source: random.Random | None = None,
        interceptors: "Sequence[Interceptor]" = (),
    ) -> None:
        if max_hops is not None:
            settings = msgspec.structs.replace(settings, max_hops=max_hops)
        self.name = check_name(name)
        chance = random_source or instruments.get().random_source()
        self._inside = Interior(self.name, settings, chance, sort_interceptors(interceptors))
        self._shutdown: Shutdown | None = None

    def __repr__(self) -> str:
        state = "open" if self._inside.is_open else "closed"
        return f"<Mesh {self.name!r} {state} {len(self._inside.cells())} agents>"

    def _interior(self) -> Interior:
        return self._inside

    def _source(self) -> "Origin | None":
        return source_in(self._inside)

    # -- opening and closing -------------------------------------------------------------------------------------------

    async def start(self) -> Self:
        """Open the mesh on the running loop.

        Raises:
            MeshClosedError: it has been opened before; a mesh is used once.
        """
        if self._shutdown is not None:
            raise MeshClosedError(self.name, "a mesh is opened once; make a new one")
        from ceylon.core.backend import current_driver  # noqa: PLC0415 – asyncio takes as long as all the rest

        driver = current_driver()
        await anyio.lowlevel.checkpoint()  # loads anyio's backend now, not at the first message
        self._inside.open(driver)
        self._shutdown = Shutdown(self._inside)
        self._inside.stop_at_once = lambda: self.begin_stop(at_once=True)
        self._inside.watcher = driver.spawn(self._shutdown.watch_loop, f"ceylon {self.name}")
        return self

    async def stop(self, name: "str | Ref | None" = None, *, at_once: bool = False) -> None:
        """Stop the agent *name*, or the whole mesh.

        A mesh takes nothing new, finishes what it has within 10 s, cancels the rest and gives it 5 s, then gives up
        threads that still run. *at_once* leaves out the first of these. Whoever still waits gets `MeshClosedError`.
        An agent ends likewise, its children before it, last started first. A keyed agent leaves memory, its state
        saved; what waits for it brings it back. The name of a family or a pool ends all its agents.

        Called by a handler that would itself have to end first, this begins the stop and returns without waiting.

        Raises:
            UnknownAgentError: there is no such agent.
            LawBrokenError: an envelope was lost or ended twice, by a mistake of the mesh's own.
            MeshFailedError: the mesh was ended by the failure of a critical agent.
            SnapshotError: a state could not be saved. A keyed agent stays then; with its family it has ended.
        """
        if name is not None:
            await self._stop_agent(address_of(name), at_once=at_once)
        elif self._source() is not None:
            await self._end(at_once=at_once)
        else:
            await self._end(at_once=at_once)
            self._inside.check_end()

    async def _end(self, *, at_once: bool) -> None:
        """Stop the mesh; what it failed by is not raised here."""
        if self._shutdown is None or self._shutdown.closed.is_raised:
            return
        if not self._inside.gateway.is_inside():
            with contextlib.suppress(MeshClosedError):  # it has ended meanwhile
                await self._inside.gateway.perform(lambda sink: self.stop_for(sink, at_once=at_once))
            return
        self.begin_stop(at_once=at_once)
        if self._source() is None:
            await self._shutdown.wait()

    def begin_stop(self, *, at_once: bool) -> None:
        """Begin what `stop` waits for; on the mesh's loop."""
        if self._shutdown is not None:
            self._shutdown.begin(at_once=at_once)

    async def _stop_agent(self, address: str, *, at_once: bool) -> None:
        source, stop = self._source(), self._inside.stop_agent
        outcome = await self._inside.gateway.perform(lambda sink: stop(address, sink, source=source, at_once=at_once))
        outcome.get()

    def stop_for(self, sink: "Sink", *, at_once: bool, waits: bool = True) -> None:
        """Begin what `stop` waits for; *sink* hears of its end, or at once if it does not wait. On the mesh's loop."""
        self.begin_stop(at_once=at_once)
        if waits:
            self.tell_end(sink)
        else:
            sink.set_result(Outcome())

    def tell_end(self, sink: "Sink") -> None:
        """Let *sink* hear of the mesh's end; on the mesh's loop."""
        if self._shutdown is not None:
            self._shutdown.closed.also(lambda: sink.set_result(attempt(self._inside.check_end)))

    async def wait(self) -> None:
        """Wait until the mesh is stopped: by `stop`, by Ctrl-C, by SIGTERM, which lets it drain, or by a failure.

        Raises:
            MeshFailedError: a critical agent failed for good.
        """
        if self._shutdown is not None:
            with heeding_termination(self.stop_soon):
                await self._shutdown.wait(shielded=False)
            self._inside.check_end()

    def stop_soon(self, at_once: bool) -> None:  # noqa: FBT001 – called back
        """Begin what `stop` waits for, from any thread or a signal's handler."""
        self._inside.gateway.post_quietly(lambda: self.begin_stop(at_once=at_once))

    async def drain(self) -> None:
        """Wait until nothing is in any mailbox or handler; the mesh stays open.

        Raises:
            DeadlockError: a handler asks for this; it would wait for itself.
        """
        source = self._source()
        (await self._inside.gateway.perform(lambda sink: self._inside.quiet.drain(source, sink))).get()

    async def __aenter__(self) -> Self:
        """Open the mesh on the running loop."""
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._end(at_once=error is not None)
        if self._inside.was_interrupted and error is None:
            raise KeyboardInterrupt
        self._inside.check_end(error)

    # -- agents --------------------------------------------------------------------------------------------------------

    def add(self, agent: "AgentLike | AgentSource") -> Ref:
        """Take *agent* in and start it; messages sent to it wait until its `on_start` is done.

        Something that an agent can be made of, a pipeline, becomes one.

        From another thread this blocks for the moment it takes.

        Raises:
            DefinitionError: it is no agent.
            DuplicateNameError: there is an agent of this name.
            AgentInUseError: another mesh has it.
            MeshClosedError: the mesh is closed.
        """
        made = as_agent(agent)
        return Ref(self._inside, self._inside.add(made, made.name))

    def register(
        self,
        makes: "Makes",
        name: str | None = None,
        *,
        idle: float | None = None,
        limit: int | None = None,
        snapshots: "Snapshots | None" = None,
    ) -> Family:
        """Let there be one agent for each key, from its first message on: ``"shop/lisbon"`` after ``register(Shop)``.

        An agent that has had no message for *idle* seconds leaves memory: `save` is asked for its state, `on_stop`
        runs, and the next message makes another one, which gets the state by `load` before `on_start`. A message that
        comes meanwhile waits for that one. Who has a handler, a background task, a child or a message to itself under
        way (`context.after`) does not leave. Messages of one sender to one key are handled in order, across all that.

        Args:
            makes: A class whose agents are made with a name and nothing else, or a function of the key that returns an
                agent. Either way the agent's `name` is the family's, and its `key` the key.
            name: What the family is called; by default like the class, ``"tea_shop"`` for ``TeaShop``.
            idle: Seconds without a message (600).
            limit: How many may be in memory (10,000). The one that has rested longest leaves for another; while nobody
                rests, senders to further keys wait as before a full mailbox.
            snapshots: Where states are kept; by default in memory, for as long as the mesh lives.

        Raises:
            DefinitionError: agents cannot be made so.
            ArgumentError: *idle* or *limit* is out of its range.
            DuplicateNameError: the name stands for something already.
        """
        return Family(self._inside, add_family(self._inside, makes, name, idle, limit, snapshots))

    def pool(self, makes: "Makes", name: str | None = None, *, size: int, routing: "Routing" = "round_robin") -> Pool:
        """Let *size* agents share the work behind one address; return a ref to it, which has `resize` too.

        The members are ordinary agents, ``"worker/1"`` and so on: each has its mailbox, and begins again alone. One
        that has failed for good is replaced, up to 5 times in 30 s; then the pool is smaller by one.

        Args:
            makes: A class whose agents are made with a name and nothing else, or a function of the member's number (a
                text) that returns an agent.
            name: What the pool is called; by default like the class.
            size: How many members.
            routing: ``"round_robin"``, ``"least_loaded"``, or a function of the message that returns its key. Of the
                first two nothing is promised about the order of messages. By key, messages of one sender with one key
                are handled in order, one at a time, also while the pool changes its size.

        Raises:
            DefinitionError: agents cannot be made so.
            ArgumentError: *size* or *routing* cannot be.
            DuplicateNameError: the name stands for something already.
        """
        return Pool(self._inside, add_pool(self._inside, makes, name, size, routing))

    def ref(self, address: "str | Ref | type[AgentLike]", *, key: str | None = None) -> Ref:
        """Return a handle on *address*, a name or a registered class; with *key* on the agent for that key.

        Whether anybody is there shows when it is used.

        Raises:
            UnknownAgentError: the class is registered nowhere.
        """
        return Ref(self._inside, address_in(self._inside, address, key))

    def subscribe(
        self, topic: str, recipient: "str | Ref", *, group: str | None = None, when_full: WhenFull = "wait"
    ) -> Subscription:
        """Let *recipient* receive what is published on *topic*, by its handlers for topics or else by type.

        It ends when it is cancelled or the agent is gone, and stays while that begins again; that of a keyed agent ends
        with its family, that of a pool, of which one member gets each message, with the pool. The same agent, topic and
        group are one subscription. From another thread this blocks for the moment it takes.

        Args:
            topic: A topic or a pattern; ``*`` is one word, ``**`` any number at the end.
            recipient: An address or a ref.
            group: Make it a member: each message goes to one member of the group, to each in turn, and past those that
                are full or have stopped. Default: it receives all of them.
            when_full: Whether publications ``"wait"`` for room in its mailbox or are to ``"refuse"`` it.

        Raises:
            UnknownAgentError: nobody has that address.
            ArgumentError: that is no pattern, or the agent has too many subscriptions.
            MeshClosedError: the mesh is closed.
        """
        return Subscription.of(self._inside, address_of(recipient), interest_in(topic, group, when_full))

    def agent(self, name: str) -> "AgentLike":
        """Return the agent called *name*, after restarts the current instance.

        Raises:
            UnknownAgentError: there is none.
        """
        cell = self._inside.cells().get(name)
        if cell is None or cell.state is State.WAITING:
            raise UnknownAgentError(name, self._inside.cells())
        return cell.agent.__ceylon_itself__

    @property
    def interior(self) -> Interior:
        """The parts, for code of this package."""
        return self._inside

    @property
    def agents(self) -> list[str]:
        """The addresses of the agents, in the order they came: keyed ones that are in memory, members of pools too."""
        cells = list(self._inside.cells().items())  # at once: the caller may be any thread
        return [address for address, cell in cells if cell.state is not State.WAITING]

    @property
    def is_open(self) -> bool:
        """Whether the mesh takes messages."""
        return self._inside.is_open

    @property
    def blocking(self) -> "BlockingMesh":
        """The same mesh with blocking verbs, for other threads."""
        from ceylon.core.blocking import BlockingMesh  # noqa: PLC0415 – its module needs this one

        return BlockingMesh.of(self)

    # -- looking in ----------------------------------------------------------------------------------------------------

    def statistics(self) -> MeshStatistics:
        """Return every counter as it is now; exact on the mesh's loop, from elsewhere through `blocking`."""
        return self._inside.statistics()

    def ledger(self) -> Ledger:
        """Return every counter, and every envelope that is open; as `statistics`, exact on the mesh's loop.

        Raises:
            MeshClosedError: the mesh has not been started.
        """
        return self._inspector().ledger()

    def waits(self) -> list[Wait]:
        """Return who waits for whom just now: asks, full mailboxes, streams, threads, drains.

        Raises:
            MeshClosedError: the mesh has not been started.
        """
        return self._inspector().waits()

    def why(self, message_id: str) -> Why:
        """Return where the message of this id is, what led to it, what it waits for, and who blocks it.

        Ids are in `Context.message_id`, in `AskTimeoutError` and in `ledger`. Open messages are always known, of those
        that have ended the last 10,000; `print` shows the answer as lines.

        Raises:
            UnknownMessageError: no such message is known.
            MeshClosedError: the mesh has not been started.
        """
        return self._inspector().why(message_id)

    def draw(self) -> str:
        """Return a picture of the mesh as Mermaid text: its agents, who talks to whom, and what failed.

        Arrows count the last 10,000 messages that ended and all that are open; boxes count everything. As `statistics`,
        exact on the mesh's loop.
        """
        from ceylon.core.mesh_drawing import draw_mesh  # noqa: PLC0415 – few meshes are drawn

        return draw_mesh(self._inside)

    def svg(self) -> str:
        """Return what `draw` does as an SVG. Needs the extra `drawing`, and holds the caller up for some tenths.

        Where the loop must not wait: ``await anyio.to_thread.run_sync(ceylon.core.svg.svg_of, mesh.draw())``.

        Raises:
            DrawingError: the extra is not installed.
        """
        return svg_of(self.draw())

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        """Show the picture in a notebook."""
        return mimebundle(self.draw, repr(self))

    def _inspector(self) -> Inspector:
        if not self._inside.was_opened:
            raise MeshClosedError(self.name, NOT_STARTED)
        return self._inside.inspector

    def dead_letters(self) -> "list[DeadLetter]":
        """Return the last dead letters, oldest first."""
        return self._inside.router.dead_letters.letters() if self._inside.was_opened else []
