"""What a probe has got, and who waits for which message of it; on the mesh's loop, by the mesh's clock."""

import bisect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ceylon.core.calls import Call
from ceylon.messages import Outcome

if TYPE_CHECKING:
    from ceylon.core.backend import Sink
    from ceylon.core.interior import Interior

__all__ = ["Received", "Wanted"]

Wanted: TypeAlias = type | tuple[type, ...] | Callable[[Any], object] | None
"""Which message to wait for: one of a type, one for which a function says yes, or any."""

_SHOWN: Final = 10  # messages in the sentence of an error


class Received:
    """Messages in the order they came; each is given out once."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.messages: list[Any] = []
        self._unread: list[int] = []  # their places among the messages
        self._waiting: list[_Waiting] = []

    def add(self, message: Any) -> None:
        """Keep *message*, and give it to whoever waits for it."""
        self.messages.append(message)
        place = len(self.messages) - 1
        if not any(waiting.offer(place, message) for waiting in list(self._waiting)):
            self._unread.append(place)

    def receive(self, interior: "Interior", wanted: Wanted, timeout: float, sink: "Sink") -> Call:
        """Let *sink* have the next message that is *wanted*, or an error after *timeout* seconds."""
        missed = f"{self._name!r} waited {timeout:g} s for {_described(wanted)}"
        waiting = _Waiting(self, interior, sink, wanted, missed)
        for place in self._unread:
            if waiting.offer(place, self.messages[place]):
                self._unread.remove(place)
                return waiting
        return self._wait(waiting, interior, timeout)

    def expect_nothing(self, interior: "Interior", seconds: float, sink: "Sink") -> Call:
        """Let *sink* have an error at the next message, or hear that none came for *seconds*."""
        waiting = _WaitingForNothing(self, interior, sink, None, f"{self._name!r} was to get nothing")
        for place in self._unread[:1]:
            waiting.offer(place, self.messages[place])
        return self._wait(waiting, interior, seconds)

    def _wait(self, waiting: "_Waiting", interior: "Interior", seconds: float) -> "_Waiting":
        if waiting.is_settled:
            return waiting
        self._waiting.append(waiting)
        interior.timers.add(interior.driver.now() + seconds, waiting)
        return waiting

    def forget(self, waiting: "_Waiting") -> None:
        """Offer nothing any more to *waiting*."""
        if waiting in self._waiting:
            self._waiting.remove(waiting)

    def put_back(self, place: int) -> None:
        """Let a later wait have the message at *place*, which did not arrive."""
        bisect.insort(self._unread, place)

    def story(self) -> str:
        """Tell what came, and what of it nobody has received."""
        if not self.messages:
            return "no message came at all"
        count = len(self.messages)
        shown = ", ".join(map(repr, self.messages[-_SHOWN:]))
        unread = ", ".join(repr(self.messages[place]) for place in self._unread[:_SHOWN])
        return (
            f"{count} came: {'… ' if count > _SHOWN else ''}{shown}"
            + (f"; not received: {unread}" if unread else "; all of them were received")
        )  # fmt: skip


class _Waiting(Call):
    """Somebody waits for a message. It fires when he has waited long enough."""

    __slots__ = ("_kept", "_place", "_sentence", "_wanted")

    def __init__(self, kept: Received, interior: "Interior", sink: "Sink", wanted: Wanted, sentence: str) -> None:
        super().__init__(interior.router, sink)
        self._kept, self._wanted, self._sentence = kept, wanted, sentence
        self._place: int | None = None

    def offer(self, place: int, message: Any) -> bool:
        """Take *message* if it is wanted; say whether it is gone."""
        try:
            if self.is_settled or self._future.done() or not _matches(self._wanted, message):
                return False
        except Exception as error:  # noqa: BLE001 – a test's own function; the test is to hear of it, not the agent
            self.fail(error)
            return False
        self._place = place
        self.settle(Outcome(message))
        return True

    def settle(self, outcome: Outcome) -> bool:
        """See `Call.settle`; the patience is taken back."""
        self._router.timers.cancel(self)
        self._kept.forget(self)
        return super().settle(outcome)

    def fire(self) -> None:
        """There was none in time."""
        self.fail(AssertionError(f"{self._sentence}; {self._kept.story()}"))

    def cancel(self) -> None:
        """Let go, because nobody waits any more; a message that was on its way to him is there again."""
        self._router.timers.cancel(self)
        self._kept.forget(self)
        super().cancel()
        if self._place is not None:
            self._kept.put_back(self._place)
            self._place = None


class _WaitingForNothing(_Waiting):
    """Somebody waits for time to pass without a message."""

    __slots__ = ()

    def offer(self, place: int, message: Any) -> bool:
        """Complain; the message is still there for others."""
        del place
        if not self.is_settled:
            self.fail(AssertionError(f"{self._sentence}, and got {message!r}; {self._kept.story()}"))
        return False

    def fire(self) -> None:
        """There was none: that is well."""
        self.settle(Outcome())


def _matches(wanted: Wanted, message: Any) -> bool:
    if wanted is None:
        return True
    if isinstance(wanted, (type, tuple)):
        return isinstance(message, wanted)
    return bool(wanted(message))


def _described(wanted: Wanted) -> str:
    if wanted is None:
        return "a message"
    if isinstance(wanted, tuple):
        types: tuple[type, ...] = wanted  # pyright: ignore[reportUnknownVariableType] – a tuple that is callable
        return " or ".join(map(_described, types))
    return getattr(wanted, "__name__", repr(wanted))
