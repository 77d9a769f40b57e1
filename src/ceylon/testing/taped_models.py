"""Models that stand between an agent and its own: one writes down what is said, the other says it again."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, ClassVar

import anyio
import anyio.lowlevel

from ceylon.models.port import Abilities
from ceylon.models.stand_ins import is_real
from ceylon.models.turns import Part, Reply, Request
from ceylon.testing.exchanges import abilities_of, part_of, plain, reply_of
from ceylon.testing.writer import DIGITS

if TYPE_CHECKING:
    from ceylon.models.http import HttpClient
    from ceylon.models.port import Model, Session
    from ceylon.testing.player import Player
    from ceylon.testing.writer import Writer

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
        abilities = session.abilities
        if found := plain(abilities):
            self._writer.cassette.models[self.name] = found
        return _RecordedSession(session, abilities, self.name, self._writer)


class _RecordedSession:
    def __init__(self, session: "Session", abilities: Abilities, name: str, writer: "Writer") -> None:
        self._session, self._name, self._writer = session, name, writer
        self.abilities = abilities  # as written down: those of models that race grow known later, and not in a replay

    async def complete(self, request: Request) -> Reply:
        """Return the answer, and write it down, or the error."""
        with self._writer.exchanging(self._name, "complete", request, request.timeout) as exchange:
            reply = await self._session.complete(request)
            exchange.reply = self._writer.masking.apply(plain(reply))
        return reply

    async def stream(self, request: Request) -> AsyncGenerator[Part, None]:
        """Yield the answer's parts, and write them down, as far as somebody takes them."""
        taken: list[Part] = []
        with self._writer.exchanging(self._name, "stream", request, request.timeout, taken) as exchange:
            began = anyio.current_time()
            async with aclosing(self._session.stream(request)) as parts:
                async for part in parts:
                    if not taken:
                        exchange.first = round(anyio.current_time() - began, DIGITS)
                    taken.append(part)
                    yield part

    async def aclose(self) -> None:
        """Close the session inside."""
        await self._session.aclose()


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
        exchange = await self._player.take(self._name, "complete", request)
        await self._player.wait(exchange.seconds)
        await self._player.end(exchange)
        assert exchange.reply is not None  # noqa: S101 – what has no error and was not left has been checked for it
        return reply_of(exchange.reply)

    async def stream(self, request: Request) -> AsyncGenerator[Part, None]:
        """Yield the recorded parts, in even steps where they take their time, and raise the recorded error behind."""
        exchange = await self._player.take(self._name, "stream", request)
        pause, step = exchange.first, (exchange.seconds - exchange.first) / max(1, len(exchange.parts))
        for part in exchange.parts:
            await anyio.lowlevel.checkpoint()
            await self._player.wait(pause)
            yield part_of(part)
            pause = step
        await self._player.wait(step if exchange.parts else exchange.seconds)
        await self._player.end(exchange)

    async def aclose(self) -> None:
        """Nothing to give back."""
