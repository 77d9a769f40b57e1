"""An agent for tests that keeps what it is sent, and lets the test wait for it: after Akka's TestProbe."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from ceylon.agents.agent import Agent
from ceylon.core.context import Context
from ceylon.core.signals import Signal
from ceylon.errors import MeshClosedError
from ceylon.messages import TELL
from ceylon.testing.received import Received, Wanted

if TYPE_CHECKING:
    from ceylon.core.interior import Interior

__all__ = ["BlockingProbe", "Probe"]

T = TypeVar("T")

_PATIENCE: Final = 3.0
"""Seconds to wait for what is bound to come; under a virtual clock they pass at once."""


class Probe(Agent):
    """Keeps every message it gets. A test waits for them with `receive` and answers asks with `reply`.

    An ask waits for its answer as long as its deadline lets it, unless `reply_with` has said what to answer. Waiting
    works on the mesh's own loop and on any other; `blocking` has the same for threads. Seconds are the mesh's own, so
    a virtual clock is kept to.
    """

    concurrency = 1_000  # an ask that waits for its answer does not keep the next message out

    def __init__(self, name: str = "probe") -> None:
        super().__init__(name)
        self._kept = Received(name)
        self._asks: list[_OpenAsk] = []
        self._answer: Any = None
        self._has_answer = False

    @property
    def received(self) -> list[Any]:
        """Every message, in the order they came."""
        return list(self._kept.messages)

    async def on_message(self, message: Any, context: Context) -> Any:
        """Keep *message*, and answer it if it is an ask."""
        ask = None
        if context.envelope.kind != TELL and not self._has_answer:
            ask = _OpenAsk(Signal(context.interior.driver))
            self._asks.append(ask)  # before the message is seen: whoever receives it may reply
        self._kept.add(message)
        if ask is None:
            return _returned(self._answer(message) if callable(self._answer) else self._answer)
        try:
            await ask.is_answered.wait()
        finally:
            if ask in self._asks:  # its asker has left
                self._asks.remove(ask)
        return _returned(ask.answer)

    # -- waiting -------------------------------------------------------------------------------------------------------

    @overload
    async def receive(self, wanted: type[T], timeout: float = ...) -> T: ...
    @overload
    async def receive(
        self, wanted: tuple[type, ...] | Callable[[Any], object] | None = ..., timeout: float = ...
    ) -> Any: ...
    async def receive(self, wanted: Wanted = None, timeout: float = _PATIENCE) -> Any:
        """Return the next message that is *wanted*: of a type, or one a function says yes to; by default any.

        Others stay for a later `receive`, as in Erlang.

        Raises:
            AssertionError: none came within *timeout* seconds; the sentence shows what did.
        """
        operation = functools.partial(self._kept.receive, self._interior(), wanted, timeout)
        return (await self._interior().gateway.perform(operation)).get()

    async def expect_nothing(self, seconds: float) -> None:
        """Wait for *seconds*, in which no message may come.

        Raises:
            AssertionError: one came, or one is there that nobody has received.
        """
        operation = functools.partial(self._kept.expect_nothing, self._interior(), seconds)
        (await self._interior().gateway.perform(operation)).get()

    @property
    def blocking(self) -> "BlockingProbe":
        """The same waits for threads."""
        return BlockingProbe(self._kept, self._interior())

    # -- answering -----------------------------------------------------------------------------------------------------

    def reply_with(self, answer: Any) -> "Probe":
        """Answer every ask from now on with *answer*: a value, an error to raise, or a function of the message."""
        self._answer, self._has_answer = answer, True
        return self

    def reply(self, value: Any = None) -> None:
        """Answer the last ask that still waits, from any thread; an exception is raised to the asker.

        Raises:
            AssertionError: no ask waits.
        """
        try:
            ask = self._asks.pop()
        except IndexError:
            sentence = f"no ask waits for a reply of {self.name!r}; {self._kept.story()}"
            raise AssertionError(sentence) from None
        ask.answer = value
        gateway = self._interior().gateway
        if gateway.is_inside():
            ask.is_answered.set()
        else:
            gateway.post(ask.is_answered.set)

    def _interior(self) -> "Interior":
        if self._home is None:
            nowhere = "no mesh"
            raise MeshClosedError(nowhere, f"probe {self.name!r} is in none; add it to one first")
        return self._home[0]


class BlockingProbe:
    """The waits of a `Probe`, for threads."""

    def __init__(self, kept: Received, interior: "Interior") -> None:
        self._kept, self._interior = kept, interior

    @overload
    def receive(self, wanted: type[T], timeout: float = ...) -> T: ...
    @overload
    def receive(self, wanted: tuple[type, ...] | Callable[[Any], object] | None = ..., timeout: float = ...) -> Any: ...
    def receive(self, wanted: Wanted = None, timeout: float = _PATIENCE) -> Any:
        """Return the next message that is *wanted*; see `Probe.receive`."""
        operation = functools.partial(self._kept.receive, self._interior, wanted, timeout)
        return self._interior.gateway.block("receive", operation).get()

    def expect_nothing(self, seconds: float) -> None:
        """Wait for *seconds*, in which no message may come; see `Probe.expect_nothing`."""
        operation = functools.partial(self._kept.expect_nothing, self._interior, seconds)
        self._interior.gateway.block("expect_nothing", operation).get()


class _OpenAsk:
    """An ask whose handler waits until the test replies."""

    def __init__(self, is_answered: Signal) -> None:
        self.is_answered = is_answered
        self.answer: Any = None


def _returned(answer: Any) -> Any:
    """Return *answer*, or raise it."""
    if isinstance(answer, Exception):
        raise answer
    return answer
