"""Conversations: the handles to talk under a key."""

from typing import TYPE_CHECKING, Any, Final, TypeVar, get_args, overload

from ceylon.agents.llm_streams import BlockingLlmStream, LlmStream, as_text
from ceylon.agents.prompts import Forget, Recall, When
from ceylon.errors import ArgumentError
from ceylon.models.turns import Attachment, Reply, Turn
from ceylon.settings import DEFAULTS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from ceylon.agents.road import Road
    from ceylon.core.budgets import Budget
    from ceylon.core.streams import BlockingStream, Stream

__all__ = ["BlockingConversation", "Conversation", "check_key"]

T = TypeVar("T")

_WHEN: Final = get_args(When)


def check_key(key: object) -> str:
    """Return *key* if a conversation may be kept under it.

    Raises:
        ArgumentError: it is empty, too long, or no text.
    """
    if not isinstance(key, str) or not 1 <= len(key) <= DEFAULTS.conversation_key:
        message = f"{key!r} is no key of a conversation; it takes text of 1 to {DEFAULTS.conversation_key} characters"
        raise ArgumentError(message)
    return key


def _check_when(when: When) -> When:
    if when not in _WHEN:
        message = f"when={when!r} cannot be; it is one of {', '.join(map(repr, _WHEN))}"
        raise ArgumentError(message)
    return when


class Conversation:
    """A conversation with an agent under a key; the history is kept by the agent, so handles can be made again.

    A key is any text of 1 to 256 characters; a wrong one shows when it is used.
    """

    def __init__(self, road: "Road", key: str) -> None:
        self._road = road
        self.key = key

    def __repr__(self) -> str:
        return f"<Conversation {self.key!r} with {self._road.agent.name!r}>"

    async def send(
        self, text: str, *, when: When = "queue", timeout: float | None = None, budget: "Budget | None" = None
    ) -> str:
        """Say *text* and return the answer; a failed turn leaves the history as it was.

        Args:
            text: What to say; not empty.
            when: What to do if the conversation is busy. ``"queue"``: wait for its end. ``"absorb"``: join the turn
                under way before its next request to the model, and share its answer; if there is none any more, be a
                turn of its own. ``"interrupt"``: break that turn off, keep what it has said and done, and go next.
            timeout: Seconds from now on.
            budget: What the answer, with all that follows from it, may spend.

        Raises:
            ArgumentError: the text is empty, or the key cannot be.
            InterruptedTurnError: another message broke this turn off; `text` holds what had been said.
            ModelError: the model did not answer.
        """
        return (await self.complete(text, when=when, timeout=timeout, budget=budget)).text

    @overload
    async def complete(
        self,
        text: str,
        *,
        output: type[T],
        tool_choice: str | None = None,
        attachments: "Iterable[Attachment]" = (),
        when: When = "queue",
        timeout: float | None = None,
        budget: "Budget | None" = None,
    ) -> Reply[T]: ...
    @overload
    async def complete(
        self,
        text: str,
        *,
        output: Any = None,
        tool_choice: str | None = None,
        attachments: "Iterable[Attachment]" = (),
        when: When = "queue",
        timeout: float | None = None,
        budget: "Budget | None" = None,
    ) -> Reply[Any]: ...
    async def complete(  # noqa: PLR0913 – each a wish of its own
        self,
        text: str,
        *,
        output: Any = None,
        tool_choice: str | None = None,
        attachments: "Iterable[Attachment]" = (),
        when: When = "queue",
        timeout: float | None = None,
        budget: "Budget | None" = None,
    ) -> Reply[Any]:
        """Say *text* and return the whole reply, with its usage; the options are those of `LlmAgent.complete`."""
        return await self._road.query(
            text,
            key=check_key(self.key),
            timeout=timeout,
            budget=budget,
            output=output,
            tool_choice=tool_choice,
            attachments=attachments,
            when=_check_when(when),
        )

    def stream(
        self, text: str, *, when: When = "queue", timeout: float | None = None, budget: "Budget | None" = None
    ) -> LlmStream[str]:
        """Say *text* and take the answer as it comes; the history has it when the stream has ended.

        What is to be absorbed has no stream of its own: it waits, as a turn of its own.
        """
        return LlmStream(lambda: self._stream(text, when, timeout, budget), as_text)

    async def _stream(self, text: str, when: When, timeout: float | None, budget: "Budget | None") -> "Stream":
        return await self._road.stream(
            text, key=check_key(self.key), timeout=timeout, budget=budget, when=_check_when(when)
        )

    async def history(self) -> tuple[Turn, ...]:
        """Return the turns so far, oldest first."""
        turns: tuple[Turn, ...] = await self._road.put(Recall(), key=check_key(self.key))
        return turns

    async def clear(self) -> None:
        """Forget the turns so far."""
        await self._road.put(Forget(), key=check_key(self.key))


class BlockingConversation:
    """The same for threads and scripts: every verb waits."""

    def __init__(self, road: "Road", key: str) -> None:
        self._road = road
        self._awaited = Conversation(road, key)
        self.key = key

    def __repr__(self) -> str:
        return f"<Blocking{repr(self._awaited)[1:]}"

    def send(
        self, text: str, *, when: When = "queue", timeout: float | None = None, budget: "Budget | None" = None
    ) -> str:
        """Say *text* and return the answer; see `Conversation.send`."""
        answer: str = self._block("send", lambda: self._awaited.send(text, when=when, timeout=timeout, budget=budget))
        return answer

    @overload
    def complete(
        self,
        text: str,
        *,
        output: type[T],
        tool_choice: str | None = None,
        attachments: "Iterable[Attachment]" = (),
        when: When = "queue",
        timeout: float | None = None,
        budget: "Budget | None" = None,
    ) -> Reply[T]: ...
    @overload
    def complete(
        self,
        text: str,
        *,
        output: Any = None,
        tool_choice: str | None = None,
        attachments: "Iterable[Attachment]" = (),
        when: When = "queue",
        timeout: float | None = None,
        budget: "Budget | None" = None,
    ) -> Reply[Any]: ...
    def complete(  # noqa: PLR0913 – as above
        self,
        text: str,
        *,
        output: Any = None,
        tool_choice: str | None = None,
        attachments: "Iterable[Attachment]" = (),
        when: When = "queue",
        timeout: float | None = None,
        budget: "Budget | None" = None,
    ) -> Reply[Any]:
        """Say *text* and return the whole reply; see `Conversation.complete`."""
        reply: Reply[Any] = self._block(
            "complete",
            lambda: self._awaited.complete(
                text,
                output=output,
                tool_choice=tool_choice,
                attachments=attachments,
                when=when,
                timeout=timeout,
                budget=budget,
            ),
        )
        return reply

    def stream(
        self, text: str, *, when: When = "queue", timeout: float | None = None, budget: "Budget | None" = None
    ) -> BlockingLlmStream[str]:
        """Say *text* and take the answer as it comes; see `Conversation.stream`."""
        return BlockingLlmStream(lambda: self._stream(text, when, timeout, budget), as_text)

    def _stream(self, text: str, when: When, timeout: float | None, budget: "Budget | None") -> "BlockingStream":
        return self._road.blocking_stream(
            text, key=check_key(self.key), timeout=timeout, budget=budget, when=_check_when(when)
        )

    def history(self) -> tuple[Turn, ...]:
        """Return the turns so far, oldest first."""
        turns: tuple[Turn, ...] = self._block("history", self._awaited.history)
        return turns

    def clear(self) -> None:
        """Forget the turns so far."""
        self._block("clear", self._awaited.clear)

    def _block(self, verb: str, function: "Callable[[], Awaitable[Any]]") -> Any:
        return self._road.block(verb, function, f"`await agent.conversation({self.key!r}).{verb}(...)`")
