"""Sessions with models, for all agents of one mesh, over one HTTP client on the mesh's loop."""

from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from ceylon.models.adapting import adapt
from ceylon.models.embedders import resolve_embedder
from ceylon.models.embedding import Embedder, EmbeddingSession
from ceylon.models.http import HttpClient
from ceylon.models.resolve import resolve
from ceylon.settings import Settings

if TYPE_CHECKING:
    from ceylon.models.port import Model, Session

__all__ = ["Sessions", "close_sessions", "opener_for"]

_KEPT: Final = 4  # so that agents made one after another do not start an embedded engine each


class Sessions:
    """Opens sessions, and keeps the last few that were given back until others push them out."""

    def __init__(self, settings: Settings) -> None:
        self._client = HttpClient(settings)
        self._parted: deque[Session] = deque()
        self._embedding: dict[str | _Same, EmbeddingSession] = {}

    async def open(self, model: "Model") -> "Session":
        """Return a new session with *model*, which takes tools and output schemas whatever its server can do."""
        return adapt(await model.open(self._client))

    def resolve(self, model: "str | Model") -> "Model":
        """Return the model that *model* names, checked.

        Raises:
            ModelConfigError: it names none, or its key is missing.
        """
        resolved = resolve(model)
        resolved.check()
        return resolved

    async def embedding(self, embedder: "str | Embedder") -> EmbeddingSession:
        """Return the session with *embedder*, one for all agents of the mesh; it stays open until the end."""
        resolved = resolve_embedder(embedder)
        key = resolved.name if isinstance(embedder, str) else _Same(resolved)
        session = self._embedding.get(key)
        if session is None:
            opened = await resolved.open(self._client)
            session = self._embedding.setdefault(key, opened)
            if session is not opened:  # somebody was faster
                await opened.aclose()
        return session

    async def part(self, session: "Session") -> None:
        """Take *session* back; it is closed a little later, or at the end."""
        self._parted.append(session)
        while len(self._parted) > _KEPT:
            await self._parted.popleft().aclose()

    async def aclose(self) -> None:
        """Close what was given back, and the client."""
        while self._embedding:
            await self._embedding.popitem()[1].aclose()
        while self._parted:
            await self._parted.popleft().aclose()
        await self._client.aclose()


class _Same:
    """An object as a key, whether or not it can be hashed: equal to itself only."""

    def __init__(self, thing: object) -> None:
        self._thing = thing

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self._thing is other._thing

    def __hash__(self) -> int:
        return id(self._thing)


def opener_for(settings: Settings) -> Callable[[], Awaitable[Sessions]]:
    """Return what makes a mesh's `Sessions`, on its loop."""

    async def open_sessions() -> Sessions:
        return Sessions(settings)

    return open_sessions


async def close_sessions(sessions: Sessions) -> None:
    """Close them."""
    await sessions.aclose()
