"""A session behind the governor of its model: admitted, tried again, paid for; the same whole and in parts."""

import math
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import anyio
import msgspec

from ceylon.errors import ModelError
from ceylon.models.governor.asker import Asker
from ceylon.models.governor.passage import Passage
from ceylon.models.turns import Part, Reply, ReplyPart, Request, TextPart, ThinkingPart

if TYPE_CHECKING:
    from ceylon.core.interior import Interior
    from ceylon.models.governor.governor import Governor
    from ceylon.models.port import Abilities, Session
    from ceylon.models.prices import Price

__all__ = ["GovernedSession"]


class GovernedSession:
    """Passes every request on to *session*, when it may go and as often as it takes."""

    def __init__(
        self,
        session: "Session",
        governor: "Governor",
        interior: "Interior",
        find_asker: Callable[[], Asker],
        price: "Price | None" = None,
    ) -> None:
        self._session, self._governor, self._interior = session, governor, interior
        self._find_asker, self._price = find_asker, price

    def __repr__(self) -> str:
        return f"<GovernedSession {self._governor!r}>"

    @property
    def abilities(self) -> "Abilities":
        """Those of the session inside."""
        return self._session.abilities

    async def complete(self, request: Request) -> Reply:
        """Return the model's whole answer, with its cost.

        Raises:
            ModelError: by the last try.
            BudgetError: it might cost more than the run can still spend.
        """
        with self._passage() as passage:
            request = await passage.open(request)
            while True:
                await passage.enter()
                try:
                    reply = await self._in_time(request, passage)
                except ModelError as error:
                    if not await passage.may_try_again(error):
                        raise
                else:
                    return self._paid(reply, passage)

    async def stream(self, request: Request) -> AsyncGenerator[Part, None]:
        """Yield the answer as it comes; it is tried again only while nothing has come."""
        with self._passage() as passage:
            passage.seen = ""
            request = await passage.open(request)
            while True:
                await passage.enter()
                try:
                    async with aclosing(self._session.stream(request)) as parts:
                        async for part in parts:
                            yield self._take(part, passage)
                except ModelError as error:
                    if not await passage.may_try_again(error):
                        raise
                else:
                    return

    async def aclose(self) -> None:
        """Close the session inside."""
        await self._session.aclose()

    def _passage(self) -> Passage:
        return Passage(self._governor, self._interior, self._find_asker(), self._price)

    async def _in_time(self, request: Request, passage: Passage) -> Reply:
        """Return the answer, unless the run's time is over before."""
        seconds = passage.seconds_left
        if seconds == math.inf:
            return await self._session.complete(request)
        with anyio.move_on_after(seconds):
            return await self._session.complete(request)
        raise passage.time_is_over()  # a timer may be a hair early, so the clock is not asked

    def _take(self, part: Part, passage: Passage) -> Part:
        """Take note of *part*; the last one gets the cost."""
        passage.check_time()
        if isinstance(part, ReplyPart):
            return ReplyPart(self._paid(part.reply, passage))
        passage.see(part.text if isinstance(part, TextPart | ThinkingPart) else "")
        return part

    def _paid(self, reply: Reply[Any], passage: Passage) -> Reply[Any]:
        """Settle the request and return *reply* with what it has cost."""
        cost = passage.answered(reply)
        return reply if cost is None else msgspec.structs.replace(reply, cost=cost)
