"""An `LlmAgent` for scripts and threads: every verb runs on the mesh's loop, and the caller waits."""

from collections.abc import Awaitable, Iterable
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from ceylon.agents.batch import BlockingAnswers
from ceylon.agents.conversation import BlockingConversation
from ceylon.agents.llm_streams import BlockingLlmStream, as_it_is, as_text
from ceylon.models.turns import Attachment, Part, Reply

if TYPE_CHECKING:
    from pathlib import Path

    from ceylon.agents.llm_agent import LlmAgent
    from ceylon.agents.progress import Progress
    from ceylon.core.budgets import Budget

__all__ = ["BlockingLlm"]

T = TypeVar("T")


class BlockingLlm:
    """The blocking face of one agent."""

    def __init__(self, agent: "LlmAgent") -> None:
        self._agent = agent

    def __repr__(self) -> str:
        return f"<BlockingLlm {self._agent.name!r}>"

    def send_message(self, query: str, *, timeout: float | None = None, budget: "Budget | None" = None) -> str:
        """Ask the model *query* and wait for its answer; see `LlmAgent.send_message_async`."""
        agent, instead = self._agent, "`await agent.send_message_async(...)`"
        answer: str = agent.__ceylon_road__.block(
            "send_message", lambda: agent.send_message_async(query, timeout=timeout, budget=budget), instead
        )
        return answer

    @overload
    def complete(
        self,
        query: str,
        *,
        output: type[T],
        tool_choice: str | None = None,
        attachments: Iterable[Attachment] = (),
        timeout: float | None = None,
        budget: "Budget | None" = None,
    ) -> Reply[T]: ...
    @overload
    def complete(
        self,
        query: str,
        *,
        output: Any = None,
        tool_choice: str | None = None,
        attachments: Iterable[Attachment] = (),
        timeout: float | None = None,
        budget: "Budget | None" = None,
    ) -> Reply[Any]: ...
    def complete(
        self,
        query: str,
        *,
        output: Any = None,
        tool_choice: str | None = None,
        attachments: Iterable[Attachment] = (),
        timeout: float | None = None,
        budget: "Budget | None" = None,
    ) -> Reply[Any]:
        """Ask the model *query* and wait for the whole reply; see `LlmAgent.complete`."""
        agent, instead = self._agent, "`await agent.complete(...)`"

        def ask() -> Awaitable[Reply[Any]]:
            wishes: dict[str, Any] = {"output": output, "tool_choice": tool_choice, "attachments": attachments}
            return agent.complete(query, timeout=timeout, budget=budget, **wishes)

        reply: Reply[Any] = agent.__ceylon_road__.block("complete", ask, instead)
        return reply

    def stream(
        self, query: str, *, timeout: float | None = None, budget: "Budget | None" = None
    ) -> BlockingLlmStream[str]:
        """Ask the model *query* and take the answer's text as it comes."""
        road = self._agent.__ceylon_road__
        return BlockingLlmStream(lambda: road.blocking_stream(query, timeout=timeout, budget=budget), as_text)

    def parts(
        self,
        query: str,
        *,
        output: Any = None,
        tool_choice: str | None = None,
        attachments: Iterable[Attachment] = (),
        timeout: float | None = None,
        budget: "Budget | None" = None,
    ) -> BlockingLlmStream[Part]:
        """Ask the model *query* and take typed parts; see `LlmAgent.parts`."""
        road = self._agent.__ceylon_road__
        wishes: dict[str, Any] = {"output": output, "tool_choice": tool_choice, "attachments": attachments}
        return BlockingLlmStream(
            lambda: road.blocking_stream(query, timeout=timeout, budget=budget, **wishes), as_it_is
        )

    def conversation(self, key: str) -> BlockingConversation:
        """Return the conversation kept under *key*."""
        return BlockingConversation(self._agent.__ceylon_road__, key)

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
        budget: "Budget | None" = None,
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
        budget: "Budget | None" = None,
    ) -> list[str | BaseException]: ...
    def send_messages(  # noqa: PLR0913 – as the agent has them
        self,
        queries: Iterable[str],
        *,
        concurrency: int | None = None,
        return_exceptions: bool = False,
        progress: "Progress" = None,
        retries: int = 2,
        resume: "str | Path | None" = None,
        budget: "Budget | None" = None,
    ) -> Any:
        """Ask the model all *queries* and wait for the answers; see `LlmAgent.send_messages_async`."""
        batch = self._agent.__ceylon_batch__(
            queries, concurrency=concurrency, retries=retries, progress=progress, resume=resume, budget=budget
        )
        with BlockingAnswers(self._agent.__ceylon_road__, batch) as answers:
            for answer in answers:
                batch.keep(answer, return_exceptions=return_exceptions)
        return batch.results

    def as_completed(
        self, queries: Iterable[str], *, concurrency: int | None = None, retries: int = 2, progress: "Progress" = False
    ) -> BlockingAnswers:
        """Ask the model all *queries* and take each `Answer` as it comes; see `LlmAgent.as_completed`."""
        batch = self._agent.__ceylon_batch__(queries, concurrency=concurrency, retries=retries, progress=progress)
        return BlockingAnswers(self._agent.__ceylon_road__, batch)
