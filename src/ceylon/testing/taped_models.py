"""Models that stand between an agent and its own: one writes down what is said, the other says it again."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, ClassVar

import anyio
import anyio.lowlevel

from ceylon.models.port import Abilities
from ceylon.models.stand_ins import is_real
from ceylon.models.turns import Part, Reply, Request
from ceylon.testing.exchanges import Exchange, Verb, abilities_of, error_of, part_of, plain, plain_error, reply_of

if TYPE_CHECKING:
    from ceylon.models.http import HttpClient
    from ceylon.models.port import Model, Session
    from ceylon.testing.masking import Masking
    from ceylon.testing.tape import Player, Writer

__all__ = ["RecordedModel", "ReplayedModel"]


class RecordedModel:
    """Passes everything on to *model* and writes it down."""

    def __init__(self, model: "Model", writer: "Writer") -> None:
        self._model, self._writer = model, writer
        writer.masking.learn(model)

    @property
    def is_real(self) -> bool:
        """Whether the model inside is."""
        return is_real(self._model)

    @property
    def name(self) -> str:
        """What the model inside is called."""
        return self._model.name

    def check(self) -> None:
        """Let the model inside check itself."""
        self._model.check()

    async def open(self, client: "HttpClient") -> "Session":
        """Return a session that is written down; in a mesh `Sessions` does this, with a governor in between."""
        return self.outside(await self._model.open(client))

    @property
    def inside(self) -> "Model":
        """See `Outermost`."""
        return self._model

    def outside(self, session: "Session | None") -> "Session":
        """See `Outermost`."""
        assert session is not None  # noqa: S101 – of the model inside
        abilities = plain(session.abilities)
        if abilities:
            self._writer.cassette.models[self.name] = abilities
        return _RecordedSession(session, self.name, self._writer)


class _RecordedSession:
    def __init__(self, session: "Session", name: str, writer: "Writer") -> None:
        self._session, self._name, self._writer = session, name, writer

    @property
    def abilities(self) -> Abilities:
        """Those of the session inside."""
        return self._session.abilities

    async def complete(self, request: Request) -> Reply:
        """Return the answer, and write it down, or the error."""
        exchange = self._begin("complete", request)
        try:
            reply = await self._session.complete(request)
        except Exception as error:
            self._fail(exchange, error)
            raise
        exchange.reply, exchange.left = self._masked(reply), False
        return reply

    async def stream(self, request: Request) -> AsyncGenerator[Part, None]:
        """Yield the answer's parts, and write them down, as far as somebody takes them."""
        exchange = self._begin("stream", request)
        try:
            async with aclosing(self._session.stream(request)) as parts:
                async for part in parts:
                    exchange.parts.append(self._masked(part))
                    yield part
        except Exception as error:
            self._fail(exchange, error)
            raise
        exchange.left = False

    async def aclose(self) -> None:
        """Close the session inside."""
        await self._session.aclose()

    def _begin(self, verb: Verb, request: Request) -> Exchange:
        exchange = _asked(self._name, verb, request, self._writer.masking)
        exchange.left = True  # until it has ended
        self._writer.begin(exchange)
        return exchange

    def _fail(self, exchange: Exchange, error: Exception) -> None:
        exchange.error, exchange.left = self._masked_error(error), False

    def _masked(self, value: Reply | Part) -> dict[str, object]:
        masked: dict[str, object] = self._writer.masking.apply(plain(value))
        return masked

    def _masked_error(self, error: Exception) -> dict[str, object]:
        masked: dict[str, object] = self._writer.masking.apply(plain_error(error))
        return masked


class ReplayedModel:
    """Answers from a cassette; the model in whose place it is is never opened."""

    is_real: ClassVar[bool] = False

    def __init__(self, model: "Model", player: "Player") -> None:
        self._model, self._player = model, player  # kept, so that nobody else gets its identity
        player.masking.learn(model)

    @property
    def name(self) -> str:
        """What the model is called that was recorded."""
        return self._model.name

    def check(self) -> None:
        """Nothing can be wrong: no key is needed."""

    async def open(self, client: "HttpClient | None" = None) -> "Session":
        """Return a session that calls nobody."""
        del client
        return self.outside(None)

    @property
    def inside(self) -> None:
        """See `Outermost`: no model is opened, and no governor repeats its pauses."""
        return

    def outside(self, session: "Session | None") -> "Session":
        """See `Outermost`."""
        del session
        return _ReplayedSession(self.name, self._player)


class _ReplayedSession:
    def __init__(self, name: str, player: "Player") -> None:
        self._name, self._player = name, player

    @property
    def abilities(self) -> Abilities:
        """Those of the session that was recorded."""
        return abilities_of(self._player.cassette.models.get(self._name, {}))

    async def complete(self, request: Request) -> Reply:
        """Return the recorded answer, or raise the recorded error; one that nobody waited for never comes."""
        exchange = await self._take("complete", request)
        if exchange.reply is not None:
            return reply_of(exchange.reply)
        if exchange.error is not None:
            raise error_of(exchange.error)
        await anyio.sleep_forever()
        raise AssertionError  # pragma: no cover – for ever is long

    async def stream(self, request: Request) -> AsyncGenerator[Part, None]:
        """Yield the recorded parts, and raise the recorded error behind them."""
        exchange = await self._take("stream", request)
        for part in exchange.parts:
            await anyio.lowlevel.checkpoint()
            yield part_of(part)
        if exchange.error is not None:
            raise error_of(exchange.error)
        if exchange.left:
            await anyio.sleep_forever()

    async def aclose(self) -> None:
        """Nothing to give back."""

    async def _take(self, verb: Verb, request: Request) -> Exchange:
        await anyio.lowlevel.checkpoint()
        return self._player.take(_asked(self._name, verb, request, self._player.masking))


def _asked(name: str, verb: Verb, request: Request, masking: "Masking") -> Exchange:
    """Return the exchange that *request* begins, secrets masked as they are in the cassette."""
    return Exchange(name, verb, masking.apply(plain(request)))
