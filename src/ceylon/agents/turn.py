"""One turn of an agent: requests to its model, and calls in between, until the model has nothing more to call."""

from collections.abc import Collection, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import anyio.lowlevel
import msgspec

from ceylon.agents.called import CallCounts, Calls
from ceylon.agents.callees import Scene, Tally
from ceylon.agents.calling import Caller
from ceylon.agents.outputs import Output, WrongOutputError
from ceylon.agents.prompts import TakenOver
from ceylon.agents.steering import Turning
from ceylon.agents.toolbox import NO_TOOLS, Toolbox
from ceylon.errors import IncompleteStreamError, MaxTurnsError, ModelError, OutputError
from ceylon.models.turns import Reply, ReplyPart, Request, Turn, UsagePart

if TYPE_CHECKING:
    from ceylon.agents.callees import Emit
    from ceylon.models.port import Session

__all__ = ["Plan", "TurnRun"]


class Plan(msgspec.Struct, frozen=True):
    """What a turn is to go by: the request without its turns, what may be called, and what has to come out."""

    request: Request
    toolbox: Toolbox
    output: Output | None
    max_turns: int
    model: str
    handoffs: int = 0


class TurnRun:
    """One turn under way."""

    _caller: Caller | None = None  # from the first call on
    _calls: Calls | None = None  # under way

    def __init__(self, plan: Plan, session: "Session", turning: Turning, counts: CallCounts) -> None:
        self._plan, self._session, self._turning, self._emit = plan, session, turning, turning.emit
        self._counts, self._tally = counts, Tally()
        self._added: list[Turn] = []

    async def run(self, conversation: Sequence[Turn]) -> TakenOver:
        """Return the model's answer to *conversation*, and all that it took; or to whom it hands that over.

        Raises:
            MaxTurnsError: it wants calls without end.
            OutputError: it has answered, and never with a value of the type.
        """
        try:
            return await self._run([*conversation])
        except ModelError as error:
            error.acted = bool(self._added)
            raise

    def broken_off(self) -> tuple[Turn, ...]:
        """Return what a turn that was broken off adds to the conversation, its calls paired with results."""
        return (*self._added, *(self._calls.turns() if self._calls is not None else ()))

    async def _run(self, turns: list[Turn]) -> TakenOver:
        """Go on with *turns* to the answer."""
        wrong, text = 0, ""
        for number in range(self._plan.max_turns):
            request = self._request(turns, is_first=not number)
            reply = await (self._session.complete(request) if self._emit is None else self._stream(request, self._emit))
            self._tally.add(reply)
            if reply.calls:
                new = await self._call(reply, {call.id for turn in turns for call in turn.calls})
                if self._tally.transfer is not None:
                    return TakenOver(self._sum(reply, new=()), self._tally.transfer)
                turns += new
                text = reply.text
                continue
            try:
                return TakenOver(self._whole(reply))
            except WrongOutputError as error:
                wrong, text = wrong + 1, reply.text
                if wrong > self._turning.context.interior.settings.output_retries:
                    raise self._no_output(reply, str(error), wrong) from error
                turns += (reply.turn(), Turn("user", _correction(reply, str(error))))
        raise MaxTurnsError(self._plan.model, self._plan.max_turns, text)

    async def _call(self, reply: Reply[Any], taken: Collection[str]) -> tuple[Turn, ...]:
        """Run the calls of *reply*; return what that adds to the conversation, with what arrived to join it."""
        self._calls = calls = Calls(reply, taken)
        self._turning.written_down()
        await self._have_caller().answer(calls)
        await anyio.lowlevel.checkpoint_if_cancelled()  # trio leaves a group of tasks without looking
        joined = self._turning.absorb() if self._tally.transfer is None else ()
        new = (*calls.turns(), *joined)
        self._added += new
        self._calls = None
        return new

    def _have_caller(self) -> Caller:
        """Return what runs the calls of the turn, all of them."""
        if self._caller is None:
            plan = self._plan
            toolbox = plan.toolbox if plan.request.tool_choice != "none" else NO_TOOLS
            scene = Scene(self._turning.context, self._emit, self._tally, plan.handoffs)
            self._caller = Caller(toolbox, scene, self._counts)
        return self._caller

    def _request(self, turns: Sequence[Turn], *, is_first: bool) -> Request:
        """Return the request that continues *turns*; a choice that forces a call holds for the first one only."""
        request = self._plan.request
        choice = request.tool_choice if is_first or request.tool_choice == "none" else "auto"
        return msgspec.structs.replace(request, turns=(*request.turns, *turns), tool_choice=choice)

    async def _stream(self, request: Request, emit: "Emit") -> Reply[Any]:
        """Send one request; its parts go to whoever takes a stream."""
        reply = None
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

    def _whole(self, reply: Reply[Any]) -> Reply[Any]:
        """Return the last *reply* as the answer of the whole turn.

        Raises:
            WrongOutputError: it is no value of the type that is wanted.
        """
        output = self._plan.output
        value = None if output is None else output.read(reply.text)
        return self._sum(reply, (reply.turn(),), value)

    def _sum(self, reply: Reply[Any], new: tuple[Turn, ...], output: Any = None) -> Reply[Any]:
        """Return *reply* as that of the turn, which also adds what is *new*."""
        return self._tally.onto(reply, output=output, turns=(*self._added, *new))

    def _no_output(self, reply: Reply[Any], reason: str, tries: int) -> OutputError:
        name = "" if self._plan.output is None else self._plan.output.name
        return OutputError(self._plan.model, name, reason, reply.text, tries=tries)


def _correction(reply: Reply[Any], reason: str) -> str:
    """Return what a model is told whose answer is no value of the type."""
    if reply.finish == "length":
        reason = f"it was cut off by its length limit ({reason})"
    return f"That answer cannot be used: {reason}. Answer again, with JSON of the schema and nothing else."
