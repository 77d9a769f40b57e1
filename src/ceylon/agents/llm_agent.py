"""The agent that speaks with a language model: `send_message_async` posts to the mesh, from wherever it is awaited."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from ceylon.agents.answering import AnsweringAgent
from ceylon.agents.batch import Answers, Batch
from ceylon.agents.conversation import Conversation
from ceylon.agents.llm_blocking import BlockingLlm
from ceylon.agents.llm_streams import LlmStream, as_it_is, as_text
from ceylon.agents.progress import Progress
from ceylon.agents.road import Road
from ceylon.models.turns import Attachment, Part, Reply

if TYPE_CHECKING:
    from pathlib import Path

    from ceylon.core.budgets import Budget

__all__ = ["LlmAgent"]

T = TypeVar("T")


class LlmAgent(AnsweringAgent):
    """An agent that answers with a language model.

    Every query is independent unless it is part of a `conversation`. Up to *concurrency* are answered at a time; more
    wait in line, without a clock of their own. In a mesh it answers text to ``ask("…")``; a message that is no text
    becomes a prompt by the method `prompt`. Without a mesh it lives in the process's default one.

    Args:
        name: The agent's name.
        model: ``provider::model``, ``"auto"``, or a `Model`.
        system_prompt: What the model is told first.
        temperature: From 0 to 2; `None` leaves it to the server.
        max_tokens: The longest answer.
        seed: For repeatable answers, where the server can.
        stop: Texts that end the answer.
        options: Further settings by the provider's own names.
        concurrency: Queries answered at a time (8).
        timeout: Seconds for one turn, from its start (600).
        api_key: The key; by default the provider's environment variable.
        base_url: The server's address; by default the provider's.
        fallback: Models that are asked when the one before cannot answer, in order; with their own keys and addresses.
        hedge: Seconds, or text like ``"1500ms"``, after which the next of those, or the only model once more, is asked
            too if no answer has begun; the first to begin one is listened to. Off by default.
        prices: Dollars for a million tokens in and out, by model, where the price list has none or another.
        tools: What the model may call besides the agent's own actions: functions, refs, other agents.
        tool_choice: ``"auto"``, ``"none"``, ``"required"`` or the name of a tool, for the first request of a turn.
        output: The type of the answers, where they are not text.
        max_turns: Requests in one answer, with calls in between (25).
        react: Whether tools are called by thoughts, actions and observations in plain words, or how (`ReAct`).
        handoffs: Agents that the model may hand a conversation over to; they answer from then on.
        description: What other models are told of the agent, where it is one of their tools.
        memory: What it remembers beyond a conversation: a `Memory`.
        recall: How the memory is used: what is put before a question, what the model may call (`Recall`).
        conversations: Where conversations are kept; by default in this process, until the agent is gone.
        history: How long conversations are made shorter: a `Window` or a `Summarise`; by default not at all.
    """

    async def send_message_async(
        self, query: str, *, timeout: float | None = None, budget: "Budget | None" = None
    ) -> str:
        """Ask the model *query* and return its answer; on any loop, in a mesh or not.

        Args:
            query: The question; not empty.
            timeout: Seconds from now on; by default the query waits in line as long as it takes, and only the turn
                itself is bounded.
            budget: What the query, with all that follows from it, may spend.

        Raises:
            ArgumentError: the query is empty or no text.
            ModelError: the model did not answer.
            BudgetError: that might have cost more than the budget has left.
        """
        return (await self.complete(query, timeout=timeout, budget=budget)).text

    def send_message(self, query: str, *, timeout: float | None = None, budget: "Budget | None" = None) -> str:
        """Ask the model *query* and wait for its answer; see `send_message_async`.

        Raises:
            BlockingCallError: this thread runs the mesh's own loop.
        """
        return self.blocking.send_message(query, timeout=timeout, budget=budget)

    @overload
    async def complete(
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
    async def complete(
        self,
        query: str,
        *,
        output: Any = None,
        tool_choice: str | None = None,
        attachments: Iterable[Attachment] = (),
        timeout: float | None = None,
        budget: "Budget | None" = None,
    ) -> Reply[Any]: ...
    async def complete(
        self,
        query: str,
        *,
        output: Any = None,
        tool_choice: str | None = None,
        attachments: Iterable[Attachment] = (),
        timeout: float | None = None,
        budget: "Budget | None" = None,
    ) -> Reply[Any]:
        """Ask the model *query* and return the whole reply: text, output, usage, cost, finish reason, turns.

        Args:
            query: The question; not empty.
            output: The type of the answer: Structs, dataclasses, collections, unions; `None` for what the agent says.
            tool_choice: As the agent's own option, for this query.
            attachments: Pictures and files that go with the question, where the model takes them.
            timeout: Seconds from now on.
            budget: What the query, with all that follows from it, may spend.

        Raises:
            BudgetError: that might have cost more than the budget has left.
            OutputError: the model gave no value of the type.
            MaxTurnsError: it calls without end.
            ModelError: it did not answer.
        """
        return await self.__ceylon_road__.query(
            query, timeout=timeout, budget=budget, output=output, tool_choice=tool_choice, attachments=attachments
        )

    def stream(self, query: str, *, timeout: float | None = None, budget: "Budget | None" = None) -> LlmStream[str]:
        """Ask the model *query* and take the answer's text as it comes."""
        road = self.__ceylon_road__
        return LlmStream(lambda: road.stream(query, timeout=timeout, budget=budget), as_text)

    def parts(
        self,
        query: str,
        *,
        output: Any = None,
        tool_choice: str | None = None,
        attachments: Iterable[Attachment] = (),
        timeout: float | None = None,
        budget: "Budget | None" = None,
    ) -> LlmStream[Part]:
        """Ask the model *query* and take typed parts: text, thinking, calls, results, and the whole reply last."""
        road = self.__ceylon_road__
        wishes: dict[str, Any] = {"output": output, "tool_choice": tool_choice, "attachments": attachments}
        return LlmStream(lambda: road.stream(query, timeout=timeout, budget=budget, **wishes), as_it_is)

    def conversation(self, key: str) -> Conversation:
        """Return the conversation kept under *key*; at the address ``name/key`` in a mesh."""
        return Conversation(self.__ceylon_road__, key)

    @overload
    async def send_messages_async(
        self,
        queries: Iterable[str],
        *,
        concurrency: int | None = None,
        return_exceptions: Literal[False] = False,
        progress: Progress = None,
        retries: int = 2,
        resume: "str | Path | None" = None,
        budget: "Budget | None" = None,
    ) -> list[str]: ...
    @overload
    async def send_messages_async(
        self,
        queries: Iterable[str],
        *,
        concurrency: int | None = None,
        return_exceptions: bool,
        progress: Progress = None,
        retries: int = 2,
        resume: "str | Path | None" = None,
        budget: "Budget | None" = None,
    ) -> list[str | BaseException]: ...
    async def send_messages_async(  # noqa: PLR0913 – each a wish of its own
        self,
        queries: Iterable[str],
        *,
        concurrency: int | None = None,
        return_exceptions: bool = False,
        progress: Progress = None,
        retries: int = 2,
        resume: "str | Path | None" = None,
        budget: "Budget | None" = None,
    ) -> Any:
        """Ask the model all *queries* and return the answers in their order.

        Args:
            queries: The questions.
            concurrency: How many at a time; by default as many as the agent itself takes.
            return_exceptions: Put errors among the answers instead of raising the first one.
            progress: `None`: shown on a terminal; `False`: never; `True`: always; or a function of done and total.
            retries: How often a request is made again after a fault that may pass; before an answer has begun, no more
                often than the settings' `retry_tries` allows.
            resume: A file that keeps each answer as a line of JSON; a run that was killed asks only what is missing.
            budget: What all of them together may spend.
        """
        batch = self.__ceylon_batch__(
            queries, concurrency=concurrency, retries=retries, progress=progress, resume=resume, budget=budget
        )
        async with Answers(self.__ceylon_road__, batch) as answers:
            async for answer in answers:
                batch.keep(answer, return_exceptions=return_exceptions)
        return batch.results

    @overload
    def send_messages(
        self,
        queries: Iterable[str],
        *,
        concurrency: int | None = None,
        return_exceptions: Literal[False] = False,
        progress: Progress = None,
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
        progress: Progress = None,
        retries: int = 2,
        resume: "str | Path | None" = None,
        budget: "Budget | None" = None,
    ) -> list[str | BaseException]: ...
    def send_messages(  # noqa: PLR0913 – as above
        self,
        queries: Iterable[str],
        *,
        concurrency: int | None = None,
        return_exceptions: bool = False,
        progress: Progress = None,
        retries: int = 2,
        resume: "str | Path | None" = None,
        budget: "Budget | None" = None,
    ) -> Any:
        """Ask the model all *queries* and wait for the answers; see `send_messages_async`."""
        return self.blocking.send_messages(
            queries,
            concurrency=concurrency,
            return_exceptions=return_exceptions,
            progress=progress,
            retries=retries,
            resume=resume,
            budget=budget,
        )

    def as_completed(
        self,
        queries: Iterable[str],
        *,
        concurrency: int | None = None,
        retries: int = 2,
        progress: Progress = False,
        budget: "Budget | None" = None,
    ) -> Answers:
        """Ask the model all *queries* and take each `Answer` as it comes, errors among them.

        Args:
            queries: The questions.
            concurrency: How many at a time; by default as many as the agent itself takes.
            retries: How often a query is asked again after a fault that may pass.
            progress: As in `send_messages_async`.
            budget: What all of them together may spend.
        """
        batch = self.__ceylon_batch__(
            queries, concurrency=concurrency, retries=retries, progress=progress, budget=budget
        )
        return Answers(self.__ceylon_road__, batch)

    @property
    def blocking(self) -> BlockingLlm:
        """The same verbs, blocking, for scripts and threads."""
        return BlockingLlm(self)

    # -- for conversations and the blocking face -----------------------------------------------------------------------

    @property
    def __ceylon_road__(self) -> Road:
        """The way to the agent, wherever it lives."""
        return Road(self)

    def __ceylon_batch__(
        self,
        queries: Iterable[str],
        *,
        concurrency: int | None = None,
        retries: int = 2,
        progress: Progress = None,
        resume: "str | Path | None" = None,
        budget: "Budget | None" = None,
    ) -> Batch:
        """Return *queries* as a batch for this agent; nothing is looked at before it runs."""
        return Batch(
            queries,
            self.__ceylon_llm_setup__,
            concurrency=concurrency,
            retries=retries,
            progress=progress,
            resume=resume,
            budget=budget,
        )
