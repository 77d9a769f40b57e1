"""Sessions that say again what was recorded: that costs nothing, and is counted as what it has cost when it was."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from ceylon.core.budgets import NOTHING, Amount, nanodollars
from ceylon.core.spending import Spent
from ceylon.models.embedding import CountedEmbedding, Taken
from ceylon.models.governor.asker import Asker
from ceylon.models.governor.embedding import as_request
from ceylon.models.governor.estimates import tokens_in
from ceylon.models.turns import Part, Reply, ReplyPart, Request, Usage

if TYPE_CHECKING:
    from ceylon.core.interior import Interior
    from ceylon.models.embedding import EmbeddingSession
    from ceylon.models.port import Abilities, Session

__all__ = ["RepeatedEmbedding", "RepeatedSession"]


class RepeatedSession:
    """Counts every answer of *session*, with its recorded usage and cost, for whoever asked; nobody waits here."""

    def __init__(self, session: "Session", interior: "Interior", find_asker: Callable[[], Asker]) -> None:
        self._session, self._interior, self._find_asker = session, interior, find_asker

    @property
    def abilities(self) -> "Abilities":
        """Those of the session inside."""
        return self._session.abilities

    async def complete(self, request: Request) -> Reply:
        """Return the recorded answer."""
        reply = await self._session.complete(request)
        self._count(reply)
        return reply

    async def stream(self, request: Request) -> AsyncGenerator[Part, None]:
        """Yield the recorded parts."""
        async with aclosing(self._session.stream(request)) as parts:
            async for part in parts:
                if isinstance(part, ReplyPart):
                    self._count(part.reply)
                yield part

    async def aclose(self) -> None:
        """Close the session inside."""
        await self._session.aclose()

    def _count(self, reply: Reply[Any]) -> None:
        usage = reply.usage
        spent = Spent(reply.requests, usage.input, usage.output, reply.cost)
        _add(self._interior, self._find_asker(), spent, usage.input + usage.output)


class RepeatedEmbedding:
    """Counts every recorded request for vectors that *session* repeats; nobody waits here either."""

    def __init__(self, session: "EmbeddingSession", interior: "Interior", find_asker: Callable[[], Asker]) -> None:
        self._session, self._interior, self._find_asker = session, interior, find_asker

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Return the recorded vectors."""
        if not isinstance(self._session, CountedEmbedding):
            return await self._session.embed(texts)
        taken: list[Taken] = []
        try:
            return await self._session.embed_counted(texts, taken)
        finally:  # those that were answered before one failed are paid for as well
            self._count(texts, taken)

    async def aclose(self) -> None:
        """Close the session inside."""
        await self._session.aclose()

    def _count(self, texts: Sequence[str], taken: list[Taken]) -> None:
        first = 0
        for each in taken:
            some, usage = texts[first : first + each.texts], each.usage
            first += each.texts
            tokens = (
                usage.input + usage.output if usage != Usage() else tokens_in(as_request(some))
            )  # as a purse has it
            _add(self._interior, self._find_asker(), Spent(1, usage.input, usage.output, each.cost), tokens)


def _add(interior: "Interior", asker: Asker, spent: Spent, tokens: int) -> None:
    """Count what was *spent* for whoever asked, and draw it and the *tokens* from the budget."""
    interior.spending.add(asker.agent, asker.root, spent)
    if asker.account is not None:
        asker.account.settle(NOTHING, Amount(nanodollars(spent.cost) or 0, tokens, spent.requests))
