"""How an `LlmAgent` handles what it is sent: a turn with the model, whole or in parts, and the histories it keeps."""

import threading
from collections.abc import AsyncGenerator, Hashable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from ceylon.agents.conversation import Histories
from ceylon.agents.fluent import ModelledAgent
from ceylon.agents.prompts import Forget, Prompt, Recall
from ceylon.agents.seat import Seat
from ceylon.core.context import Context
from ceylon.core.names import split_key
from ceylon.errors import ArgumentError, CodecError, MeshClosedError
from ceylon.messages import STREAM, Envelope
from ceylon.models.turns import Part, Reply, ReplyPart, Request, Turn
from ceylon.settings import DEFAULTS

if TYPE_CHECKING:
    from ceylon.core.interior import Interior
    from ceylon.models.port import Session

__all__ = ["AnsweringAgent", "check_query"]


class AnsweringAgent(ModelledAgent):
    """An agent whose handler is a model; `LlmAgent` gives it its verbs."""

    takes_keys: ClassVar[bool] = True
    ask_timeout: float | None = DEFAULTS.model_timeout

    def _begin(self) -> None:
        self._seat: Seat | None = None
        self._seating = threading.Lock()
        self._histories = Histories()

    def prompt(self, message: Any) -> str:
        """Return the query that a message stands for which is no text; by default its JSON.

        Raises:
            CodecError: it has none.
        """
        try:
            return msgspec.json.encode(message).decode()
        except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
            sentence = f"{type(message).__name__} has no JSON to make a prompt of; override `prompt(message)`"
            raise CodecError(sentence) from error

    async def on_message(self, message: Any, context: Context) -> Any:
        """Answer *message* with the model."""
        # A call on `self`, which may be a weak reference here: what is bound holds the agent for the whole turn.
        return await self._respond(message, context)

    async def _respond(self, message: Any, context: Context) -> Any:
        key = split_key(context.recipient)[1]
        if isinstance(message, Recall):
            return self._histories.turns(key)
        if isinstance(message, Forget):
            return self._histories.drop(key)
        query = message.text if isinstance(message, Prompt) else message
        if not isinstance(query, str):
            query = self.prompt(query)
        if context.envelope.kind == STREAM:
            return self._turn(check_query(query), key, context)
        reply = await self._complete(check_query(query), key, context)
        return reply if isinstance(message, Prompt) else reply.text

    async def _complete(self, query: str, key: str, context: Context) -> Reply:
        """Take one turn in one go."""
        session, request = await self._prepare(query, key, context)
        reply = await session.complete(request)
        if key:
            self._histories.add(key, query, reply.text)
        return reply

    async def _turn(self, query: str, key: str, context: Context) -> AsyncGenerator[Part, None]:
        """Take one turn part by part."""
        session, request = await self._prepare(query, key, context)
        async with aclosing(session.stream(request)) as parts:
            async for part in parts:
                if isinstance(part, ReplyPart) and key:
                    self._histories.add(key, query, part.reply.text)
                yield part

    async def _prepare(self, query: str, key: str, context: Context) -> "tuple[Session, Request]":
        """Return the session, and the request that asks *query* after the conversation so far."""
        seat = self._seat
        if seat is None:
            raise MeshClosedError(context.interior.name, "the agent has left it")
        session = await seat.session(await self.load_model())
        settings = self._settings
        remaining = context.remaining
        timeout = settings.timeout if remaining is None else max(min(settings.timeout, remaining), 0.001)
        turns = (*(self._histories.turns(key) if key else ()), Turn("user", query))
        return session, settings.request(turns, timeout)

    # -- what the mesh asks for ----------------------------------------------------------------------------------------

    def claim(self, interior: "Interior") -> None:
        """See `AgentLike`; the default mesh lets go of an agent that another wants."""
        seat = self._seat
        if seat is not None and seat.finalizer is not None and seat.interior is not interior:
            seat.finalizer()  # once: it lets the agent leave, as if nobody held it any more
            self._home = self._seat = None
        super().claim(interior)

    def move_in(self, interior: "Interior", address: str) -> None:
        """See `AgentLike`."""
        super().move_in(interior, address)
        if self._seat is None or self._seat.interior is not interior:
            self._seat = Seat(interior, address)

    def leave_home(self) -> None:
        """See `AgentLike`."""
        super().leave_home()
        self._seat = None

    async def vacate(self) -> None:
        """See `AgentLike`: give the model's session back."""
        if self._seat is not None:
            await self._seat.close()

    def serial_key(self, envelope: Envelope) -> Hashable | None:
        """See `AgentLike`: one turn of a conversation at a time."""
        return split_key(envelope.recipient)[1] or None


def check_query(query: object) -> str:
    """Return *query* if it can be asked.

    Raises:
        ArgumentError: it is empty, or no text.
    """
    if not isinstance(query, str):
        message = f"a query is text, not {type(query).__name__}; a message goes through `ask`"
        raise ArgumentError(message)
    if not query.strip():
        message = "the query is empty; there is nothing to ask the model"
        raise ArgumentError(message)
    return query
