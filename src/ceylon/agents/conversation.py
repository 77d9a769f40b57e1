"""Conversations: histories kept under a key, and the handles to talk under one."""

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from ceylon.agents.prompts import Forget, Prompt, Recall
from ceylon.errors import ArgumentError
from ceylon.models.turns import Reply, Turn
from ceylon.settings import DEFAULTS, Settings

if TYPE_CHECKING:
    from ceylon.agents.llm_agent import LlmAgent
    from ceylon.agents.llm_blocking import BlockingLlm
    from ceylon.agents.llm_streams import BlockingLlmStream, LlmStream

__all__ = ["BlockingConversation", "Conversation", "Histories", "check_key"]


class Histories:
    """The last turns of the conversations used last; the least recently used ones go first."""

    def __init__(self, settings: Settings = DEFAULTS) -> None:
        self._most = settings.conversations
        self._turns = settings.conversation_turns
        self._kept: OrderedDict[str, tuple[Turn, ...]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def turns(self, key: str) -> tuple[Turn, ...]:
        """Return the turns under *key*, oldest first."""
        if key not in self._kept:
            return ()
        self._kept.move_to_end(key)
        return self._kept[key]

    def add(self, key: str, question: str, answer: str) -> None:
        """Add one exchange; what is over the limit goes, question and answer together."""
        turns = (*self.turns(key), Turn("user", question), Turn("assistant", answer))
        surplus = max(0, len(turns) - self._turns)
        self._kept[key] = turns[surplus + surplus % 2 :]
        self._kept.move_to_end(key)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def drop(self, key: str) -> None:
        """Forget what is under *key*."""
        self._kept.pop(key, None)


def check_key(key: object) -> str:
    """Return *key* if a conversation may be kept under it.

    Raises:
        ArgumentError: it is empty, too long, or no text.
    """
    if not isinstance(key, str) or not 1 <= len(key) <= DEFAULTS.conversation_key:
        message = f"{key!r} is no key of a conversation; it takes text of 1 to {DEFAULTS.conversation_key} characters"
        raise ArgumentError(message)
    return key


class Conversation:
    """A conversation with an agent under a key; the history is kept by the agent, so handles can be made again."""

    def __init__(self, agent: "LlmAgent", key: str) -> None:
        self._agent = agent
        self.key = check_key(key)

    def __repr__(self) -> str:
        return f"<Conversation {self.key!r} with {self._agent.name!r}>"

    async def send(self, text: str, *, timeout: float | None = None) -> str:
        """Say *text* and return the answer; a failed turn leaves the history as it was.

        Raises:
            ArgumentError: the text is empty.
            ModelError: the model did not answer.
        """
        return (await self.complete(text, timeout=timeout)).text

    async def complete(self, text: str, *, timeout: float | None = None) -> Reply:
        """Say *text* and return the whole reply, with its usage."""
        reply: Reply = await self._agent.put(Prompt, text, key=self.key, timeout=timeout)
        return reply

    def stream(self, text: str, *, timeout: float | None = None) -> "LlmStream[str]":
        """Say *text* and take the answer as it comes; the history has it when the stream has ended."""
        return self._agent.open_text(text, key=self.key, timeout=timeout)

    async def history(self) -> tuple[Turn, ...]:
        """Return the turns so far, oldest first."""
        turns: tuple[Turn, ...] = await self._agent.put(Recall, key=self.key)
        return turns

    async def clear(self) -> None:
        """Forget the turns so far."""
        await self._agent.put(Forget, key=self.key)


class BlockingConversation:
    """The same for threads and scripts: every verb waits."""

    def __init__(self, blocking: "BlockingLlm", conversation: Conversation) -> None:
        self._blocking = blocking
        self._conversation = conversation

    def __repr__(self) -> str:
        return f"<Blocking{repr(self._conversation)[1:]}"

    @property
    def key(self) -> str:
        """The key the history is kept under."""
        return self._conversation.key

    def send(self, text: str, *, timeout: float | None = None) -> str:
        """Say *text* and return the answer; see `Conversation.send`."""
        answer: str = self._run("send", lambda: self._conversation.send(text, timeout=timeout))
        return answer

    def complete(self, text: str, *, timeout: float | None = None) -> Reply:
        """Say *text* and return the whole reply."""
        reply: Reply = self._run("complete", lambda: self._conversation.complete(text, timeout=timeout))
        return reply

    def stream(self, text: str, *, timeout: float | None = None) -> "BlockingLlmStream[str]":
        """Say *text* and take the answer as it comes."""
        return self._blocking.open_text(text, key=self.key, timeout=timeout)

    def history(self) -> tuple[Turn, ...]:
        """Return the turns so far, oldest first."""
        turns: tuple[Turn, ...] = self._run("history", self._conversation.history)
        return turns

    def clear(self) -> None:
        """Forget the turns so far."""
        self._run("clear", self._conversation.clear)

    def _run(self, verb: str, function: Any) -> Any:
        return self._blocking.run(verb, function)
