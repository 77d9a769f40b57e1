"""A session that says again what was recorded: it costs nothing, and is counted as what it has cost when it was."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from ceylon.core.budgets import NOTHING, Amount, nanodollars
from ceylon.core.spending import Spent
from ceylon.models.governor.asker import Asker
from ceylon.models.turns import Part, Reply, ReplyPart, Request

if TYPE_CHECKING:
    from ceylon.core.interior import Interior
    from ceylon.models.port import Abilities, Session

__all__ = ["RepeatedSession"]


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
        asker, usage = self._find_asker(), reply.usage
        spent = Spent(reply.requests, usage.input, usage.output, reply.cost)
        self._interior.spending.add(asker.agent, asker.root, spent)
        if asker.account is not None:
            tokens = usage.input + usage.output
            asker.account.settle(NOTHING, Amount(nanodollars(reply.cost) or 0, tokens, reply.requests))
