"""Sessions with models, for all agents of one mesh: over one HTTP client, on the mesh's loop, behind governors."""

import functools
import itertools
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ceylon.agents.prompts import Prompt
from ceylon.core.current import current
from ceylon.models.adapting import adapt
from ceylon.models.embedders import resolve_embedder
from ceylon.models.embedding import Embedder, EmbeddingSession
from ceylon.models.fallback import FallbackModel
from ceylon.models.governor.asker import Asker
from ceylon.models.governor.embedding import GovernedEmbedding
from ceylon.models.governor.governor import Governor
from ceylon.models.governor.passages import Passages
from ceylon.models.governor.repeated import RepeatedEmbedding, RepeatedSession
from ceylon.models.governor.session import GovernedSession
from ceylon.models.governor.spare import SparePassages
from ceylon.models.hedging import HedgedModel
from ceylon.models.http import HttpClient
from ceylon.models.prices import price_of
from ceylon.models.resolve import resolve
from ceylon.models.stand_ins import Outermost, embedding_around

if TYPE_CHECKING:
    from collections.abc import Hashable

    from ceylon.core.interior import Interior
    from ceylon.models.port import Model, Session
    from ceylon.models.prices import OwnPrices, Price

__all__ = ["Sessions", "close_sessions", "opener_for"]

_KEPT: Final = 4  # so that agents made one after another do not start an embedded engine each
_GOVERNORS: Final = 1_000  # what those that nobody has used for longest have learned is forgotten


class Sessions:
    """Opens sessions, and keeps the last few that were given back until others push them out."""

    def __init__(self, interior: "Interior") -> None:
        self._interior = interior
        self._client = HttpClient(interior.settings)
        self._parted: deque[Session] = deque()
        self._embeddings: dict[str | _Same, _Embedding] = {}
        self._governors: OrderedDict[Hashable, tuple[Governor, Model | Embedder]] = OrderedDict()

    @property
    def governor_count(self) -> int:
        """How many governors there are."""
        return len(self._governors)

    async def open(self, model: "Model") -> "Session":
        """Return a new session with *model*, which takes tools and output schemas whatever its server can do.

        Every request of it passes the model's governor.
        """
        if not isinstance(model, FallbackModel):
            return await self._open(model, {}, Passages)
        kind = SparePassages if isinstance(model, HedgedModel) else Passages
        opener = functools.partial(self._open, prices=model.prices, kind=kind)
        return model.session(opener, self._interior.driver.now, self.governor)

    async def _open(self, model: "Model", prices: "OwnPrices", kind: type[Passages]) -> "Session":
        if not isinstance(model, Outermost):
            return await self._open_governed(model, prices, kind)
        inside = model.inside
        if inside is None:
            return RepeatedSession(model.outside(None), self._interior, self._asker)
        if isinstance(inside, FallbackModel):
            return model.outside(await self.open(inside))
        return model.outside(await self._open_governed(inside, prices, kind))

    async def _open_governed(self, model: "Model", prices: "OwnPrices", kind: type[Passages]) -> "Session":
        governor = self.governor(model)
        session = await model.open(self._client.heard_by(governor.hear))
        price = price_of(model.name, prices)
        return adapt(GovernedSession(session, kind(governor, self._interior, self._asker, price)))

    def governor(self, model: "Model | Embedder") -> Governor:
        """Return what stands between all agents of the mesh and *model*: by address, key and name."""
        key = _identity(model)
        if key not in self._governors:
            self._forget(len(self._governors) + 1 - _GOVERNORS)
            self._governors[key] = (Governor(model.name, self._interior), model)
        self._governors.move_to_end(key)
        return self._governors[key][0]

    def _forget(self, count: int) -> None:
        """Drop the *count* governors that nobody has used for longest, but none that is in use just now."""
        if count > 0:
            idle = (key for key, (governor, _) in self._governors.items() if governor.is_idle)
            for key in list(itertools.islice(idle, count)):
                del self._governors[key]

    def _asker(self) -> Asker:
        """Return for whom the request is made that is made now: for the handler this runs in."""
        origin = current.get()
        if origin is None or origin.interior is not self._interior:
            return Asker()
        envelope = origin.envelope
        return Asker(
            origin.address,
            envelope.root or envelope.id,
            envelope.priority,
            envelope.budget,
            envelope.message.tries if isinstance(envelope.message, Prompt) else None,
        )

    def resolve(self, model: "str | Model") -> "Model":
        """Return the model that *model* names, checked.

        Raises:
            ModelConfigError: it names none, or its key is missing.
        """
        resolved = resolve(model)
        resolved.check()
        return resolved

    async def embedding(self, embedder: "str | Embedder", prices: "OwnPrices | None" = None) -> EmbeddingSession:
        """Return the session with *embedder*, one for all agents of the mesh; it stays open until the end.

        Its requests pass the model's governor; *prices* are the user's own.
        """
        resolved = resolve_embedder(embedder)
        around = embedding_around(resolved)
        if around is None:
            return await self._embedding(embedder, resolved, prices)
        if not around.is_opened:
            return RepeatedEmbedding(around.outside(None), self._interior, self._asker)
        return around.outside(await self._embedding(embedder, resolved, prices))

    async def _embedding(
        self, embedder: "str | Embedder", resolved: "Embedder", prices: "OwnPrices | None"
    ) -> EmbeddingSession:
        key = resolved.name if isinstance(embedder, str) else _Same(resolved)
        found = self._embeddings.get(key)
        if found is None:
            governor = self.governor(resolved)
            opened = await resolved.open(self._client.heard_by(governor.hear))
            found = self._embeddings.setdefault(key, _Embedding(opened, governor, price_of(resolved.name, {})))
            if found.session is not opened:  # somebody was faster
                await opened.aclose()
        price = price_of(resolved.name, prices) if prices else found.price
        return GovernedEmbedding(found.session, Passages(found.governor, self._interior, self._asker, price))

    async def part(self, session: "Session") -> None:
        """Take *session* back; it is closed a little later, or at the end."""
        self._parted.append(session)
        while len(self._parted) > _KEPT:
            await self._parted.popleft().aclose()

    async def aclose(self) -> None:
        """Close what was given back, and the client."""
        while self._embeddings:
            await self._embeddings.popitem()[1].session.aclose()
        while self._parted:
            await self._parted.popleft().aclose()
        await self._client.aclose()


class _Embedding(NamedTuple):
    """An embedding model in use, and its price by the list."""

    session: EmbeddingSession
    governor: Governor
    price: "Price | None"


class _Same:
    """An object as a key, whether or not it can be hashed: equal to itself only."""

    def __init__(self, thing: object) -> None:
        self._thing = thing

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self._thing is other._thing

    def __hash__(self) -> int:
        return id(self._thing)


def _identity(model: "Model | Embedder") -> "Hashable":
    """Return what is the same for models that share their provider's limits; a model that says nothing is its own."""
    endpoint: Any = getattr(model, "endpoint", None)
    if callable(endpoint):
        found: Any = endpoint()
        return model.name, found.base_url, found.key
    base_url = getattr(model, "base_url", None)
    if base_url is not None or hasattr(model, "__struct_fields__"):
        return type(model), model.name, base_url, getattr(model, "api_key", None)
    return id(model)


def opener_for(interior: "Interior") -> Callable[[], Awaitable[Sessions]]:
    """Return what makes a mesh's `Sessions`, on its loop."""

    async def open_sessions() -> Sessions:
        return Sessions(interior)

    return open_sessions


async def close_sessions(sessions: Sessions) -> None:
    """Close them."""
    await sessions.aclose()
