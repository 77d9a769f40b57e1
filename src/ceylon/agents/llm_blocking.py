"""An `LlmAgent` for scripts and threads: every verb runs on the mesh's loop, and the caller waits."""

import functools
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal, overload

from ceylon.agents.conversation import BlockingConversation
from ceylon.agents.llm_streams import BlockingLlmStream, BlockingPieces, as_it_is, as_text
from ceylon.core import tasks
from ceylon.core.streams import BlockingStream
from ceylon.models.turns import Part, Reply

if TYPE_CHECKING:
    from pathlib import Path

    from ceylon.agents.batch import Answer
    from ceylon.agents.llm_agent import LlmAgent
    from ceylon.agents.progress import Progress
    from ceylon.core.gateway import Operation

__all__ = ["BlockingLlm"]


class BlockingLlm:
    """The blocking face of one agent."""

    def __init__(self, agent: "LlmAgent") -> None:
        self._agent = agent

    def __repr__(self) -> str:
        return f"<BlockingLlm {self._agent.name!r}>"

    def send_message(self, query: str, *, timeout: float | None = None) -> str:
        """Ask the model *query* and wait for its answer; see `LlmAgent.send_message_async`."""
        answer: str = self.run("send_message", lambda: self._agent.send_message_async(query, timeout=timeout))
        return answer

    def complete(self, query: str, *, timeout: float | None = None) -> Reply:
        """Ask the model *query* and wait for the whole reply; see `LlmAgent.complete`."""
        reply: Reply = self.run("complete", lambda: self._agent.complete(query, timeout=timeout))
        return reply

    def stream(self, query: str, *, timeout: float | None = None) -> BlockingLlmStream[str]:
        """Ask the model *query* and take the answer's text as it comes."""
        return self.open_text(query, timeout=timeout)

    def parts(self, query: str, *, timeout: float | None = None) -> BlockingLlmStream[Part]:
        """Ask the model *query* and take typed parts; see `LlmAgent.parts`."""
        return BlockingLlmStream(lambda: self._agent.open_stream(BlockingStream, query, timeout=timeout), as_it_is)

    def open_text(self, text: str, *, key: str = "", timeout: float | None = None) -> BlockingLlmStream[str]:
        """Return the stream of an answer's text; for `stream` and conversations."""
        agent = self._agent
        return BlockingLlmStream(lambda: agent.open_stream(BlockingStream, text, key=key, timeout=timeout), as_text)

    def conversation(self, key: str) -> BlockingConversation:
        """Return the conversation kept under *key*."""
        return BlockingConversation(self, self._agent.conversation(key))

    @overload
    def send_messages(
        self,
        queries: Iterable[str],
        *,
        concurrency: int | None = None,
        return_exceptions: Literal[False] = False,
        progress: "Progress" = None,
        retries: int = 2,
        resume: "str | Path | None" = None,
    ) -> list[str]: ...
    @overload
    def send_messages(
        self,
        queries: Iterable[str],
        *,
        concurrency: int | None = None,
        return_exceptions: bool,
        progress: "Progress" = None,
        retries: int = 2,
        resume: "str | Path | None" = None,
    ) -> list[str | BaseException]: ...
    def send_messages(self, queries: Iterable[str], **options: Any) -> Any:
        """Ask the model all *queries* and wait for the answers; see `LlmAgent.send_messages_async`."""
        asked = list(queries)
        return self.run("send_messages", lambda: self._agent.send_messages_async(asked, **options))

    def as_completed(
        self, queries: Iterable[str], *, concurrency: int | None = None, retries: int = 2, progress: "Progress" = False
    ) -> "BlockingPieces[Answer]":
        """Ask the model all *queries* and take each `Answer` as it comes; see `LlmAgent.as_completed`."""
        batch = self._agent.batch(queries, concurrency=concurrency, retries=retries, progress=progress)
        return BlockingPieces(lambda: self._agent.open_batch(BlockingStream, batch), as_it_is)

    def run(self, verb: str, function: Callable[[], Awaitable[Any]]) -> Any:
        """Run the async *function* on the mesh's loop and wait for what it returns."""
        interior, _ = self._agent.place()
        twin = f"{verb}_async" if verb.startswith("send_message") else verb
        operation: Operation = functools.partial(tasks.run, interior, function)
        return interior.gateway.block(verb, operation, f"`await agent.{twin}(...)`").get()
