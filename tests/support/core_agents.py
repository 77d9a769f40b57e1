"""Agents that the tests of the core share: they echo, keep what they get, wait to be let go, fail, or pass on."""

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Final

import anyio

from ceylon import Agent, BlockingContext, Context, Message, on

__all__ = [
    "SECONDS",
    "Ask",
    "Counter",
    "Echo",
    "Failing",
    "Held",
    "HeldInAThread",
    "Keeper",
    "Relay",
    "ThreadRelay",
    "until",
]

SECONDS: Final = 20.0  # how long a test waits for what is bound to happen; less than an ask does


async def until(condition: Callable[[], object], seconds: float = SECONDS) -> None:
    """Return as soon as *condition* holds; fail if it does not in time."""
    with anyio.fail_after(seconds):
        while not condition():  # noqa: ASYNC110 – a condition of another thread has no event
            await anyio.sleep(0.001)


class Echo(Agent):
    """Answers with what it was asked."""

    async def on_message(self, message: Any) -> Any:
        return message


class Keeper(Agent):
    """Keeps what it gets, in order."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.kept: list[Any] = []

    async def on_message(self, message: Any) -> int:
        self.kept.append(message)
        return len(self.kept)


class Held(Agent):
    """Begins to handle a message and goes on once `gate` is open; also says how many it had at one time."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.gate = anyio.Event()
        self.begun: list[Any] = []
        self.ended: list[Any] = []
        self.cancelled: list[Any] = []
        self.at_once = 0
        self.at_most = 0

    async def on_message(self, message: Any) -> Any:
        self.begun.append(message)
        self.at_once += 1
        self.at_most = max(self.at_most, self.at_once)
        try:
            await self.gate.wait()
        except BaseException:
            self.cancelled.append(message)
            raise
        else:
            self.ended.append(message)
            return message
        finally:
            self.at_once -= 1


class HeldInAThread(Agent):
    """The same in a worker thread, where nothing can cancel it."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.gate = threading.Event()
        self.begun: list[Any] = []
        self.ended: list[Any] = []

    def on_message(self, message: Any) -> Any:
        self.begun.append(message)
        assert self.gate.wait(SECONDS)
        self.ended.append(message)
        return message


class Counter(Agent):
    """Gives as many parts as it is asked for, and says how many it made and whether it came to its `finally`."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.made = 0
        self.closed = 0

    @on
    async def count(self, most: int) -> AsyncIterator[int]:
        try:
            for number in range(most):
                self.made += 1
                yield number
        finally:
            self.closed += 1

    @on
    def count_in_a_thread(self, most: str) -> Iterator[int]:
        try:
            for number in range(int(most)):
                self.made += 1
                yield number
        finally:
            self.closed += 1


class Failing(Agent):
    """Raises what it is sent."""

    @on
    async def fail(self, error: BaseException) -> None:
        raise error

    @on
    async def answer(self, number: int) -> int:
        return number


class Ask(Message[Any]):
    """Ask the next agent on the way *message*, and answer with its answer."""

    way: tuple[str, ...]
    message: Any
    timeout: float | None = None


class Relay(Agent):
    """Passes an `Ask` on; keeps the context of each."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.contexts: list[Context] = []

    @on
    async def pass_on(self, ask: Ask, context: Context) -> Any:
        self.contexts.append(context)
        following, *rest = ask.way
        return await context.ask(following, Ask(tuple(rest), ask.message) if rest else ask.message, timeout=ask.timeout)

    async def on_message(self, message: Any, context: Context) -> Any:
        self.contexts.append(context)
        return message


class ThreadRelay(Agent):
    """The same in a worker thread."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.contexts: list[BlockingContext] = []

    @on
    def pass_on(self, ask: Ask, context: BlockingContext) -> Any:
        self.contexts.append(context)
        following, *rest = ask.way
        return context.ask(following, Ask(tuple(rest), ask.message) if rest else ask.message, timeout=ask.timeout)

    def on_message(self, message: Any, context: BlockingContext) -> Any:
        self.contexts.append(context)
        return message
