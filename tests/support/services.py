"""What the tests of the services with formats of their own share: one conversation of each kind, and how to ask."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import httpx

from ceylon.models.http import HttpClient
from ceylon.models.port import Model, Session
from ceylon.models.resolve import resolve
from ceylon.models.turns import (
    Attachment,
    OutputSchema,
    Reply,
    ReplyPart,
    Request,
    Tool,
    ToolCall,
    ToolResult,
    Turn,
)
from ceylon.testing.model_server import ModelServer
from support.models import parts_of

__all__ = [
    "CONVERSATIONS",
    "DIALECTS",
    "KEY",
    "PICTURE",
    "REPORT",
    "WEATHER",
    "Bytes",
    "body_of",
    "model_at",
    "reply_of",
]

DIALECTS: Final = ("anthropic", "gemini", "openai-responses")
KEY: Final = "sk-canary-4711"

PICTURE: Final = Attachment("image/png", b"\x89PNG\r\n\x1a\n", "dot.png")
WEATHER: Final = Tool(
    "weather",
    "Tell the weather.",
    {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer", "default": 1}},
        "required": ["city"],
    },
)
CLOCK: Final = Tool("clock", "", {"type": "object", "properties": {}})
REPORT: Final = OutputSchema(
    "Report",
    {
        "$defs": {"Kind": {"enum": ["rain", "sun"], "type": "string"}},
        "type": "object",
        "title": "Report",
        "properties": {
            "kind": {"$ref": "#/$defs/Kind"},
            "degrees": {"anyOf": [{"type": "integer", "minimum": -90}, {"type": "null"}]},
            "hours": {"type": "array", "items": {"type": "object", "properties": {"at": {"type": "integer"}}}},
        },
        "required": ["kind", "degrees", "hours"],
    },
    "The weather.",
)
CALLS: Final = (ToolCall("call_a", "weather", {"city": "Lisbon"}), ToolCall("call_b", "clock"))
RESULTS: Final = (ToolResult("call_a", "weather", '{"sky": "blue"}'), ToolResult("call_b", "clock", "broken", True))  # noqa: FBT003 – an error
HISTORY: Final = (
    Turn("system", "Be brief."),
    Turn("user", "How is it in Lisbon?"),
    Turn("assistant", "Let me look.", calls=CALLS),
    Turn("tool", results=RESULTS),
)

CONVERSATIONS: Final[dict[str, Request]] = {
    "a question": Request(turns=(Turn("user", "hi"),)),
    "settings": Request(
        turns=(Turn("system", "Be brief."), Turn("user", "hi"), Turn("assistant", "yes?"), Turn("user", "é \u2028 x")),
        temperature=0.5,
        max_tokens=64,
        seed=7,
    ),
    "tools": Request(turns=HISTORY[:2], tools=(WEATHER, CLOCK)),
    "a tool by name": Request(turns=HISTORY[:2], tools=(WEATHER,), tool_choice="weather"),
    "some tool": Request(turns=HISTORY[:2], tools=(WEATHER,), tool_choice="required"),
    "no tool": Request(turns=HISTORY[:2], tools=(WEATHER,), tool_choice="none"),
    "results": Request(turns=HISTORY, tools=(WEATHER, CLOCK)),
    "results and more": Request(turns=(*HISTORY, Turn("user", "And?")), tools=(WEATHER, CLOCK)),
    "a picture": Request(turns=(Turn("user", "What is it?", attachments=(PICTURE,)),)),
    "output": Request(turns=HISTORY[:2], output=REPORT),
}


def model_at(server: ModelServer, dialect: str, *, key: str | None = KEY, **settings: Any) -> Model:
    """Return the model of *dialect* that *server* answers for."""
    url = server.openai_url if dialect.startswith("openai") else server.base_url
    return resolve(f"{dialect}::test-model", base_url=url, api_key=key, **settings)


async def reply_of(session: Session, request: Request, *, is_streamed: bool) -> Reply:
    """Return the whole answer, asked for in either way."""
    if not is_streamed:
        return await session.complete(request)
    *_, last = await parts_of(session, request)
    assert isinstance(last, ReplyPart)
    return last.reply


async def body_of(server: ModelServer, client: HttpClient, model: Model, request: Request) -> Any:
    """Return what *model* sends for *request*."""
    await (await model.open(client)).complete(request)
    return server.requests[-1].json


class Bytes(httpx.AsyncBaseTransport):
    """Answers every request with the same bytes, in given pieces."""

    def __init__(self, kind: str, pieces: Sequence[bytes]) -> None:
        self._kind, self.pieces = kind, pieces

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-type": self._kind}, stream=_Pieces(self.pieces))


class _Pieces(httpx.AsyncByteStream):
    """No generator: one that is left suspended is complained about by trio when it is collected."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = iter(pieces)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        for piece in self._pieces:
            return piece
        raise StopAsyncIteration
