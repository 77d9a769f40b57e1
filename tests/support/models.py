"""What the tests of models share: how to ask, and whom."""

from typing import NamedTuple

from ceylon.models.http import HttpClient
from ceylon.models.port import Session
from ceylon.models.resolve import resolve
from ceylon.models.turns import Part, Reply, ReplyPart, Request, TextPart, Turn
from ceylon.testing.model_server import ModelServer

__all__ = ["Caller", "parts_of", "question", "text_of"]


def question(prompt: str = "hi", **settings: object) -> Request:
    """Return a request of one turn."""
    return Request(turns=(Turn("user", prompt),), **settings)  # type: ignore[arg-type]


async def parts_of(session: Session, request: Request) -> list[Part]:
    """Return every part of a streamed answer."""
    return [part async for part in session.stream(request)]


def text_of(parts: list[Part]) -> str:
    """Return the text of streamed parts, joined."""
    return "".join(part.text for part in parts if isinstance(part, TextPart))


class Caller(NamedTuple):
    """One dialect, one way of asking; every fault is tried on all four."""

    dialect: str
    is_streamed: bool
    client: HttpClient
    server: ModelServer

    async def session(self, model: str = "test-model", *, api_key: str | None = "sk-canary-4711") -> Session:
        """Open a session with the server."""
        url = self.server.openai_url if self.dialect.startswith("openai") else self.server.base_url
        return await resolve(f"{self.dialect}::{model}", base_url=url, api_key=api_key).open(self.client)

    async def ask(self, prompt: str = "hi", *, timeout: float = 30.0, model: str = "test-model") -> Reply:
        """Open a session and ask *prompt*."""
        session = await self.session(model)
        request = question(prompt, timeout=timeout)
        if not self.is_streamed:
            return await session.complete(request)
        *_, last = await parts_of(session, request)
        assert isinstance(last, ReplyPart)
        return last.reply
