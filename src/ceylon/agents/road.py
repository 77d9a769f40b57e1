"""The way to an `LlmAgent`, wherever it lives: every verb goes along it, from every caller.

Whoever has a road holds the agent, so that it does not leave the default mesh in the middle.
"""

import functools
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ceylon.agents.answering import AnsweringAgent, check_query
from ceylon.agents.guest import join, join_blocking
from ceylon.agents.llm_settings import check_timeout, has_items
from ceylon.agents.outputs import output_of
from ceylon.agents.prompts import Prompt
from ceylon.core import tasks, verbs
from ceylon.core.streams import BlockingStream, Stream
from ceylon.core.terms import Terms, terms_of
from ceylon.errors import ArgumentError, HandlerError, MeshClosedError
from ceylon.messages import Message
from ceylon.models.turns import Attachment, Reply

if TYPE_CHECKING:
    from ceylon.agents.batch import Batch
    from ceylon.agents.seat import Seat
    from ceylon.core.interior import Interior

__all__ = ["Road"]

S = TypeVar("S", Stream, BlockingStream)

_NO_LIMIT: Final = float("inf")


class Road:
    """Leads to one agent; errors come as the model raised them, where the result is awaited."""

    def __init__(self, agent: AnsweringAgent) -> None:
        self.agent = agent

    # -- for tasks of any loop -----------------------------------------------------------------------------------------

    async def query(self, text: str, *, key: str = "", timeout: float | None = None, **wishes: Any) -> Reply[Any]:
        """Ask *text*, in the conversation *key* or by itself; the wait in line has no clock.

        *wishes* are further fields of a `Prompt`, and the budget.
        """
        return await self._query(terms_of(wishes.pop("budget", None), None), text, key=key, timeout=timeout, **wishes)

    async def _query(
        self, terms: Terms | None, text: str, *, key: str = "", timeout: float | None = None, **wishes: Any
    ) -> Reply[Any]:
        prompt = prompt_of(text, wishes)
        setup = self.agent.__ceylon_llm_setup__
        if setup.model_at_hand() is None:
            await setup.load()
        reply: Reply[Any] = await self.put(prompt, key=key, timeout=timeout, terms=terms)
        return reply

    async def put(
        self, message: Message[Any], *, key: str = "", timeout: float | None = None, terms: Terms | None = None
    ) -> Any:
        """Send *message* to the agent and return the reply."""
        if timeout is not None:
            check_timeout(timeout)
        interior, address = self.agent.__ceylon_home__ or await self._find_home()
        source = verbs.source_in(interior)
        recipient = f"{address}/{key}" if key else address
        try:
            return await verbs.ask(interior, source, recipient, message, timeout, clock=False, terms=terms)
        except HandlerError as error:
            root = error.root
        raise root from root.__cause__

    async def stream(self, text: str, *, key: str = "", timeout: float | None = None, **wishes: Any) -> Stream:
        """Open the stream of the parts that answer *text*."""
        terms = terms_of(wishes.pop("budget", None), None)
        prompt = self._checked(text, timeout, wishes)
        await self.agent.__ceylon_llm_setup__.load()
        return _stream(Stream, await self._find_home(), prompt, key, timeout, terms)

    async def batch(self, batch: "Batch") -> Stream:
        """Open the stream of the answers of *batch*, which runs on the mesh's loop."""
        await self.agent.__ceylon_llm_setup__.load()
        interior, _ = await self._find_home()
        return self._batch(Stream, interior, batch)

    async def _find_home(self) -> "tuple[Interior, str]":
        """Return the mesh the agent is in and its address there; without another, the default one."""
        while (home := self.agent.__ceylon_home__) is None:
            await join(self.agent)
        return home

    # -- for threads ---------------------------------------------------------------------------------------------------

    def block(self, verb: str, function: Callable[[], Awaitable[Any]], instead: str) -> Any:
        """Run the async *function* on the mesh's loop and wait for what it returns."""
        interior, _ = self._find_home_blocking()
        operation = functools.partial(tasks.run, interior, function, verbs.source_in(interior))
        return interior.gateway.block(verb, operation, instead).get()

    def blocking_stream(
        self, text: str, *, key: str = "", timeout: float | None = None, **wishes: Any
    ) -> BlockingStream:
        """Open the stream of the parts that answer *text*."""
        terms = terms_of(wishes.pop("budget", None), None)
        prompt = self._checked(text, timeout, wishes)
        self.agent.__ceylon_llm_setup__.model()
        return _stream(BlockingStream, self._find_home_blocking(), prompt, key, timeout, terms)

    def blocking_batch(self, batch: "Batch") -> BlockingStream:
        """Open the stream of the answers of *batch*, which runs on the mesh's loop."""
        self.agent.__ceylon_llm_setup__.model()
        interior, _ = self._find_home_blocking()
        return self._batch(BlockingStream, interior, batch)

    def _find_home_blocking(self) -> "tuple[Interior, str]":
        while (home := self.agent.__ceylon_home__) is None:
            join_blocking(self.agent)
        return home

    # -- for both ------------------------------------------------------------------------------------------------------

    def _checked(self, text: str, timeout: float | None, wishes: Mapping[str, Any]) -> Prompt:
        if timeout is not None:
            check_timeout(timeout)
        return prompt_of(text, wishes)

    def _seat(self) -> "Seat":
        seat = self.agent.__ceylon_seat__
        if seat is None:
            nowhere = "no mesh"
            raise MeshClosedError(nowhere, f"agent {self.agent.name!r} has left it")
        return seat

    def _batch(self, kind: type[S], interior: "Interior", batch: "Batch") -> S:
        batch.check()
        ask = functools.partial(self._query, batch.terms, tries=batch.tries)
        run = functools.partial(batch.run, interior, self._seat(), ask)
        source = verbs.source_in(interior)
        return kind(interior.gateway, lambda sink: tasks.run_stream(interior, sink, run, source), _NO_LIMIT, _NO_LIMIT)


def prompt_of(text: str, wishes: Mapping[str, Any]) -> Prompt:
    """Return the message that asks *text*; what can be known to be wrong is found here, before it is sent.

    Raises:
        ArgumentError: the text is empty, or an attachment is none.
        DefinitionError: the output has no JSON schema.
    """
    attachments: Any = wishes.get("attachments", ())
    if attachments != ():
        attachments = tuple(attachments) if has_items(attachments) else (attachments,)
        wishes = {**wishes, "attachments": attachments}
    prompt = Prompt(check_query(text), **wishes)
    if prompt.output is not None:
        output_of(prompt.output)
    for each in attachments:
        if not isinstance(each, Attachment):
            message = f"attachments={each!r} cannot be; it takes Attachment(media_type, content)"
            raise ArgumentError(message)
    return prompt


def _stream(
    kind: type[S],
    home: "tuple[Interior, str]",
    message: Prompt,
    key: str,
    timeout: float | None,
    terms: Terms | None,
) -> S:
    """Return a stream of the parts that answer *message*; the wait in line has no clock."""
    interior, address = home
    source = verbs.source_in(interior)
    recipient = f"{address}/{key}" if key else address
    patience = interior.settings.model_first_part_timeout  # for a model that does not watch its own time
    return verbs.stream(kind, interior, lambda: source, recipient, message, timeout, patience, _NO_LIMIT, terms)
