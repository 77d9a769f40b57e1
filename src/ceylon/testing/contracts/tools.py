"""What a model promises about tools and output schemas, and how the parts of its stream are held against its reply."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import anyio
import msgspec

from ceylon.models.port import Session
from ceylon.models.turns import (
    OutputSchema,
    Part,
    Reply,
    ReplyPart,
    Request,
    TextPart,
    ThinkingPart,
    Tool,
    ToolCallPart,
    ToolResult,
    Turn,
)
from ceylon.testing.contracts.promises import require, require_type

__all__ = ["ToolTrial", "read_stream"]

_SECONDS: Final = 60.0
_MOST_TOKENS: Final = 96  # so that a model that rambles ends
_QUESTION: Final = Turn("user", "How many articles with the sku A7 are in stock?")
_TOOL: Final = Tool(
    "stock",
    "Says how many articles there are.",
    {
        "type": "object",
        "properties": {"sku": {"type": "string", "maxLength": 12}, "is_urgent": {"type": "boolean"}},
        "required": ["sku", "is_urgent"],
        "additionalProperties": False,
    },
)
_OUTPUT: Final = OutputSchema(
    "stock_report",
    {
        "type": "object",
        "properties": {"kind": {"type": "string", "enum": ["few", "many"]}, "is_sure": {"type": "boolean"}},
        "required": ["kind", "is_sure"],
        "additionalProperties": False,
    },
)


class _Arguments(msgspec.Struct, forbid_unknown_fields=True):
    sku: str
    is_urgent: bool


class _Report(msgspec.Struct, forbid_unknown_fields=True):
    kind: str
    is_sure: bool


class ToolTrial:
    """One model, a tool and a schema; *open_session* makes a session with it."""

    def __init__(self, open_session: Callable[[], Awaitable[Session]], *, is_repeatable: bool) -> None:
        self._open, self._is_repeatable = open_session, is_repeatable

    async def it_calls_what_it_must(self) -> None:
        """Look for a call with an id, the tool's name, and arguments of its schema."""
        session = await self._open()
        reply = await _complete(session, _calling(session))
        _check_calls(reply)

    async def a_stream_has_the_calls_of_its_reply(self) -> None:
        """Look for calls as parts, each whole, and the same as without a stream."""
        session = await self._open()
        request = _calling(session)
        with anyio.fail_after(_SECONDS):
            reply, text = await read_stream(session, request, TextPart, ThinkingPart, ToolCallPart)
        _check_calls(reply)
        require(text == reply.text, f"the parts' text is {text!r}, the reply's {reply.text!r}")
        if not self._is_repeatable:
            return
        whole = await _complete(session, request)
        require(_wanted(whole) == _wanted(reply), f"whole it calls {_wanted(whole)}, streamed {_wanted(reply)}")
        require(whole.usage == reply.usage, f"whole the calls take {whole.usage!r}, streamed {reply.usage!r}")

    async def it_takes_results(self) -> None:
        """Send a turn with calls and one with their results before the next answer."""
        session = await self._open()
        called = await _complete(session, _calling(session))
        _check_calls(called)
        results = tuple(ToolResult(call.id, call.name, "3") for call in called.calls)
        turns = (_QUESTION, called.turn(), Turn("tool", results=results))
        reply = await _complete(session, _request(turns, tools=(_TOOL,)))
        require(reply.text or reply.calls, "after the results it says nothing and calls nothing")
        again = {call.id for call in reply.calls} & {call.id for call in called.calls}
        require(not again, f"calls of two answers have the same ids: {sorted(again)}")

    async def its_output_keeps_to_the_schema(self) -> None:
        """Read the text as JSON of the schema, streamed or not."""
        session = await self._open()
        request = _request((_QUESTION,), output=_OUTPUT)
        whole = await _complete(session, request)
        _read(whole.text, _Report, "the answer")
        with anyio.fail_after(_SECONDS):
            streamed, text = await read_stream(session, request, TextPart, ThinkingPart)
        _read(text, _Report, "the streamed answer")
        require(text == streamed.text, f"the parts' text is {text!r}, the reply's {streamed.text!r}")

    async def it_answers_by_a_schema_although_it_has_tools(self) -> None:
        """Give it tools and a schema: it calls, or its text is JSON of the schema; a session that cannot says so."""
        session = await self._open()
        if not session.abilities.output_with_tools:
            return
        reply = await _complete(session, _request((_QUESTION,), tools=(_TOOL,), output=_OUTPUT))
        if reply.calls:
            _check_calls(reply)
        else:
            _read(reply.text, _Report, "the answer")


async def read_stream(session: Session, request: Request, *kinds: type) -> tuple[Reply, str]:
    """Return the reply at a stream's end, and the text of its parts, which are of these *kinds*.

    Raises:
        AssertionError: they are not, or the end is not one `ReplyPart`, or its calls are not those of the parts.
    """
    parts: list[Part] = [part async for part in session.stream(request)]
    for part in parts:
        require_type(part, (*kinds, ReplyPart), "a part of the stream")
    ends = [part for part in parts if isinstance(part, ReplyPart)]
    last = parts[-1] if parts else None
    if not isinstance(last, ReplyPart) or len(ends) != 1:
        sentence = f"a stream has {len(ends)} ReplyParts and ends with {last!r}; it has one, as its last part"
        raise AssertionError(sentence)
    calls = tuple(part.call for part in parts if isinstance(part, ToolCallPart))
    require(calls == last.reply.calls, f"the parts' calls are {calls}, the reply's {last.reply.calls}")
    return last.reply, "".join(part.text for part in parts if isinstance(part, TextPart))


def _request(turns: tuple[Turn, ...], **settings: Any) -> Request:
    return Request(turns=turns, max_tokens=_MOST_TOKENS, timeout=_SECONDS, **settings)


def _calling(session: Session) -> Request:
    """Return a request that must end in a call, if the session can be told so."""
    choice = _TOOL.name if session.abilities.tool_choice else "auto"
    return _request((_QUESTION,), tools=(_TOOL,), tool_choice=choice)


async def _complete(session: Session, request: Request) -> Reply:
    with anyio.fail_after(_SECONDS):
        return await session.complete(request)


def _check_calls(reply: Reply) -> None:
    require(reply.calls, f"it does not call; it says {reply.text!r}")
    require(reply.finish == "tool", f"it calls, and ends by {reply.finish!r}")
    identities = [call.id for call in reply.calls]
    require(all(identities) and len(set(identities)) == len(identities), f"the ids of its calls are {identities}")
    for call in reply.calls:
        require(call.name == _TOOL.name, f"it calls {call.name!r}, which it was not given")
        require(not call.invalid, f"its arguments are no JSON object: {call.invalid!r}")
        _read(msgspec.json.encode(call.arguments).decode(), _Arguments, "the arguments")


def _wanted(reply: Reply) -> list[tuple[str, dict[str, Any]]]:
    return [(call.name, call.arguments) for call in reply.calls]


def _read(text: str, kind: type, what: str) -> None:
    try:
        msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, UnicodeError) as error:
        sentence = f"{what} is not of the schema: {error}: {text!r}"
        raise AssertionError(sentence) from None
