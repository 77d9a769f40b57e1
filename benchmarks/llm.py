"""What the scenarios with a language model share: the question, who asks at the same time, and what is checked.

A contender's function opens its client and yields what asks once; the timing and the counting are the same for all.
"""

import asyncio
import functools
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from benchmarks.contest import Run, Scenario
from benchmarks.model_answers import ANSWER, CITY, TOKENS
from benchmarks.model_server import counts

__all__ = [
    "ANSWER",
    "CITY",
    "KEY",
    "MESSAGES",
    "MODEL",
    "QUERY",
    "SYSTEM",
    "TOKENS",
    "Ask",
    "Asking",
    "Opening",
    "Server",
    "Weather",
    "ask_ceylon",
    "bare_client",
    "drop_speed",
]

MODEL: Final = "gpt-4o-mini-2024-07-18"  # a name whose abilities every rival knows
KEY: Final = "key"
SYSTEM: Final = "Answer briefly."
QUERY: Final = "What is 2+2?"
MESSAGES: Final = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": QUERY}]
_CONNECTIONS: Final = 100  # of httpx's own; who waits 5 s for one fails

Ask: TypeAlias = Callable[[], Awaitable[Any]]


@dataclass(frozen=True)
class Server:
    """Where the model is, and how many will ask it at the same time."""

    url: str
    callers: int

    @property
    def openai_url(self) -> str:
        """The `base_url` of OpenAI's format."""
        return f"{self.url}/v1"


Opening: TypeAlias = Callable[[Server], AsyncGenerator[Ask, None]]


@dataclass(frozen=True)
class Asking:
    """A scenario in which so many ask at the same time, one question after the other.

    Args:
        scenario: The scenario.
        callers: How many ask at the same time.
        requests: How many of them reach the server for one question.
        expected: What the answer is.
        count: How many things that are measured one answer holds.
    """

    scenario: Scenario
    callers: int = 1
    requests: int = 1
    expected: Any = ANSWER
    count: int = 1

    def contender(self, name: str, *, share: float = 1.0) -> Callable[[Opening], Opening]:
        """Let *name* take part by a function that opens its client; *share* of the size is what it is given."""

        def enter(opening: Opening) -> Opening:
            self.scenario.contender(name, share=share)(functools.partial(self.measure, opening))
            return opening

        return enter

    async def measure(self, opening: Opening, run: Run) -> None:
        """Ask, timed; then see that every answer was right and as many requests came as there had to."""
        async with asynccontextmanager(opening)(Server(run.beside, self.callers)) as ask:
            for size in run.passes():
                each = max(1, size // self.callers)
                before = counts(run.beside)["requests"]
                with run.timed(each * self.callers * self.count):
                    await asyncio.gather(*(self._repeat(ask, each) for _ in range(self.callers)))
                came = counts(run.beside)["requests"] - before
                assert came == each * self.callers * self.requests, f"{came} requests came"

    async def _repeat(self, ask: Ask, times: int) -> None:
        for _ in range(times):
            answer = await ask()
            assert answer == self.expected, answer


def bare_client(callers: int) -> Any:
    """Return httpx's client as it is, but with a connection for each caller; more idle ones would make it slower."""
    import httpx

    limits = httpx.Limits(max_connections=max(_CONNECTIONS, callers), max_keepalive_connections=20)
    headers = {"content-type": "application/json", "authorization": f"Bearer {KEY}"}
    return httpx.AsyncClient(headers=headers, limits=limits)


async def ask_ceylon(model: str, url: str, callers: int) -> AsyncGenerator[Ask, None]:
    """Yield how to ask an agent that may answer as many at a time as ask; then see that nothing was lost."""
    from ceylon import LlmAgent, Mesh

    async with Mesh() as mesh:
        agent = LlmAgent("assistant", model, system_prompt=SYSTEM, base_url=url, api_key=KEY, concurrency=callers)
        mesh.add(agent)
        asked = 0

        async def ask() -> str:
            nonlocal asked
            asked += 1
            return await agent.send_message_async(QUERY)

        yield ask
        statistics = mesh.statistics()
        assert statistics.is_balanced
        assert statistics.agents["assistant"].completed == asked


def drop_speed() -> None:
    """Let this process be one without the extra `speed`, whose parser cannot be imported then; call it first."""
    sys.modules["httptools"] = None  # type: ignore[assignment]


class Weather:
    """What the tool of every contender reports; counts how often it did."""

    calls = 0

    @classmethod
    def report(cls, city: str) -> str:
        """Return the weather in *city*."""
        cls.calls += 1
        return f"It is sunny in {city}."
