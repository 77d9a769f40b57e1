"""A provider that takes its time before it begins, and knows who has left it meanwhile."""

import contextlib
from collections.abc import AsyncGenerator, Generator
from typing import Any

import anyio

from ceylon.errors import ModelError
from ceylon.models.port import Abilities
from ceylon.models.turns import Part, Reply, ReplyPart, Request, TextPart, Usage
from support.providers import Provider

__all__ = ["GAP", "USAGE", "Lagging"]

GAP = 0.5
"""Seconds between two parts of a stream."""
USAGE = Usage(input=100, output=10)


class Lagging(Provider):
    """Says each of *says*, a text or an error, after so many seconds; then "yes" at once, for ever."""

    def __init__(self, *says: tuple[float, Any], name: str = "openai::lagging") -> None:
        super().__init__(name)
        self.says = list(says)
        self.requests: list[Request] = []
        self.under_way = 0
        self.left: list[float] = []  # when somebody took no more

    async def open(self, client: Any = None) -> Any:
        del client
        return _LaggingSession(self)

    @contextlib.contextmanager
    def work(self, request: Request) -> Generator[tuple[float, Any]]:
        """Work on *request*; say what it comes to, and when."""
        self.asked.append(anyio.current_time())
        self.requests.append(request)
        self.under_way += 1
        try:
            yield self.says.pop(0) if self.says else (0.0, "yes")
        except Exception:
            raise
        except BaseException:
            self.left.append(anyio.current_time())
            raise
        finally:
            self.under_way -= 1


class _LaggingSession:
    abilities = Abilities()

    def __init__(self, provider: Lagging) -> None:
        self._provider = provider

    async def complete(self, request: Request) -> Reply:
        with self._provider.work(request) as (seconds, said):
            await anyio.sleep(seconds)
            return self._reply(said)

    async def stream(self, request: Request) -> AsyncGenerator[Part, None]:
        with self._provider.work(request) as (seconds, said):
            await anyio.sleep(seconds)
            reply = self._reply(said)
            for word in reply.text.split():
                yield TextPart(word)
                await anyio.sleep(GAP)
            yield ReplyPart(reply)

    def _reply(self, said: Any) -> Reply:
        if isinstance(said, ModelError):
            raise said
        if isinstance(said, str):
            return Reply(text=said, usage=USAGE)
        reply: Reply = said
        return reply

    async def aclose(self) -> None:
        """Nothing to give back."""
