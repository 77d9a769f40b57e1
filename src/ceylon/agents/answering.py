"""How an `LlmAgent` handles what it is sent: a turn with the model, whole or in parts, and the histories it keeps."""

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, ClassVar, Self

import anyio
import msgspec

from ceylon.agents.background import Background, Setting, background_of
from ceylon.agents.callees import Emit
from ceylon.agents.calling import CallCounts
from ceylon.agents.conversations.in_memory import InMemoryConversations
from ceylon.agents.conversations.port import ConversationStore
from ceylon.agents.emitting import channel_of, sender
from ceylon.agents.fluent import ModelledAgent
from ceylon.agents.llm_settings import LlmSettings, check_concurrency, is_concurrency
from ceylon.agents.outputs import output_of, reply_type
from ceylon.agents.prompts import Forget, Prompt, Recall
from ceylon.agents.seat import Seat
from ceylon.agents.toolbox import Toolbox, callees_of
from ceylon.agents.turn import Plan, TurnRun
from ceylon.core.context import Context
from ceylon.core.handlers import on
from ceylon.core.names import split_key
from ceylon.core.streams import Channel
from ceylon.errors import AgentStoppedError, ArgumentError, CodecError, ModelTimeoutError
from ceylon.messages import Envelope
from ceylon.models.turns import Reply, ReplyPart, Turn
from ceylon.settings import DEFAULTS

if TYPE_CHECKING:
    from ceylon.core.interior import Interior

__all__ = ["AnsweringAgent", "check_query"]


class AnsweringAgent(ModelledAgent):
    """An agent whose handler is a model; `LlmAgent` gives it its verbs."""

    takes_keys: ClassVar[bool] = True
    ask_timeout: float | None = DEFAULTS.model_timeout

    _seat: Seat | None = None

    def _begin(self) -> None:
        self._conversations = InMemoryConversations()
        self._counts = CallCounts()

    @property
    def calls(self) -> CallCounts:
        """What became of the calls that the model wanted, as a snapshot."""
        return msgspec.structs.replace(self._counts)

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
    async def _recall_turns(self, recall: Recall, context: Context) -> tuple[Turn, ...]:  # noqa: ARG002 – names itself
        """Return the turns of a conversation."""
        return await self._store(context).load(self._stored_key(context))

    @on
    async def _forget_turns(self, forget: Forget, context: Context) -> None:  # noqa: ARG002 – as above
        """Drop the turns of a conversation."""
        await self._store(context).drop(self._stored_key(context))

    # -- turns ---------------------------------------------------------------------------------------------------------

    async def _answer(self, prompt: Prompt, context: Context) -> Any:
        """Take one turn; a stream gets its parts as they come, and the last of them is returned."""
        key = _key_of(context)
        channel = channel_of(context)
        if channel is None:
            return await self._keep(prompt, await self._take_turn(prompt, key, context, None), context)
        reply = await self._take_turn(prompt, key, context, sender(channel, context))
        if key:
            if not await _consumer_wants_more(channel, context):
                return None
            await self._keep(prompt, reply, context)
        return ReplyPart(reply)

    async def _take_turn(self, prompt: Prompt, key: str, context: Context, emit: Emit | None) -> Reply[Any]:
        """Take one turn; its time runs from here."""
        model, settings = await self._setup.load(), self._setup.settings
        with anyio.move_on_after(settings.timeout):
            seat = self._seat_in(context)
            session = await seat.session(model)
            setting = Setting(self.name, key, settings, self._store(context), seat, session)
            background = await background_of(setting, prompt.text)
            run = TurnRun(self._plan(prompt, settings, background, context), session, context, self._counts, emit)
            question = Turn("user", prompt.text, attachments=prompt.attachments)
            return background.counted(await run.run(background.turns, question))
        raise ModelTimeoutError(model.name, settings.timeout)

    def _plan(self, prompt: Prompt, settings: LlmSettings, background: Background, context: Context) -> Plan:
        """Return what the turn goes by: what the prompt says comes before what the agent is set to."""
        toolbox = Toolbox(callees_of(self, (*settings.tools, *background.actions), context.interior))
        wanted = settings.output if prompt.output is None else prompt.output
        output = None if wanted is None else output_of(wanted)
        choice = settings.tool_choice if prompt.tool_choice is None else prompt.tool_choice
        request = settings.request(
            toolbox.tools, toolbox.check_choice(choice), None if output is None else output.schema
        )
        return Plan(background.onto(request), toolbox, output, settings.max_turns, self._setup.model().name)

    async def _keep(self, prompt: Prompt, reply: Reply[Any], context: Context) -> Reply[Any]:
        """Add the exchange to its conversation, if it belongs to one."""
        if _key_of(context):
            question = Turn("user", prompt.text, attachments=prompt.attachments)
            await self._store(context).append(self._stored_key(context), (question, *reply.turns))
        return reply

    def _store(self, context: Context) -> ConversationStore:
        """Return where conversations are kept: the store the agent was given, or its own with the mesh's limits."""
        given: ConversationStore | None = self._setup.settings.conversations
        if given is not None:
            return given
        self._conversations.settings = context.interior.settings
        return self._conversations

    def _stored_key(self, context: Context) -> str:
        return f"{self.name}/{_key_of(context)}"

    def _seat_in(self, context: Context) -> Seat:
        """Return the seat in the mesh that handles the message; the agent may have moved on from there."""
        seat = self._seat
        if seat is None or seat.interior is not context.interior:
            raise AgentStoppedError(context.address)
        return seat

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


def _key_of(context: Context) -> str:
    """Return the key of the conversation that a message belongs to; empty for none."""
    return split_key(context.recipient)[1]


async def _consumer_wants_more(channel: Channel, context: Context) -> bool:
    """Wait until the consumer has taken all the text and asks for more; say no if it has left before.

    Not for ever: one that has stopped halfway without leaving must not keep its conversation closed.
    """
    with anyio.move_on_after(context.interior.settings.stream_idle_timeout):
        return await channel.wait_for_pull()
    return True
