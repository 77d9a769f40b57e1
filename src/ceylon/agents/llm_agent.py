"""The agent that speaks with a language model: `send_message_async` posts to the mesh, from wherever it is awaited."""

from collections.abc import Coroutine, Iterable
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, overload

from ceylon.agents.answering import AnsweringAgent, check_query
from ceylon.agents.batch import Answer, Batch
from ceylon.agents.conversation import Conversation
from ceylon.agents.journal import Journal
from ceylon.agents.llm_blocking import BlockingLlm
from ceylon.agents.llm_streams import LlmStream, Pieces, as_it_is, as_text
from ceylon.agents.progress import Progress
from ceylon.agents.prompts import Prompt
from ceylon.agents.seat import Seat, take_guest_seat
from ceylon.core import tasks, verbs
from ceylon.core.streams import BlockingStream, Stream
from ceylon.errors import HandlerError
from ceylon.messages import Message
from ceylon.models.turns import Part, Reply

if TYPE_CHECKING:
    from pathlib import Path

    from ceylon.core.interior import Interior

__all__ = ["LlmAgent"]

S = TypeVar("S", Stream, BlockingStream)

_NO_LIMIT: Final = float("inf")


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
    """

    async def send_message_async(self, query: str, *, timeout: float | None = None) -> str:
        """Ask the model *query* and return its answer; on any loop, in a mesh or not.

        Args:
            query: The question; not empty.
            timeout: Seconds from now on; by default the query waits in line as long as it takes, and only the turn
                itself is bounded.

        Raises:
            ArgumentError: the query is empty or no text.
            ModelError: the model did not answer.
        """
        return (await self.complete(query, timeout=timeout)).text

    def send_message(self, query: str, *, timeout: float | None = None) -> str:
        """Ask the model *query* and wait for its answer; see `send_message_async`.

        Raises:
            BlockingCallError: this thread runs the mesh's own loop.
        """
        return self.blocking.send_message(query, timeout=timeout)

    async def complete(self, query: str, *, timeout: float | None = None) -> Reply:
        """Ask the model *query* and return the whole reply: text, usage, finish reason."""
        reply: Reply = await self.put(Prompt, query, timeout=timeout)
        return reply

    def stream(self, query: str, *, timeout: float | None = None) -> LlmStream[str]:
        """Ask the model *query* and take the answer's text as it comes."""
        return self.open_text(query, timeout=timeout)

    def parts(self, query: str, *, timeout: float | None = None) -> LlmStream[Part]:
        """Ask the model *query* and take typed parts: text, thinking, and the whole reply last."""
        return LlmStream(lambda: self.open_stream(Stream, query, timeout=timeout), as_it_is)

    def conversation(self, key: str) -> Conversation:
        """Return the conversation kept under *key*; at the address ``name/key`` in a mesh."""
        return Conversation(self, key)

    @overload
    def send_messages_async(
        self,
        queries: Iterable[str],
        *,
        concurrency: int | None = None,
        return_exceptions: Literal[False] = False,
        progress: Progress = None,
        retries: int = 2,
        resume: "str | Path | None" = None,
    ) -> Coroutine[Any, Any, list[str]]: ...
    @overload
    def send_messages_async(
        self,
        queries: Iterable[str],
        *,
        concurrency: int | None = None,
        return_exceptions: bool,
        progress: Progress = None,
        retries: int = 2,
        resume: "str | Path | None" = None,
    ) -> Coroutine[Any, Any, list[str | BaseException]]: ...
    async def send_messages_async(
        self,
        queries: Iterable[str],
        *,
        concurrency: int | None = None,
        return_exceptions: bool = False,
        progress: Progress = None,
        retries: int = 2,
        resume: "str | Path | None" = None,
    ) -> Any:
        """Ask the model all *queries* and return the answers in their order.

        Args:
            queries: The questions.
            concurrency: How many at a time; never more than the agent's own.
            return_exceptions: Put errors among the answers instead of raising the first one.
            progress: `None`: shown on a terminal; `False`: never; `True`: always; or a function of done and total.
            retries: How often a query is asked again after a fault that may pass.
            resume: A file that keeps each answer as a line of JSON; a run that was killed asks only what is missing.
        """
        batch = self.batch(queries, concurrency=concurrency, retries=retries, progress=progress, resume=resume)
        async with Pieces[Answer](lambda: self.open_batch(Stream, batch), as_it_is) as answers:
            return await batch.gather(answers, return_exceptions=return_exceptions)

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
    ) -> list[str | BaseException]: ...
    def send_messages(self, queries: Iterable[str], **options: Any) -> Any:
        """Ask the model all *queries* and wait for the answers; see `send_messages_async`."""
        return self.blocking.send_messages(queries, **options)

    def as_completed(
        self, queries: Iterable[str], *, concurrency: int | None = None, retries: int = 2, progress: Progress = False
    ) -> Pieces[Answer]:
        """Ask the model all *queries* and take each `Answer` as it comes, errors among them."""
        batch = self.batch(queries, concurrency=concurrency, retries=retries, progress=progress)
        return Pieces(lambda: self.open_batch(Stream, batch), as_it_is)

    @property
    def blocking(self) -> BlockingLlm:
        """The same verbs, blocking, for scripts and threads."""
        return BlockingLlm(self)

    # -- for conversations and the blocking face -----------------------------------------------------------------------

    def place(self) -> "tuple[Interior, str]":
        """Return the mesh and the address the agent has, in the default mesh if it has no other; from any thread."""
        home = self._home
        if home is None or (home[0].is_default and not home[0].is_open):
            with self._seating:
                if self._home is None or not self._home[0].is_open:
                    take_guest_seat(self, self._sit)
            home = self._home
        return home  # type: ignore[return-value]

    def _sit(self) -> Seat:
        """Return the seat that `move_in` has made."""
        return self._seat  # type: ignore[return-value]

    async def put(
        self, kind: type[Message[Any]], text: str | None = None, *, key: str = "", timeout: float | None = None
    ) -> Any:
        """Send a message of *kind* to the agent itself, wherever it lives, and return the reply.

        Raises:
            ModelError: as the model raised it, not wrapped.
        """
        message = kind() if text is None and kind is not Prompt else kind(check_query(text))
        await self.load_model()
        interior, address = self.place()
        source = verbs.source_in(interior)
        recipient = f"{address}/{key}" if key else address
        try:
            return await verbs.ask(interior, source, recipient, message, timeout, clock=False)
        except HandlerError as error:
            raise error.root from None

    def open_text(self, text: str, *, key: str = "", timeout: float | None = None) -> LlmStream[str]:
        """Return the stream of an answer's text."""
        return LlmStream(lambda: self.open_stream(Stream, text, key=key, timeout=timeout), as_text)

    def open_stream(self, kind: type[S], text: str, *, key: str = "", timeout: float | None = None) -> S:
        """Return a stream of the parts that answer *text*; the wait in line has no clock."""
        message = Prompt(check_query(text))
        self.resolved_model()
        interior, address = self.place()
        recipient = f"{address}/{key}" if key else address
        return verbs.stream(
            kind, interior, lambda: verbs.source_in(interior), recipient, message, timeout, idle_timeout=_NO_LIMIT
        )

    def batch(
        self,
        queries: Iterable[str],
        *,
        concurrency: int | None = None,
        retries: int = 2,
        progress: Progress = None,
        resume: "str | Path | None" = None,
    ) -> Batch:
        """Return *queries* as a batch for this agent."""
        at_once = self.concurrency if concurrency is None else concurrency
        return Batch(
            queries,
            lambda query: self.put(Prompt, query),
            concurrency=at_once,
            retries=retries,
            progress=progress,
            journal=None if resume is None else Journal(resume, self._settings.fingerprint()),
        )

    def open_batch(self, kind: type[S], batch: Batch) -> S:
        """Return the stream of a batch's answers; the batch runs on the mesh's loop."""
        batch.check()
        self.resolved_model()
        interior, _ = self.place()
        source = verbs.source_in(interior)
        return kind(
            interior.gateway, lambda sink: tasks.run_stream(interior, sink, batch.run, source), _NO_LIMIT, _NO_LIMIT
        )
