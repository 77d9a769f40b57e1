"""Meshes as `ceylonai-next` spells them; each is one of ours, on a thread of its own."""

import threading
import weakref
from typing import TYPE_CHECKING, Any

import anyio.to_thread

from ceylon.compat.opening import open_mesh, open_meshes
from ceylon.compat.processors import PyAgentMessageProcessor, settle
from ceylon.compat.requesting import Requesting, checked
from ceylon.compat.seats import Post, address_for, seat_for
from ceylon.compat.settling import as_runtime_error, begin, block, do, loop_runs
from ceylon.core import verbs
from ceylon.core.default import default_mesh
from ceylon.core.names import split_key
from ceylon.core.publishing import PublishTerms
from ceylon.core.ref import Ref
from ceylon.errors import CeylonError, DefinitionError, NotBuiltError

if TYPE_CHECKING:
    from ceylon.compat.agents import PyAgent
    from ceylon.compat.llm import LlmAgent, PyLlmAgent
    from ceylon.core.blocking import BlockingMesh
    from ceylon.core.interior import Interior

__all__ = ["LocalMesh", "PyLocalMesh", "open_meshes"]


class PyLocalMesh(Requesting):
    """A mesh in this process.

    Messages are handled as they come, by the mesh's own loop and threads: `process_messages` and processors have
    nothing left to do. The mesh opens when it is first used, drains when the program ends or `stop` is called.

    Args:
        name: What handlers are told in their context.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self._ceylon_name = name
        self._ceylon_lock = threading.Lock()
        self._ceylon_mesh: BlockingMesh | None = None
        self._ceylon_posts: dict[str, Post] = {}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._ceylon_name!r} {len(self._ceylon_posts)} agents>"

    def _ceylon_interior(self) -> "Interior":
        return self._ceylon_opened().interior

    def _ceylon_opened(self) -> "BlockingMesh":
        with self._ceylon_lock:
            if self._ceylon_mesh is None:
                self._ceylon_mesh = open_mesh(address_for(self._ceylon_name))
                weakref.finalize(self, self._ceylon_mesh.stop_soon).atexit = False  # that comes too late, see `opening`
            return self._ceylon_mesh

    def _ceylon_name_at(self, address: str) -> str:
        post = self._ceylon_posts.get(split_key(address)[0])
        return address if post is None else post.name

    # -- agents --------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Open the mesh; using it does that too."""
        self._ceylon_opened()

    def stop(self) -> Any:
        """Finish what was sent, let agents do their `on_stop`, and close the mesh: wait, or return what to await.

        The end of the program does so too.
        """
        mesh = self._ceylon_mesh
        if mesh is None:
            return None
        if loop_runs():
            mesh.stop_soon()
            return begin(default_mesh().interior, lambda: anyio.to_thread.run_sync(mesh.wait))
        return mesh.stop()

    def list_agents(self) -> list[str]:
        """Return the names of the agents, in the order they were added."""
        return [post.name for post in list(self._ceylon_posts.values())]  # at once: any thread may add one

    def add_agent(self, agent: "PyAgent") -> PyAgentMessageProcessor:
        """Take *agent* in, under its name; what is sent to it is handled from now on, after its own `on_start`.

        Raises:
            RuntimeError: there is an agent of this name.
            TypeError: it is no agent of `ceylon.compat`.
        """
        post = self._ceylon_add(_taken(agent, "__ceylon_receiver__").name(), agent)
        return PyAgentMessageProcessor(self._ceylon_interior(), post)

    def add_llm_agent(self, agent: "PyLlmAgent | LlmAgent") -> str:
        """Take *agent* in, which has to be built, and return its name.

        Raises:
            RuntimeError: it is not built, or there is an agent of this name.
            TypeError: it is no `LlmAgent` of `ceylon.compat`.
        """
        if not _taken(agent, "is_built").is_built():
            raise NotBuiltError(agent.name())
        return self._ceylon_add(agent.name(), agent).name

    def register_agent(self, agent: Any) -> Any:
        """Take *agent* in, of whichever kind; the documentation of 0.1.2 calls it so."""
        return self.add_llm_agent(agent) if hasattr(agent, "is_built") else self.add_agent(agent)

    def _ceylon_add(self, name: str, agent: Any) -> Post:
        seat, post = seat_for(name, agent, self._ceylon_name)
        mesh = self._ceylon_opened()
        try:
            mesh.add(seat)
        except CeylonError as error:
            raise as_runtime_error(error) from None
        self._ceylon_posts[post.address] = post
        agent.__ceylon_move_in__(mesh.interior, post.address)
        return post

    # -- sending -------------------------------------------------------------------------------------------------------

    def send_to(self, target: str, payload: str) -> Any:
        """Send *payload* to the agent *target*: wait until it is in its mailbox, or return a future where a loop runs.

        Raises:
            RuntimeError: there is no such agent; where a loop runs, when the future is awaited.
            PayloadError: it is no text.
        """
        return do(self._ceylon_interior(), "send_to", self._ceylon_sending(target, payload))

    def send_to_sync(self, target: str, payload: str) -> Any:
        """Do the same and wait, whatever runs here."""
        return block(self._ceylon_interior(), "send_to_sync", self._ceylon_sending(target, payload))

    def _ceylon_sending(self, target: str, payload: str) -> Any:
        ref, said = Ref(self._ceylon_interior(), address_for(target)), checked(payload)
        return lambda: ref.tell(said)

    def broadcast(self, payload: str, exclude: str | None = None) -> Any:
        """Send *payload* to every agent but *exclude*; waits as `send_to` does."""
        interior, said = self._ceylon_interior(), checked(payload)
        terms = PublishTerms(frozenset() if exclude is None else frozenset([address_for(exclude)]))

        async def send() -> None:
            await verbs.publish(interior, verbs.source_in(interior), None, said, terms)

        return do(interior, "broadcast", send)

    def send_message(self, sender: str, target: str, payload: str) -> str:
        """Send *payload* to the agent *target*, wait, and return its response; see `query_sync`.

        Documentation of 0.3 has it, its packages have not. Nobody asks who the *sender* is.
        """
        del sender
        return self.query_sync(target, payload).response

    # -- what has become unnecessary -----------------------------------------------------------------------------------

    def process_messages(self) -> int:
        """Return how many messages were handled since the last call; wait for those that were sent before.

        Only agents written in Python are waited for, an hour at most; where an event loop runs in this thread, 0.1 s.
        """
        posts = list(self._ceylon_posts.values())
        settle(self._ceylon_interior(), posts)
        return sum(post.report() for post in posts)


def _taken(agent: Any, needed: str) -> Any:
    """Return *agent* if it has what is *needed* of it."""
    if hasattr(agent, needed):
        return agent
    kind = "`LlmAgent`" if needed == "is_built" else "agent"
    message = f"{agent!r} is no {kind} of `ceylon.compat`; what is of `ceylon` itself goes into a `ceylon.Mesh`"
    raise DefinitionError(message)


class LocalMesh(PyLocalMesh):
    """A mesh in this process, for agents written in Python and such with a language model.

    Args:
        name: What handlers are told in their context.
    """

    def __init__(self, name: str = "mesh") -> None:
        super().__init__(name)
