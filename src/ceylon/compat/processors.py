"""Processors of messages: accepted, and without work, since a mesh handles what comes as it comes."""

import contextlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Self

import anyio

from ceylon.compat.seats import Flush, Post
from ceylon.compat.settling import block, look, loop_runs
from ceylon.core.ref import Ref
from ceylon.errors import CeylonError
from ceylon.settings import DEFAULTS

if TYPE_CHECKING:
    from ceylon.core.interior import Interior

__all__ = ["AsyncMessageProcessor", "PyAgentMessageProcessor", "settle"]


class PyAgentMessageProcessor:
    """What `add_agent` returns: a look at one agent's mailbox."""

    def __init__(self, interior: "Interior", post: "Post") -> None:
        self._interior = interior
        self._post = post

    def __repr__(self) -> str:
        return f"<PyAgentMessageProcessor of {self.agent_name!r}>"

    @property
    def agent_name(self) -> str:
        """The agent's name."""
        return self._post.name

    def has_pending(self) -> bool:
        """Say whether a message waits or is being handled."""
        return self.pending_count() > 0

    def pending_count(self) -> int:
        """Return how many messages wait or are being handled."""
        statistics = look(self._interior, self._interior.statistics)
        found = statistics.agents.get(self._post.address)
        return 0 if found is None else int(found.pending)

    def process_pending(self) -> int:
        """Return how many messages were handled since the last call; waits as `process_messages` does."""
        settle(self._interior, [self._post])
        return self._post.report()


class AsyncMessageProcessor:
    """Accepted where ``async with AsyncMessageProcessor(mesh):`` stands; the mesh needs none.

    Args:
        mesh: The mesh.
        interval_ms: Has no use any more.
    """

    def __init__(self, mesh: Any, interval_ms: int = 100) -> None:
        self.mesh = mesh
        self.interval = interval_ms / 1000.0

    async def start(self) -> None:
        """Open the mesh."""
        self.mesh.start()

    async def stop(self) -> None:
        """Do nothing: the mesh goes on."""

    async def __aenter__(self) -> Self:
        """Open the mesh."""
        await self.start()
        return self

    async def __aexit__(self, *args: object) -> None:
        await self.stop()


def settle(interior: "Interior", posts: Iterable[Post]) -> None:
    """Wait until the agents have handled what is in their mailboxes, if that is soon."""
    if interior.gateway.is_inside():
        return
    patience = DEFAULTS.compat_look if loop_runs() else DEFAULTS.compat_processing

    async def flush() -> None:
        with anyio.move_on_after(patience):
            for post in posts:
                if post.is_plain:
                    with contextlib.suppress(CeylonError):  # it has stopped, or waits for whoever asks
                        await Ref(interior, post.address).ask(Flush(), timeout=patience)

    with contextlib.suppress(CeylonError):
        block(interior, "process_messages", flush)
