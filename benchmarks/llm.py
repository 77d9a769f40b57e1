"""What the scenarios with a language model share: the question, the callers at the same time, and what is checked.

A contender's function opens its client and yields what asks once; the timing and the counting are the same for all.
"""

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, TypeAlias

from benchmarks.contest import Run, Scenario
from benchmarks.model_answers import ANSWER
from benchmarks.model_server import counts

__all__ = ["ANSWER", "CITY", "KEY", "MESSAGES", "MODEL", "QUERY", "SYSTEM", "Ask", "Opened", "Weather", "entrant"]

MODEL: Final = "gpt-4o-mini-2024-07-18"  # a name that every rival knows the abilities of
KEY: Final = "key"
SYSTEM: Final = "Answer briefly."
QUERY: Final = "What is 2+2?"
MESSAGES: Final = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": QUERY}]
CITY: Final = ("Paris", 21)  # what the server makes of a schema with a text and a whole number

Ask: TypeAlias = Callable[[], Awaitable[Any]]
Opened: TypeAlias = Callable[[str, int], AbstractAsyncContextManager[Ask]]


class Weather:
    """What the tool of every contender reports; counts how often it was asked."""

    calls = 0

    @classmethod
    def of(cls, city: str) -> str:
        """Return the weather in *city*."""
        cls.calls += 1
        return f"It is sunny in {city}."


def entrant(
    scenarios: Sequence[Scenario], name: str, *, in_flight: int = 1
) -> Callable[[Callable[[str, int], AsyncIterator[Ask]]], Opened]:
    """Let a function take part that yields how it asks, given the server's URL and how many ask at a time."""

    def enter(function: Callable[[str, int], AsyncIterator[Ask]]) -> Opened:
        opened = asynccontextmanager(function)
        for scenario in scenarios:
            scenario.contender(name)(functools.partial(_measure, opened, in_flight))
        return opened

    return enter
