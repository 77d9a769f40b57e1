"""Sessions that take tools and output schemas whatever their server can do: what it cannot is done for it here.

* It takes no tools: a schema stands for them, and what the model writes is read back as a call.
* It cannot be made to call: the same, for the requests that want it.
* It keeps to no schema: the answer is the arguments of a tool that it is made to call, or else it is told to.
* It takes no tools and schema at once: it calls first, and gives its last answer once more, by the schema.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Final

import anyio
import msgspec

from ceylon.models.forms import AskedToCall, Form, OutputByPrompt, OutputByTool, Steps
from ceylon.models.port import Abilities, Session
from ceylon.models.react import ReAct, ReActForm
from ceylon.models.schema_steps import in_words
from ceylon.models.turns import Part, Reply, ReplyPart, Request, TextPart, ThinkingPart, Turn, cost_of_both

__all__ = ["AdaptedSession", "adapt", "by_schema", "reacting"]

_ONCE_MORE: Final = "Give this answer once more, as JSON."


def adapt(session: Session) -> "AdaptedSession":
    """Return *session* so that it takes every request; what it can take by itself goes straight to it."""
    return session if isinstance(session, AdaptedSession) else AdaptedSession(session)


def by_schema(session: Session) -> Session:
    """Return *session* with a schema in place of its tools, and its calls and results in words."""
    return _Formed(session, Steps)


def reacting(session: Session, options: ReAct) -> Session:
    """Return *session* with thoughts, actions and observations in plain words in place of its tools."""

    def form(request: Request) -> Form:
        takes_stop = session.abilities.stop
        return ReActForm(request, options if takes_stop else msgspec.structs.replace(options, stop=()))

    return _Formed(session, form)


class AdaptedSession:
    """Wraps a session by its abilities, which it asks for with each request that needs some."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def abilities(self) -> Abilities:
        """All there are, but for what nothing can stand for."""
        return Abilities(stop=self._session.abilities.stop)

    async def complete(self, request: Request) -> Reply:
        """Return the whole answer."""
        session, request = self._road(request)
        return await session.complete(request)

    def stream(self, request: Request) -> AsyncGenerator[Part, None]:
        """Yield the answer as it comes: no hop of its own, where there is nothing to do."""
        session, request = self._road(request)
        return session.stream(request)

    async def aclose(self) -> None:
        """Close the session inside."""
        await self._session.aclose()

    def _road(self, request: Request) -> tuple[Session, Request]:
        """Return the session that takes *request*, and the request as it takes it."""
        has_calls = False
        for turn in request.turns:  # a loop, because every request pays for it
            if turn.calls or turn.results:
                has_calls = True
                break
        if not request.tools and request.output is None and not has_calls:
            return self._session, request
        abilities = self._session.abilities
        if request.tool_choice == "none" and not _takes_none(abilities, request):
            request = msgspec.structs.replace(request, tools=(), tool_choice="auto")
        if has_calls and not abilities.tools and not request.tools:
            request = msgspec.structs.replace(request, turns=in_words(request.turns))
        return _road(self._session, abilities, request), request


class _Formed:
    """Sends requests in another form, and reads the answers back."""

    def __init__(self, session: Session, form: Callable[[Request], Form]) -> None:
        self._session, self._form = session, form

    @property
    def abilities(self) -> Abilities:
        """Those of the session inside."""
        return self._session.abilities

    async def complete(self, request: Request) -> Reply:
        """Return the whole answer, read as its stream would be."""
        form = self._form(request)
        reply = await self._session.complete(form.request)
        for part in (ThinkingPart(reply.thinking), TextPart(reply.text)):
            form.take(part)
        return form.end(reply)[1]

    async def stream(self, request: Request) -> AsyncGenerator[Part, None]:
        """Yield the answer as it comes."""
        form = self._form(request)
        async with aclosing(self._session.stream(form.request)) as parts:
            async for part in parts:
                if not isinstance(part, ReplyPart):
                    for each in form.take(part):
                        yield each
                    continue
                rest, reply = form.end(part.reply)
                for each in (*rest, ReplyPart(reply)):
                    yield each

    async def aclose(self) -> None:
        """Nothing to give back: the session inside is closed by its owner."""


class _CallsFirst:
    """Asks without the schema while the model calls, and for its last answer with it, without the tools."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def abilities(self) -> Abilities:
        """Those of the session inside."""
        return self._session.abilities

    async def complete(self, request: Request) -> Reply:
        """Return calls, or the answer by the schema."""
        since = anyio.current_time()
        first = await self._session.complete(msgspec.structs.replace(request, output=None))
        if _is_last(first):
            return first
        return _both(first, await self._session.complete(_again(request, first, since)))

    async def stream(self, request: Request) -> AsyncGenerator[Part, None]:
        """Yield calls, or the answer by the schema; the words before it are not the answer."""
        since = anyio.current_time()
        first: Reply | None = None
        async with aclosing(self._session.stream(msgspec.structs.replace(request, output=None))) as parts:
            async for part in parts:
                if isinstance(part, ReplyPart):
                    first = part.reply
                elif not isinstance(part, TextPart):
                    yield part
        if first is None:
            return  # a session that breaks its promise; whoever reads this finds no last part either
        if _is_last(first):
            if first.text:
                yield TextPart(first.text)
            yield ReplyPart(first)
            return
        async with aclosing(self._session.stream(_again(request, first, since))) as parts:
            async for part in parts:
                yield ReplyPart(_both(first, part.reply)) if isinstance(part, ReplyPart) else part

    async def aclose(self) -> None:
        """Nothing to give back: the session inside is closed by its owner."""


def _takes_none(abilities: Abilities, request: Request) -> bool:
    """Return whether tools may go along that are not to be called."""
    is_too_much = request.output is not None and abilities.output == "schema" and not abilities.output_with_tools
    return abilities.tools and abilities.tool_choice and not is_too_much


def _road(session: Session, abilities: Abilities, request: Request) -> Session:
    """Return *session* in as many wrappings as *request* needs."""
    is_forced = bool(request.tools) and request.tool_choice not in {"auto", "none"} and not abilities.tool_choice
    in_steps = bool(request.tools) and (not abilities.tools or (is_forced and abilities.output == "schema"))
    road = session
    if in_steps or request.output is not None:
        if abilities.output == "tool" and abilities.tools and abilities.tool_choice:
            road = _Formed(road, OutputByTool)
        elif abilities.output != "schema":
            road = _Formed(road, OutputByPrompt)
        elif request.tools and not in_steps and not abilities.output_with_tools:
            return _CallsFirst(road)
    if in_steps:
        return _Formed(road, Steps)
    return _Formed(road, AskedToCall) if is_forced else road


def _is_last(reply: Reply) -> bool:
    """Return whether *reply* is not to be asked for again: it calls, or the provider has stopped it."""
    return bool(reply.calls) or reply.finish not in {"stop", "length"}


def _again(request: Request, first: Reply, since: float) -> Request:
    """Return the question for the answer by the schema, within what is left of the time."""
    turns = request.turns
    if first.text:
        turns = (*turns, first.turn(), Turn("user", _ONCE_MORE))
    left = None if request.timeout is None else max(request.timeout - (anyio.current_time() - since), 0.0)
    return msgspec.structs.replace(request, turns=turns, tools=(), tool_choice="auto", timeout=left)


def _both(first: Reply, second: Reply) -> Reply:
    """Return the second answer, with what both took."""
    return msgspec.structs.replace(
        second,
        thinking=first.thinking + second.thinking,
        usage=first.usage + second.usage,
        cost=cost_of_both(first.cost, second.cost),
        requests=first.requests + second.requests,
        native=None,
    )
