"""What is under way for a stream: the ask that is answered by parts, and the consumer that waits for the next ones."""

import math
from typing import TYPE_CHECKING, Final, Protocol

from ceylon.core.calls import AskCall, Call
from ceylon.errors import DeadlockError, StreamTimeoutError
from ceylon.messages import Envelope, Outcome

if TYPE_CHECKING:
    from ceylon.core.backend import Sink
    from ceylon.core.channel import Channel
    from ceylon.core.findings import WaitKind
    from ceylon.core.origin import Origin
    from ceylon.core.router import Router
    from ceylon.core.waits import Groups, WaitsGraph

__all__ = ["PullCall", "Source", "StreamCall"]

_MOST_PRODUCERS: Final = 64  # one behind the other; a longer row is the waits graph's affair


class Source(Protocol):
    """Where parts come from: an agent's handler, or a task."""

    channel: "Channel"

    @property
    def address(self) -> str:
        """Who sends the parts."""
        ...

    @property
    def consumer(self) -> "Origin | None":
        """The handler that takes them, if one does."""
        ...

    def pull(self, future: "Sink", idle_timeout: float) -> "PullCall":
        """Let *future* have the next parts, or an error when none come for *idle_timeout* seconds."""
        ...

    def cancel(self) -> None:
        """Send no more."""
        ...


class StreamCall(AskCall):
    """An ask that is answered by many parts; its outcome ends the channel."""

    __slots__ = ("channel",)

    channel: "Channel"

    def settle(self, outcome: Outcome) -> bool:
        """See `AskCall`; a value is sent as the last part, and the future is the pulls' affair."""
        if self.is_settled:
            return False
        self.is_settled = True
        self._router.calls.pop(self.envelope.id, None)
        self._router.timers.cancel(self)
        if self.cell.guests:
            self._router.lending.take_back(self)
        if outcome.error is None and outcome.value is not None:
            self.channel.put_nowait(outcome.value)
        self.channel.end(outcome)
        return True

    @property
    def wanted(self) -> "WaitKind | None":
        """See `Call.wanted`: the consumer waits while it pulls."""
        return "parts" if self.channel.is_pulled else None

    def begin_wait(self, source: "Origin") -> None:
        """See `AskCall`; as above."""

    def rest(self) -> None:
        """See `AskCall`; the consumer has patience meanwhile."""
        self.channel.rest()

    def go_on(self) -> None:
        """See `AskCall`."""
        self.channel.go_on()

    def cancel(self) -> None:
        """See `AskCall`; a producer that waits for room goes on to be cancelled."""
        super().cancel()
        self.channel.end(Outcome())

    def pull(self, future: "Sink", idle_timeout: float) -> "PullCall":
        """Let *future* have the next parts, or an error when none come for *idle_timeout* seconds."""
        return PullCall.begin(self._router, future, self, idle_timeout)

    @property
    def address(self) -> str:
        """Who sends the parts."""
        return self.envelope.recipient

    @property
    def consumer(self) -> "Origin | None":
        """The handler that takes them, if one does."""
        return self.source


class PullCall(Call):
    """A consumer that waits for parts. It fires when it has waited too long."""

    __slots__ = ("_source", "_timeout")

    def __init__(self, router: "Router", future: "Sink", source: "Source", timeout: float) -> None:
        # Written out, not through super(): a part that comes alone pays for it.
        self._action = None
        self.is_armed = self.is_settled = False
        self._router, self._future = router, future
        self._source, self._timeout = source, timeout

    @classmethod
    def begin(cls, router: "Router", sink: "Sink", source: "Source", timeout: float) -> "PullCall":
        """Let *sink* have the next parts of *source*, or an error when none come for *timeout* seconds."""
        call = cls(router, sink, source, timeout)
        if timeout < math.inf:
            router.timers.add(router.driver.now() + timeout, call)
        source.channel.pull(call)
        if not call.is_settled:
            call._begin_wait()
        return call

    def _begin_wait(self) -> None:
        """Take note that the consumer waits, if that is a handler; refuse what could never end."""
        consumer = self._source.consumer
        if consumer is None:
            return
        if self._ends_at_one_that_runs(consumer.invocation):
            consumer.begin_wait(self)
            return
        try:
            self._router.waits.check(consumer, self.groups(self._router.waits), self._source.address)
        except DeadlockError as error:
            self._source.channel.forget()
            self.fail(error)
            self._source.cancel()
        else:
            consumer.begin_wait(self)

    def _ends_at_one_that_runs(self, consumer: "Origin") -> bool:
        """Say whether producers that each wait for the next lead to one that waits for nothing, so that all can go on.

        That is how streams of streams are, and what the waits graph finds at many times the cost. No: it has to look.
        """
        call: Call = self
        for _ in range(_MOST_PRODUCERS):
            stream = call._source if isinstance(call, PullCall) else None  # noqa: SLF001 – another of our kind
            if not isinstance(stream, StreamCall):
                return False
            producer = (stream.cell.under_way or {}).get(stream.envelope.id)
            if producer is None or producer is consumer or stream.channel.is_waiting_for_consumer:
                return False
            if not producer.waits:
                return True
            if len(producer.waits) > 1:
                return False
            call = producer.waits[0]
        return False

    def groups(self, graph: "WaitsGraph") -> "Groups[Origin]":
        """See `Call.groups`."""
        stream = self.stream
        if stream is not None and stream.channel.is_empty:
            return graph.of_envelope(stream.cell, stream.envelope)
        return ()

    @property
    def wanted(self) -> "WaitKind | None":
        """See `Call.wanted`."""
        return "parts"

    @property
    def stream(self) -> "StreamCall | None":
        """The stream whose parts are awaited, if an agent sends them."""
        return self._source if isinstance(self._source, StreamCall) else None

    @property
    def envelope(self) -> Envelope:
        """What is answered by those parts; for a handler's pulls, which are of an agent's."""
        assert self.stream is not None  # noqa: S101 – see `tasks.run_stream`: no handler waits for another stream's
        return self.stream.envelope

    def settle(self, outcome: Outcome) -> bool:
        """See `Call.settle`."""
        self._let_go()
        if self.is_settled:
            return False
        self.is_settled = True
        if not self._future.done():
            self._future.set_result(outcome)
        return True

    def fire(self) -> None:
        """End the whole stream, because its producer has stalled."""
        if not self.is_settled and not self._is_early():
            self._source.channel.forget()  # or the end of the stream would look like this pull's good end
            self.fail(StreamTimeoutError(self._source.address, self._timeout))
            self._source.cancel()

    def begin_again(self) -> None:
        """Wait from now on; what was waited so far does not count."""
        if self._timeout < math.inf and not self.is_armed:
            self._router.timers.add(self._router.driver.now() + self._timeout, self)

    def _is_early(self) -> bool:
        """Say whether the time is not over after all, because the producer rests or has rested."""
        channel = self._source.channel
        until = channel.went_on + self._timeout
        is_early = until > self._router.driver.now()
        if is_early and not channel.rests:
            self._router.timers.add(until, self)
        return is_early or channel.rests

    def cancel(self) -> None:
        """Let go, because the consumer waits no more; the stream itself goes on until it is closed."""
        self.is_settled = True
        self._let_go()
        self._source.channel.forget()

    def _let_go(self) -> None:
        if self.is_armed:
            self._router.timers.cancel(self)
        consumer = self._source.consumer
        if consumer is not None:
            consumer.end_wait(self)
