"""Providers that limit, fail and bill as real ones do, in the time of whatever loop they are asked on."""

import math
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

import anyio
import anyio.lowlevel

from ceylon.errors import ModelError, ModelRateLimitError
from ceylon.models.port import Abilities
from ceylon.models.turns import Part, Reply, ReplyPart, Request, TextPart, Usage

__all__ = ["BillingProvider", "LimitedProvider", "Provider"]


class Provider:
    """A model that answers by itself; subclasses say what happens to a request before that."""

    def __init__(self, name: str = "openai::gpt-4.1-mini") -> None:
        self.name = name
        self.asked: list[float] = []  # when

    @property
    def base_url(self) -> str:
        return f"https://{self.name}"

    def check(self) -> None:
        """Nothing can be wrong."""

    async def open(self, client: Any = None) -> Any:
        del client
        return _Session(self)

    async def serve(self, request: Request) -> Reply:
        """Answer *request*, or raise."""
        self.asked.append(anyio.current_time())
        await anyio.lowlevel.checkpoint()
        return Reply(text="yes", usage=Usage(input=10, output=1), model="provider")


class _Session:
    abilities = Abilities()

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    async def complete(self, request: Request) -> Reply:
        return await self._provider.serve(request)

    async def stream(self, request: Request) -> AsyncGenerator[Part, None]:
        reply = await self._provider.serve(request)
        yield TextPart(reply.text)
        yield ReplyPart(reply)

    async def aclose(self) -> None:
        """Nothing to give back."""


class LimitedProvider(Provider):
    """Takes *rate* requests a second, *burst* at once, and tells nobody before it refuses.

    With *window* it is so many in each window of that many seconds instead. `retry_after` says whether it tells then.
    """

    def __init__(
        self,
        rate: float,
        burst: int,
        *,
        latency: Callable[[], float],
        window: float | None = None,
        retry_after: bool = False,
    ) -> None:
        super().__init__("openai::limited")
        self._rate, self._burst, self._window, self._tells = rate, burst, window, retry_after
        self._latency = latency
        self._left, self._at, self._began = float(burst), -math.inf, -math.inf
        self.served: list[float] = []
        self.refused: list[float] = []

    async def serve(self, request: Request) -> Reply:
        now = anyio.current_time()
        self.asked.append(now)
        wait = self._take(now)
        if wait > 0:
            self.refused.append(now)
            await anyio.sleep(0.05)
            raise ModelRateLimitError(self.name, 429, "too many", retry_after=wait if self._tells else None)
        self.served.append(now)
        await anyio.sleep(self._latency())
        return Reply(text="yes", usage=Usage(input=10, output=1))

    def _take(self, now: float) -> float:
        """Take one request; return how long there is none."""
        if self._window is not None:
            if now >= self._began + self._window:
                self._began, self._left = now, float(self._burst)
        else:
            self._left = min(self._burst, self._left + self._rate * (now - self._at)) if self.asked[1:] else self._left
            self._at = now
        if self._left >= 1:
            self._left -= 1
            return 0.0
        return self._began + self._window - now if self._window is not None else (1 - self._left) / self._rate


class BillingProvider(Provider):
    """Bills what it has done: the tokens of each request, also of those that fail, stall or are given up half-way.

    *plan* says for each request what it does: how many tokens it has in and would like out, and how it ends. The
    requests begin to be answered after *pauses*, in turn.
    """

    def __init__(
        self,
        plan: Callable[[Request], tuple[int, int, ModelError | None]],
        name: str = "openai::billing",
        *,
        pauses: Sequence[float] = (0.01,),
    ) -> None:
        super().__init__(name)
        self._plan, self._pauses = plan, pauses
        self.tokens_in = self.tokens_out = self.calls = 0

    @property
    def tokens(self) -> int:
        """All tokens billed."""
        return self.tokens_in + self.tokens_out

    @property
    def dollars(self) -> float:
        """The bill, at a dollar for a million tokens in and two for as many out."""
        return (self.tokens_in + 2 * self.tokens_out) / 1e6

    @property
    def pause(self) -> float:
        """How long the request that was billed last has to wait."""
        return self._pauses[self.calls % len(self._pauses)]

    async def open(self, client: Any = None) -> Any:
        del client
        return _BillingSession(self)

    def begin(self, request: Request) -> tuple[int, int, ModelError | None]:
        """Return the tokens in, the tokens out, and the error it ends with before it begins; bill the question."""
        self.calls += 1
        tokens_in, tokens_out, error = self._plan(request)
        if error is None:
            self.tokens_in += tokens_in
            if request.max_tokens is not None:
                tokens_out = min(tokens_out, request.max_tokens)
        return tokens_in, tokens_out, error


class _BillingSession:
    abilities = Abilities()

    def __init__(self, provider: BillingProvider) -> None:
        self._provider = provider

    async def complete(self, request: Request) -> Reply:
        *_, last = [part async for part in self.stream(request)]
        assert isinstance(last, ReplyPart)
        return last.reply

    async def stream(self, request: Request) -> AsyncGenerator[Part, None]:
        tokens_in, tokens_out, error = self._provider.begin(request)
        await anyio.sleep(self._provider.pause)
        if error is not None:
            raise error
        for _ in range(tokens_out):
            self._provider.tokens_out += 1
            yield TextPart("a ")
            await anyio.sleep(0.001)
        yield ReplyPart(Reply(text="a " * tokens_out, usage=Usage(input=tokens_in, output=tokens_out)))

    async def aclose(self) -> None:
        """Nothing to give back."""
