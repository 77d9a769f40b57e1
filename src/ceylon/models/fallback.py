"""Models in order: when one cannot answer, the next is asked; never after a part of an answer has come."""

import copy
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple, Self, TypeAlias, TypeVar

import anyio
import msgspec

from ceylon.core.log import logger
from ceylon.errors import (
    IncompleteStreamError,
    ModelAuthError,
    ModelError,
    ModelNotFoundError,
    ModelProtocolError,
    ModelRateLimitError,
    ModelStatusError,
    ModelTimeoutError,
    ModelUnavailableError,
)
from ceylon.models.port import Abilities, Model, Session
from ceylon.models.turns import Part, Reply, ReplyPart, Request

if TYPE_CHECKING:
    from ceylon.models.governor.governor import Governor
    from ceylon.models.http import HttpClient
    from ceylon.models.prices import OwnPrices

    GovernorOf: TypeAlias = Callable[[Model], Governor]

__all__ = ["Ask", "Beginning", "FallbackModel", "FallbackSession", "Opener", "falls_back"]

Opener: TypeAlias = Callable[[Model], Awaitable[Session]]
"""Opens a session with one model."""

_KINDS: Final = (
    ModelUnavailableError,  # also while its breaker is open
    ModelNotFoundError,
    ModelAuthError,
    ModelRateLimitError,
    ModelTimeoutError,
    ModelProtocolError,
    IncompleteStreamError,
)
_STATUSES: Final = frozenset({402, 408, 409, *range(500, 600)})


def falls_back(error: ModelError) -> bool:
    """Say whether another model may answer where one failed by *error*.

    Not after a request that no model would take (400, 404, 413, 422), a refusal to answer, a wrong setting.
    """
    if isinstance(error, ModelStatusError) and not isinstance(error, _KINDS):
        return error.status in _STATUSES
    return isinstance(error, _KINDS)


class Beginning(NamedTuple):
    """A stream that has begun: with which part, and at which of the models."""

    first: Part
    parts: AsyncGenerator[Part, None]
    place: int


T = TypeVar("T", Reply[Any], Beginning)

Ask: TypeAlias = Callable[[int, float | None], Awaitable[T]]
"""Asks one of the models, by its place, in so many seconds: for the whole answer, or until it begins."""


class FallbackModel:
    """The first of *models*, and those that stand in for it, in their order; `prices` are the users' own."""

    is_heard_as_one: ClassVar[bool] = False  # by what listens to agents, see `ceylon.models.stand_ins`

    def __init__(self, models: tuple[Model, ...], prices: "OwnPrices") -> None:
        self.models, self.prices = models, prices
        self._other: Self | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {' → '.join(model.name for model in self.models)}>"

    def with_models(self, models: tuple[Model, ...]) -> Self:
        """Return the same with other models: the same again for the same ones, so that sessions are kept."""
        if _are_same(models, self.models):
            return self
        if self._other is None or not _are_same(models, self._other.models):
            self._other = copy.copy(self)
            self._other.models, self._other._other = models, None  # noqa: SLF001 – the same class
        return self._other

    @property
    def name(self) -> str:
        """That of the first."""
        return self.models[0].name

    def check(self) -> None:
        """Raise `ModelConfigError` for what is wrong with any of them."""
        for model in self.models:
            model.check()

    async def open(self, client: "HttpClient") -> Session:
        """Return a session that opens the others when they are needed; in a mesh `Sessions` does this."""

        async def open_one(model: Model) -> Session:
            return await model.open(client)

        return FallbackSession(self, open_one, anyio.current_time)

    def session(self, opener: Opener, now: Callable[[], float], governor: "GovernorOf") -> "FallbackSession":
        """Return a session in a mesh, where each model has its *governor*."""
        del governor  # the sessions of the models know theirs
        return FallbackSession(self, opener, now)


class FallbackSession:
    """Sessions with models in order, each opened when it is first needed."""

    def __init__(self, model: FallbackModel, opener: Opener, now: Callable[[], float]) -> None:
        self._model, self._opener, self._now = model, opener, now
        self._sessions: dict[int, Session] = {}
        self._opening = [anyio.Lock() for _ in model.models]
        self._is_closed = False

    @property
    def abilities(self) -> Abilities:
        """Those of the models that have been opened, as far as all of them have them."""
        abilities = [session.abilities for session in self._sessions.values()] or [Abilities()]
        least = min(abilities, key=lambda each: (each.tools, each.tool_choice, each.output_with_tools))
        return msgspec.structs.replace(least, stop=all(each.stop for each in abilities))

    async def complete(self, request: Request) -> Reply:
        """Return the whole answer of the first model that has one."""
        ends = self._ends(request)

        async def ask(index: int, share: float | None) -> Reply[Any]:
            session = await self._session(index)
            return self._signed(await session.complete(_within(request, share)), index)

        try:
            return await self._in_order(ask, ends)
        finally:
            if self._is_closed:
                await self.aclose()

    async def stream(self, request: Request) -> AsyncGenerator[Part, None]:
        """Yield the answer of the first model that begins one."""
        ends = self._ends(request)

        async def ask(index: int, _: float | None) -> Beginning:
            session = await self._session(index)
            left = None if ends is None else max(0.0, ends - self._now())
            parts = session.stream(_within(request, left))
            first = await _first_of(parts)
            if first is None:  # no part, no error: the next model is asked
                raise IncompleteStreamError(self._model.models[index].name, "")
            return Beginning(first, parts, index)

        try:
            first, parts, index = await self._in_order(ask, ends)
            async with aclosing(parts):
                yield self._signed_part(first, index)
                async for part in parts:
                    yield self._signed_part(part, index)
        finally:
            if self._is_closed:
                await self.aclose()

    async def aclose(self) -> None:
        """Close those that were opened; requests that are under way close what they open after that."""
        self._is_closed = True
        sessions, self._sessions = self._sessions, {}
        for session in sessions.values():
            await session.aclose()

    # -- who is asked --------------------------------------------------------------------------------------------------

    async def _in_order(self, ask: "Ask[T]", ends: float | None, index: int = 0) -> T:
        """Return what the first model has that answers, of those from *index* on."""
        while True:
            try:
                return await self._in_time(ask, index, ends)
            except ModelError as error:
                index = self._next(error, index, index + 1)

    async def _in_time(self, ask: "Ask[T]", index: int, ends: float | None) -> T:
        """Ask one model, for as long as it may take."""
        share = self._share(index, ends)
        try:
            with anyio.fail_after(share):
                return await ask(index, share)
        except ModelError:
            raise
        except TimeoutError as error:
            raise ModelTimeoutError(self._model.models[index].name, share or 0.0) from error

    def _next(self, error: ModelError, index: int, following: int) -> int:
        """Return *following*, which is asked after the one at *index*; raise *error*, if it may not be."""
        models = self._model.models
        if following >= len(models) or not falls_back(error):
            raise error
        by, kind = models[following].name, type(error).__name__
        logger().warning("model_replaced", model=models[index].name, by=by, error=kind)
        return following

    async def _session(self, index: int) -> Session:
        async with self._opening[index]:
            if index not in self._sessions:
                self._sessions[index] = await self._opener(self._model.models[index])
            return self._sessions[index]

    def _ends(self, request: Request) -> float | None:
        return None if request.timeout is None else self._now() + request.timeout

    def _share(self, index: int, ends: float | None) -> float | None:
        """Return how long a model may take until the next is asked: half of what is left, the last one all of it."""
        if ends is None:
            return None
        left = max(0.0, ends - self._now())
        return left if index == len(self._model.models) - 1 else left / 2

    def _signed(self, reply: Reply[Any], index: int) -> Reply[Any]:
        """Return *reply* with the name of who answered, if the server does not say it itself."""
        return reply if reply.model else msgspec.structs.replace(reply, model=self._model.models[index].name)

    def _signed_part(self, part: Part, index: int) -> Part:
        return ReplyPart(self._signed(part.reply, index)) if isinstance(part, ReplyPart) else part


def _are_same(models: tuple[Model, ...], others: tuple[Model, ...]) -> bool:
    return all(model is other for model, other in zip(models, others, strict=True))


async def _first_of(parts: AsyncGenerator[Part, None]) -> Part | None:
    """Return the first of *parts*; closed if there is none."""
    first: Part | None = None
    try:
        first = await anext(parts, None)
    finally:
        if first is None:
            await parts.aclose()
    return first


def _within(request: Request, seconds: float | None) -> Request:
    return request if seconds is None else msgspec.structs.replace(request, timeout=seconds)
