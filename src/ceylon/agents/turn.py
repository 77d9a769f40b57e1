"""One turn of an agent: requests to its model, and calls in between, until the model has nothing more to call."""

from collections.abc import Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import msgspec

from ceylon.agents.callees import Emit, Scene, Tally
from ceylon.agents.calling import CallCounts, Caller, with_ids
from ceylon.agents.outputs import Output, WrongOutputError
from ceylon.agents.toolbox import Toolbox
from ceylon.errors import IncompleteStreamError, MaxTurnsError, ModelError, OutputError
from ceylon.models.turns import Reply, ReplyPart, Request, Turn, UsagePart

if TYPE_CHECKING:
    from ceylon.core.context import Context
    from ceylon.models.port import Session

__all__ = ["Plan", "TurnRun"]


class Plan(msgspec.Struct, frozen=True):
    """What a turn is to go by: the request without its turns, what may be called, and what has to come out."""

    request: Request
    toolbox: Toolbox
    output: Output | None
    max_turns: int
    model: str


class TurnRun:
    """One turn under way."""

    def __init__(
        self, plan: Plan, session: "Session", context: "Context", counts: CallCounts, emit: Emit | None
    ) -> None:
        self._plan, self._session, self._emit = plan, session, emit
        self._tally = Tally()
        self._retries = context.interior.settings.output_retries
        toolbox = plan.toolbox if plan.request.tool_choice != "none" else Toolbox(())
        self._caller = Caller(toolbox, Scene(context, emit, self._tally), counts)

    async def run(self, history: Sequence[Turn], question: Turn) -> Reply[Any]:
        """Return the model's answer to *question*, and all that it took.

        Raises:
            MaxTurnsError: it wants calls without end.
            OutputError: it has answered, and never with a value of the type.
        """
        added: list[Turn] = []
        try:
            return await self._run([*history, question], added)
        except ModelError as error:
            error.acted = bool(added)
            raise

    async def _run(self, turns: list[Turn], added: list[Turn]) -> Reply[Any]:
        """Go on with *turns* to the answer; *added* has what has been called on the way."""
        wrong, reply = 0, Reply[Any](text="")
        for number in range(self._plan.max_turns):
            reply = await self._ask(self._request(turns, is_first=not number))
            self._tally.add(reply)
            if reply.calls:
                reply = _with_own_ids(reply)
                pair = (reply.turn(), Turn("tool", results=await self._caller.answer(reply)))
                turns += pair
                added += pair
                continue
            try:
                return self._whole(reply, added)
            except WrongOutputError as error:
                wrong += 1
                if wrong > self._retries:
                    raise self._no_output(reply, str(error), wrong) from error
                turns += (reply.turn(), Turn("user", _correction(reply, str(error))))
        raise MaxTurnsError(self._plan.model, self._plan.max_turns, reply.text)

    def _request(self, turns: Sequence[Turn], *, is_first: bool) -> Request:
        """Return the request that continues *turns*; a choice that forces a call holds for the first one only."""
        request = self._plan.request
        choice = request.tool_choice if is_first or request.tool_choice == "none" else "auto"
        return msgspec.structs.replace(request, turns=(*request.turns, *turns), tool_choice=choice)

    async def _ask(self, request: Request) -> Reply[Any]:
        """Send one request; its parts go to whoever takes a stream."""
        emit, reply = self._emit, None
        if emit is None:
            return await self._session.complete(request)
        async with aclosing(self._session.stream(request)) as parts:
            async for part in parts:
                if isinstance(part, ReplyPart):
                    reply = part.reply
                else:
                    await emit(part)
        if reply is None:
            raise IncompleteStreamError(self._plan.model, "")
        await emit(UsagePart(reply.usage, reply.cost, reply.model))
        return reply

    def _whole(self, reply: Reply[Any], added: Sequence[Turn]) -> Reply[Any]:
        """Return the last *reply* as the answer of the whole turn.

        Raises:
            WrongOutputError: it is no value of the type that is wanted.
        """
        output = self._plan.output
        return msgspec.structs.replace(
            reply,
            output=None if output is None else output.read(reply.text),
            usage=self._tally.usage,
            cost=self._tally.cost,
            requests=self._tally.requests,
            turns=(*added, reply.turn()),
        )

    def _no_output(self, reply: Reply[Any], reason: str, tries: int) -> OutputError:
        name = "" if self._plan.output is None else self._plan.output.name
        return OutputError(self._plan.model, name, reason, reply.text, tries=tries)


def _with_own_ids(reply: Reply[Any]) -> Reply[Any]:
    """Return *reply* with calls that can be told apart; what the provider wants back unchanged may name the old ids."""
    calls = with_ids(reply.calls)
    if calls == reply.calls:
        return reply
    return msgspec.structs.replace(reply, calls=calls, native=None)


def _correction(reply: Reply[Any], reason: str) -> str:
    """Return what a model is told whose answer is no value of the type."""
    if reply.finish == "length":
        reason = f"it was cut off by its length limit ({reason})"
    return f"That answer cannot be used: {reason}. Answer again, with JSON of the schema and nothing else."
