"""How an `LlmAgent` takes a turn: by itself or handed over, whole or in parts, and what its histories keep of it."""

import contextlib
from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

import anyio
import msgspec

from ceylon.agents.background import NOTHING, Background, Setting, background_of
from ceylon.agents.called import CallCounts
from ceylon.agents.conversations.in_memory import InMemoryConversations
from ceylon.agents.conversations.port import ConversationStore
from ceylon.agents.emitting import channel_of, sender
from ceylon.agents.fluent import ModelledAgent
from ceylon.agents.guest import join
from ceylon.agents.plans import Plans
from ceylon.agents.prompts import Prompt, TakenOver, TakeOver
from ceylon.agents.relay import Holders, Relay
from ceylon.agents.seat import Seat
from ceylon.agents.steering import Turning, Turnings
from ceylon.agents.turn import TurnRun
from ceylon.core.channel import Channel
from ceylon.core.context import Context
from ceylon.core.handlers import Refusal
from ceylon.core.names import split_key
from ceylon.errors import AgentStoppedError, ModelTimeoutError
from ceylon.models.adapting import reacting
from ceylon.models.turns import Reply, ReplyPart, Turn

if TYPE_CHECKING:
    from ceylon.agents.answering import AnsweringAgent

__all__ = ["ConversingAgent", "key_of"]

T = TypeVar("T")


class ConversingAgent(ModelledAgent):
    """An agent that holds conversations with its model."""

    _seat: Seat | None = None

    def _begin(self) -> None:
        self._conversations = InMemoryConversations()
        self._holders = Holders()
        self._turnings = Turnings()
        self._counts = CallCounts()
        self._plans = Plans()

    def __ceylon_rebuild__(self) -> Self:
        """See `AgentLike`; the counts go on."""
        made = super().__ceylon_rebuild__()
        made._counts = self._counts  # noqa: SLF001 – the same class
        return made

    @property
    def calls(self) -> CallCounts:
        """What became of the calls that the model wanted, as a snapshot."""
        return msgspec.structs.replace(self._counts)

    async def _answer(self, prompt: Prompt, context: Context) -> Any:
        """Take one turn; a stream gets its parts as they come, and the last of them is returned.

        A conversation keeps what a stream's consumer has taken to the end, and what was said before an interruption.
        """
        key, channel = key_of(context), channel_of(context)
        turning = Turning(key, context, None if channel is None else sender(channel, context))
        if not key and not self._setup.settings.handoffs:
            reply = await self._answer_alone(prompt, turning)
            return reply if channel is None else ReplyPart(reply)
        relay = Relay(context, prompt.output, turning, self._holders.get(key))
        question = Turn("user", prompt.text, attachments=prompt.attachments)
        with self._turnings.holding(turning) if key else contextlib.nullcontext():
            reply = await self._converse(question, prompt, relay, turning)
            if key:
                if channel is not None and not await _consumer_wants_more(channel, turning):
                    return None
                await self._keep(turning, relay, question, *reply.turns)
            turning.settle(reply)
        return reply if channel is None else ReplyPart(reply)

    async def _answer_alone(self, prompt: Prompt, turning: Turning) -> Reply[Any]:
        """Answer a query of its own, which no other agent can be handed and nothing interrupts: without a relay."""
        context, settings = turning.context, self._setup.settings
        turning.is_followed = False
        with context.interior.pauses.clock(context, settings.timeout):
            background = NOTHING if settings.memory is None else await self._background("", prompt.text, context)
            run = await self._begin_turn(prompt, 0, turning, background)
            taken = await run.run((Turn("user", prompt.text, attachments=prompt.attachments),))
            return background.counted(taken.reply)
        raise ModelTimeoutError(self._setup.model().name, settings.timeout)

    async def _converse(self, question: Turn, prompt: Prompt, relay: Relay, turning: Turning) -> Reply[Any]:
        """Return the answer to *question* in its conversation, by whichever agents have that.

        Raises:
            InterruptedTurnError: another message has broken it off; what was said is kept.
        """
        run: TurnRun | None = None

        async def converse() -> Reply[Any]:
            background = await self._background(turning.key, prompt.text, turning.context)

            async def run_here(turns: Sequence[Turn], handoffs: int) -> TakenOver:
                nonlocal run
                run = await self._begin_turn(prompt, handoffs, turning, background)
                taken = await run.run(turns)
                run = None
                return taken

            return background.counted(await relay.run((*background.turns, question), run_here))

        with turning.scope:
            return await self._in_time(converse(), turning.context)
        error = turning.error()
        begun = run.broken_off() if run is not None else ()
        await self._keep(turning, relay, question, *turning.cut((*relay.added, *begun)))
        turning.settle(error)
        turning.let_next()
        raise Refusal(error)  # it is no failure of the agent's

    async def _go_on(self, take_over: TakeOver, context: Context) -> TakenOver:
        """Take one leg of a conversation that another agent keeps."""
        channel = channel_of(context)
        turning = Turning("", context, None if channel is None else sender(channel, context))
        prompt = Prompt(last_words(take_over.turns), output=take_over.output)

        async def run_leg() -> TakenOver:
            background = await self._background("", prompt.text, context)
            return await (await self._begin_turn(prompt, take_over.handoffs, turning, background)).run(take_over.turns)

        return await self._in_time(run_leg(), context)

    async def _in_time(self, running: Awaitable[T], context: Context) -> T:
        """Await a turn; its time runs from here, but not while a person is asked."""
        timeout = self._setup.settings.timeout
        with context.interior.pauses.clock(context, timeout):
            return await running
        raise ModelTimeoutError(self._setup.model().name, timeout)

    async def _background(self, key: str, question: str, context: Context) -> Background:
        """Return what is known before *question*: the conversation so far, and what is remembered."""
        if not key and self._setup.settings.memory is None:
            return NOTHING
        seat = self._seat_in(context)
        session = await seat.session(await self._setup.load())
        setting = Setting(self.name, key, self._setup.settings, self._store(context), seat, session)
        return await background_of(setting, question)

    async def _begin_turn(self, prompt: Prompt, handoffs: int, turning: Turning, background: Background) -> TurnRun:
        interior, setup = turning.context.interior, self._setup
        if interior.is_default:
            await self._bring_along()
        model = setup.model_at_hand()
        if model is None:
            model = await setup.load()
        seat = self._seat_in(turning.context)
        session = seat.session_at_hand(model)
        if session is None:
            session = await seat.session(model)
        settings = setup.settings
        if settings.react is not None:
            session = reacting(session, settings.react)
        plan = self._plans.plan(self, settings, model, prompt, background, interior, handoffs)
        return TurnRun(plan, session, turning, self._counts)

    async def _bring_along(self) -> None:
        """Let agents that this one's model may call, and that no mesh has, come to the default one as it did itself."""
        for each in (*self._setup.settings.tools, *self._setup.settings.handoffs):
            if isinstance(each, ConversingAgent):
                agent = cast("AnsweringAgent", each)
                if agent.__ceylon_home__ is None:
                    await join(agent)

    async def _keep(self, turning: Turning, relay: Relay, *turns: Turn) -> None:
        """Add *turns* to the conversation, if they belong to one."""
        context = turning.context
        if turning.key:
            await self._store(context).append(self._stored_key(context), turns)
            self._holders.put(turning.key, relay.holder, context.interior.settings.conversations)

    def _store(self, context: Context) -> ConversationStore:
        """Return where conversations are kept: the store the agent was given, or its own with the mesh's limits."""
        given: ConversationStore | None = self._setup.settings.conversations
        if given is not None:
            return given
        self._conversations.settings = context.interior.settings
        return self._conversations

    def _stored_key(self, context: Context) -> str:
        return f"{self.name}/{key_of(context)}"

    def _seat_in(self, context: Context) -> Seat:
        """Return the seat in the mesh that handles the message; the agent may have moved on from there."""
        seat = self._seat
        if seat is None or seat.interior is not context.interior:
            raise AgentStoppedError(context.address)
        return seat


def key_of(context: Context) -> str:
    """Return the key of the conversation that a message belongs to; empty for none."""
    return split_key(context.envelope.recipient)[1]


def last_words(turns: Sequence[Turn]) -> str:
    """Return what the user said last."""
    return next((turn.text for turn in reversed(turns) if turn.role == "user"), "")


async def _consumer_wants_more(channel: Channel, turning: Turning) -> bool:
    """Wait until the consumer has taken all the text and asks for more; say no if it has left before.

    Not for ever: one that has stopped halfway without leaving must not keep its conversation closed, nor keep one
    waiting who interrupts.
    """
    turning.begin_again()
    with turning.scope, anyio.move_on_after(turning.context.interior.settings.stream_idle_timeout):
        return await channel.wait_for_pull()
    return True
