"""A session behind the governor of its model: admitted, tried again, paid for; the same whole and in parts."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import msgspec

from ceylon.errors import ModelError
from ceylon.models.turns import Part, Reply, ReplyPart, Request

if TYPE_CHECKING:
    from ceylon.models.governor.asker import Asker
    from ceylon.models.governor.passage import Passage
    from ceylon.models.governor.passages import Passages
    from ceylon.models.port import Abilities, Session

__all__ = ["GovernedSession"]


class GovernedSession:
    """Passes every request on to *session*, when it may go and as often as it takes."""

    def __init__(self, session: "Session", passages: "Passages") -> None:
        self._session, self._passages = session, passages

    def __repr__(self) -> str:
        return f"<GovernedSession {self._passages.governor!r}>"

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
        passages = self._passages
        asker = passages.find_asker()
        place = passages.go_nowait(asker, request)
        if place is None:
            return await self._complete(request, asker)
        try:
            reply = await self._session.complete(request)
        except ModelError as error:
            passage = passages.of(asker)
            passage.take_over(request, place)
            if not await passage.may_try_again(error):
                raise
        except BaseException:
            passages.governor.left(place)
            raise
        else:
            cost = passages.answered(asker, place, reply)
            return reply if cost is None else msgspec.structs.replace(reply, cost=cost)
        with passage:
            return self._paid(await passage.make(lambda: self._session.complete(request)), passage)

    async def _complete(self, request: Request, asker: "Asker") -> Reply:
        """Return the answer to a request that may have to wait, or that a budget bounds."""
        with self._passages.of(asker) as passage:
            opened = await passage.open(request)
            reply = await passage.make(lambda: self._session.complete(opened))
            return self._paid(reply, passage)

    async def stream(self, request: Request) -> AsyncGenerator[Part, None]:
        """Yield the answer as it comes; it is tried again only while nothing has come."""
        with self._passages(has_parts=True) as passage:
            request = await passage.open(request)
            while True:
                await passage.enter()
                try:
                    async with aclosing(self._session.stream(request)) as parts:
                        async for part in parts:
                            if isinstance(part, ReplyPart):
                                passage.check_time()
                                yield ReplyPart(self._paid(part.reply, passage))
                            else:
                                passage.see(part)
                                yield part
                except ModelError as error:
                    if not await passage.may_try_again(error):
                        raise
                else:
                    return

    async def aclose(self) -> None:
        """Close the session inside."""
        await self._session.aclose()

    def _paid(self, reply: Reply[Any], passage: "Passage") -> Reply[Any]:
        """Settle the request and return *reply* with what it has cost."""
        cost = passage.answered(reply)
        return reply if cost is None else msgspec.structs.replace(reply, cost=cost)
