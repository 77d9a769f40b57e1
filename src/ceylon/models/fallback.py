"""Models in order: when one cannot answer, the next is asked; never after a part of an answer has come."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

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
    from ceylon.models.http import HttpClient
    from ceylon.models.prices import OwnPrices

__all__ = ["FallbackModel", "FallbackSession", "falls_back"]

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


class FallbackModel:
    """The first of *models*, and those that stand in for it, in their order; `prices` are the users' own."""

    def __init__(self, models: tuple[Model, ...], prices: "OwnPrices") -> None:
        self.models, self.prices = models, prices
        self._other: FallbackModel | None = None

    def __repr__(self) -> str:
        return f"<FallbackModel {' → '.join(model.name for model in self.models)}>"

    def with_models(self, models: tuple[Model, ...]) -> "FallbackModel":
        """Return the same with other models: the same again for the same ones, so that sessions are kept."""
        if _are_same(models, self.models):
            return self
        if self._other is None or not _are_same(models, self._other.models):
            self._other = FallbackModel(models, self.prices)
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


class FallbackSession:
    """Sessions with models in order, each opened when it is first needed."""

    def __init__(
        self, model: FallbackModel, opener: Callable[[Model], Awaitable[Session]], now: Callable[[], float]
    ) -> None:
        self._model, self._opener, self._now = model, opener, now
        self._sessions: dict[int, Session] = {}
        self._opening = anyio.Lock()

    @property
    def abilities(self) -> Abilities:
        """Those of the models that have been opened, as far as all of them have them."""
        abilities = [session.abilities for session in self._sessions.values()] or [Abilities()]
        least = min(abilities, key=lambda each: (each.tools, each.tool_choice, each.output_with_tools))
        return msgspec.structs.replace(least, stop=all(each.stop for each in abilities))

    async def complete(self, request: Request) -> Reply:
        """Return the whole answer of the first model that has one."""
        ends = None if request.timeout is None else self._now() + request.timeout
        for index in range(len(self._model.models)):
            share = self._share(index, ends)
            try:
                with anyio.fail_after(share):
                    session = await self._session(index)
                    reply = await session.complete(_within(request, share))
                    return self._signed(reply, index)
            except ModelError as error:
                self._check(error, index)
            except TimeoutError:
                self._check(ModelTimeoutError(self._model.models[index].name, share or 0.0), index)
        raise AssertionError

    async def stream(self, request: Request) -> AsyncGenerator[Part, None]:
        """Yield the answer of the first model that begins one."""
        ends = None if request.timeout is None else self._now() + request.timeout
        for index in range(len(self._model.models)):
            share = self._share(index, ends)
            has_begun = False
            try:
                with anyio.fail_after(share):
                    session = await self._session(index)
                left = None if ends is None else max(0.0, ends - self._now())
                async with aclosing(session.stream(_within(request, left))) as parts:
                    with anyio.fail_after(share):
                        first = await anext(parts, None)
                    if first is None:  # no part, no error: the next model is asked
                        raise IncompleteStreamError(self._model.models[index].name, "")
                    has_begun = True
                    yield self._signed_part(first, index)
                    async for part in parts:
                        yield self._signed_part(part, index)
                    return
            except ModelError as error:
                if has_begun:
                    raise
                self._check(error, index)
            except TimeoutError:
                if has_begun:
                    raise
                self._check(ModelTimeoutError(self._model.models[index].name, share or 0.0), index)

    async def aclose(self) -> None:
        """Close those that were opened."""
        sessions, self._sessions = self._sessions, {}
        for session in sessions.values():
            await session.aclose()

    async def _session(self, index: int) -> Session:
        async with self._opening:
            if index not in self._sessions:
                self._sessions[index] = await self._opener(self._model.models[index])
            return self._sessions[index]

    def _share(self, index: int, ends: float | None) -> float | None:
        """Return how long a model may take until the next is asked: half of what is left, the last one all of it."""
        if ends is None:
            return None
        left = max(0.0, ends - self._now())
        return left if index == len(self._model.models) - 1 else left / 2

    def _check(self, error: ModelError, index: int) -> None:
        """Raise *error*, unless the next model may be asked."""
        if index == len(self._model.models) - 1 or not falls_back(error):
            raise error
        models = self._model.models
        by, kind = models[index + 1].name, type(error).__name__
        logger().warning("model_replaced", model=models[index].name, by=by, error=kind)

    def _signed(self, reply: Reply[Any], index: int) -> Reply[Any]:
        """Return *reply* with the name of who answered, if the server does not say it itself."""
        return reply if reply.model else msgspec.structs.replace(reply, model=self._model.models[index].name)

    def _signed_part(self, part: Part, index: int) -> Part:
        return ReplyPart(self._signed(part.reply, index)) if isinstance(part, ReplyPart) else part


def _are_same(models: tuple[Model, ...], others: tuple[Model, ...]) -> bool:
    return all(model is other for model, other in zip(models, others, strict=True))


def _within(request: Request, seconds: float | None) -> Request:
    return request if seconds is None else msgspec.structs.replace(request, timeout=seconds)
