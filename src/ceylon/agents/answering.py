"""How an `LlmAgent` handles what it is sent: a turn with the model, whole or in parts, and the histories it keeps."""

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, ClassVar, Self

import msgspec

from ceylon.agents.conversing import ConversingAgent, key_of
from ceylon.agents.llm_settings import check_concurrency, is_concurrency
from ceylon.agents.outputs import reply_type
from ceylon.agents.prompts import Forget, Prompt, Recall, TakenOver, TakeOver
from ceylon.agents.seat import Seat
from ceylon.core.context import Context
from ceylon.core.marking import on
from ceylon.errors import ArgumentError, CodecError
from ceylon.messages import Envelope
from ceylon.models.turns import ReplyPart, Turn
from ceylon.settings import DEFAULTS

if TYPE_CHECKING:
    from ceylon.core.interior import Interior

__all__ = ["AnsweringAgent", "check_query"]


class AnsweringAgent(ConversingAgent):
    """An agent whose handler is a model; `LlmAgent` gives it its verbs."""

    takes_keys: ClassVar[bool] = True
    ask_timeout: float | None = DEFAULTS.model_timeout

    def __del__(self) -> None:
        """Leave the default mesh with the last reference; called while garbage is collected."""
        seat = self._seat
        if seat is not None and seat.guest is not None:
            seat.guest.depart(self)

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
        """Answer *message* with the model: in parts to whoever takes a stream, else the text, or a value of the type.

        The type is the agent's `output`, else what the message's class says that it is answered with.
        """
        query = check_query(message if isinstance(message, str) else self.prompt(message))
        reply = await self._answer(Prompt(query, self._setup.settings.output or reply_type(message)), context)
        return reply if isinstance(reply, ReplyPart) else (reply.text if reply.output is None else reply.output)

    # The verbs' own messages have handlers of their own, so that a subclass may have an `on_message` which uses them.

    @on
    async def _answer_prompt(self, prompt: Prompt, context: Context) -> Any:
        """Answer what a verb asks; the reply is whole."""
        return await self._answer(prompt, context)

    @on
    async def _take_over(self, take_over: TakeOver, context: Context) -> TakenOver:
        """Go on with a conversation that another agent keeps."""
        return await self._go_on(take_over, context)

    @on
    async def _recall_turns(self, recall: Recall, context: Context) -> tuple[Turn, ...]:  # noqa: ARG002 – names itself
        """Return the turns of a conversation."""
        return await self._store(context).load(self._stored_key(context))

    @on
    async def _forget_turns(self, forget: Forget, context: Context) -> None:  # noqa: ARG002 – as above
        """Drop the turns of a conversation."""
        await self._store(context).drop(self._stored_key(context))
        self._holders.drop(key_of(context))

    # -- where it lives ------------------------------------------------------------------------------------------------

    @property
    def __ceylon_home__(self) -> "tuple[Interior, str] | None":
        """The mesh that the agent is in, and its address there; a closed default mesh is none."""
        home = self._home
        return None if home is None or (home[0].is_default and home[0].has_ended) else home

    @property
    def __ceylon_seat__(self) -> Seat | None:
        """The agent's place in that mesh."""
        return self._seat

    def with_concurrency(self, concurrency: int) -> Self:
        """Answer up to *concurrency* queries at a time."""
        super().with_concurrency(concurrency)
        seat = self._seat
        if seat is not None and is_concurrency(concurrency):
            if seat.interior.was_opened:
                seat.interior.gateway.post_quietly(lambda: seat.resize(concurrency))
            else:
                seat.resize(concurrency)
        return self

    # -- what the mesh asks for ----------------------------------------------------------------------------------------

    def __ceylon_claim__(self, interior: "Interior") -> None:
        """See `AgentLike`; the default mesh lets go of an agent that another wants."""
        check_concurrency(self.concurrency)
        seat = self._seat
        if seat is not None and seat.guest is not None:
            if seat.interior.is_open:
                seat.guest.let_go(self)
            self.__ceylon_leave_home__()
        super().__ceylon_claim__(interior)

    def __ceylon_move_in__(self, interior: "Interior", address: str) -> None:
        """See `AgentLike`."""
        super().__ceylon_move_in__(interior, address)
        if self._seat is None or self._seat.interior is not interior or self._seat.address != address:
            self._seat = Seat(interior, address, self.concurrency)

    def __ceylon_leave_home__(self) -> None:
        """See `AgentLike`."""
        super().__ceylon_leave_home__()
        self._seat = None

    async def __ceylon_vacate__(self) -> None:
        """See `AgentLike`: give the model's session back."""
        if self._seat is not None:
            await self._seat.close()

    def __ceylon_serial_key__(self, envelope: Envelope) -> Hashable | None:
        """See `AgentLike`: one turn of a conversation at a time."""
        return envelope.recipient.partition("/")[2] or None

    def __ceylon_expect__(self, envelope: Envelope) -> None:
        """See `AgentLike`: a message that interrupts is heard of here."""
        self._turnings.hear(envelope)


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
