"""What a turn knows before its question: the conversation so far, made short enough, and what is remembered."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ceylon.agents.callees import Tally
from ceylon.agents.conversations.port import ConversationStore
from ceylon.agents.conversations.summary import Summarise
from ceylon.agents.llm_settings import LlmSettings
from ceylon.agents.remembering import Recall, Remembering
from ceylon.core.log import logger
from ceylon.errors import ModelError
from ceylon.memory.embedded import EmbeddedMemory
from ceylon.models.turns import Reply, Request, Turn

if TYPE_CHECKING:
    from ceylon.agents.seat import Seat
    from ceylon.models.port import Session

__all__ = ["NOTHING", "Background", "Setting", "background_of"]


class Setting(msgspec.Struct, frozen=True):
    """Where a question is asked: of which agent, in which conversation (empty for none), over which session."""

    agent: str
    key: str
    settings: LlmSettings
    store: ConversationStore
    seat: "Seat"
    session: "Session"

    @property
    def stored_key(self) -> str:
        """The key of the conversation in the store, which other agents may share."""
        return f"{self.agent}/{self.key}"


class Background(msgspec.Struct, frozen=True):
    """What a turn knows: turns before the question, words for its system prompt, actions, and what that has cost."""

    turns: tuple[Turn, ...]
    told: tuple[str, ...]
    actions: tuple[Callable[..., Any], ...]
    tally: Tally

    def onto(self, request: Request) -> Request:
        """Return *request* with one system turn, which says all that is to be told first."""
        if not self.told:
            return request
        told = [turn.text for turn in request.turns] + list(self.told)
        return msgspec.structs.replace(request, turns=(Turn("system", "\n\n".join(told)),))

    def counted(self, reply: Reply[Any]) -> Reply[Any]:
        """Return *reply* with what its background took."""
        if not self.tally.requests:
            return reply
        self.tally.add(reply)
        return self.tally.onto(reply)


NOTHING: Final = Background((), (), (), Tally())
"""What a query of its own knows, without a memory."""


async def background_of(setting: Setting, question: str) -> Background:
    """Return what is known before *question*.

    Raises:
        StoreError: a memory or a store that does not answer.
    """
    tally = Tally()
    turns = await _history(setting, tally) if setting.key else ()
    remembering = await _remembering(setting)
    words = "" if remembering is None else await remembering.words_for(question)
    told = [turn.text for turn in turns if turn.role == "system"]
    return Background(
        turns=tuple(turn for turn in turns if turn.role != "system") if told else turns,
        told=(*told, *([words] if words else ())),
        actions=() if remembering is None else remembering.actions(),
        tally=tally,
    )


async def _history(setting: Setting, tally: Tally) -> tuple[Turn, ...]:
    """Return the conversation so far, as short as the agent's policy wants it."""
    turns, policy = await setting.store.load(setting.stored_key), setting.settings.history
    if policy is None:
        return turns
    if not isinstance(policy, Summarise):
        shown: tuple[Turn, ...] = policy.of(turns)
        return shown
    older, staying = policy.split(turns)
    if not older:
        return turns
    try:
        reply = await _summary(setting, policy, older)
    except ModelError as error:  # the answer matters more; the next turn tries again
        logger().warning("summary_failed", agent=setting.agent, exc_info=error)
        return turns
    tally.add(reply)
    if not reply.text.strip():
        return turns
    joined = policy.joined(reply.text, staying)
    await setting.store.replace(setting.stored_key, joined)
    return joined


async def _summary(setting: Setting, policy: Summarise, older: Sequence[Turn]) -> Reply[Any]:
    request = policy.request(older, setting.settings.timeout)
    if policy.model is None:
        return await setting.session.complete(request)
    sessions = await setting.seat.sessions()
    session = await sessions.open(sessions.resolve(policy.model))
    try:
        return await session.complete(request)
    finally:
        await sessions.part(session)


async def _remembering(setting: Setting) -> Remembering | None:
    """Return the memory for a question, if it has one."""
    memory, recall = setting.settings.memory, setting.settings.recall or Recall()
    namespace = recall.namespace_of(setting.agent, setting.key)
    if memory is None or namespace is None:
        return None
    if recall.embedder is not None:
        sessions = await setting.seat.sessions()
        embedding = await sessions.embedding(recall.embedder, setting.settings.prices)
        memory = EmbeddedMemory(memory, embedding.embed, similarity=recall.similarity)
    return Remembering(memory, recall, setting.agent, namespace)
