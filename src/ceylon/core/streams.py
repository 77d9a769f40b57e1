"""Many replies to one envelope, with credit: a producer is never more than a few parts ahead of its consumer.

The producer's side is a `Channel` on the mesh's loop. The consumer's side pulls whatever is there in one go, so that
a consumer in another thread pays for a batch, not for a part.
"""

import math
from collections import deque
from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

import anyio
import msgspec

from ceylon.core.calls import AskCall, Call
from ceylon.core.signals import Signal
from ceylon.errors import DeadlockError, StreamTimeoutError
from ceylon.messages import Envelope, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from ceylon.core.backend import Sink
    from ceylon.core.gateway import Gateway
    from ceylon.core.inspection import WaitKind
    from ceylon.core.origin import Origin
    from ceylon.core.router import Router
    from ceylon.core.waits import Groups, WaitsGraph

__all__ = ["BlockingStream", "Channel", "Pulled", "Stream", "StreamCall"]

_MOST_PRODUCERS: Final = 64  # one behind the other; a longer row is the waits graph's affair


class Pulled(msgspec.Struct, frozen=True):
    """What a pull brought: parts in order, and whether there will be more."""

    parts: list[Any]
    is_last: bool = False
    error: BaseException | None = None


class Channel:
    """The parts on their way from one producer to one consumer."""

    __slots__ = ("_call", "_credit", "_end", "_parts", "_pull", "_room", "_router", "rests", "went_on")

    def __init__(self, router: "Router", credit: int, call: "StreamCall | None" = None) -> None:
        self._router = router
        self._credit = credit
        self._call = call  # what an agent's handler answers; none for a task
        self._parts: list[Any] = []
        self._pull: PullCall | None = None
        self._room: Signal | None = None  # several producers may wait for it
        self._end: Outcome | None = None
        self.rests = False  # the producer waits for a person, and the consumer has patience
        self.went_on = -math.inf  # when it last ceased to

    def rest(self) -> None:
        """Let the consumer's patience have no end for a while."""
        self.rests = True

    def go_on(self) -> None:
        """Let it have one again: all of it from now on."""
        self.rests = False
        self.went_on = self._router.driver.now()
        if self._pull is not None:
            self._pull.begin_again()

    def room(self) -> int:
        """Count the parts that may still be sent before the consumer has to take some."""
        return self._credit - len(self._parts)

    def put_nowait(self, part: Any) -> None:
        """Send *part*; the caller has asked for room. What is sent after the end goes nowhere."""
        if self._end is None:
            self._parts.append(part)
            self._push()

    def offer(self, part: Any) -> bool:
        """Send *part* if that needs no waiting; say no if `put` has to."""
        if self._end is not None or len(self._parts) >= self._credit:
            return False
        self._parts.append(part)
        if self._pull is not None:
            self._push()
        return True

    async def wait_for_room(self) -> None:
        """Wait until the consumer has taken something, if it must."""
        while self.room() <= 0 and self._end is None:
            await self._wait_for_consumer()

    async def wait_for_pull(self) -> bool:
        """Wait until the consumer has taken everything and asks for more; say no if it has left."""
        while self._pull is None and self._end is None:
            await self._wait_for_consumer()
        return self._end is None

    @property
    def is_empty(self) -> bool:
        """Whether a consumer would have to wait."""
        return not self._parts and self._end is None

    @property
    def is_pulled(self) -> bool:
        """Whether a consumer waits."""
        return self._pull is not None

    @property
    def is_waiting_for_consumer(self) -> bool:
        """Whether the producer waits."""
        return self._room is not None

    async def _wait_for_consumer(self) -> None:
        if self._room is None:
            if self._call is not None:
                self._router.waits.check_credit(self._call)
            self._room = Signal(self._router.driver)
        await self._room.wait()

    async def put(self, part: Any) -> None:
        """Send *part*, waiting for room first."""
        if self._end is not None:
            await anyio.lowlevel.checkpoint()  # or a producer that never waits would never learn that it is cancelled
            return
        if self.room() <= 0:
            await self.wait_for_room()
        self.put_nowait(part)

    def end(self, outcome: Outcome) -> None:
        """Send nothing any more."""
        if self._end is None:
            self._end = outcome
            self._wake_producer()
            self._push()

    def pull(self, call: "PullCall") -> None:
        """Give *call* what is there, now or as soon as there is something."""
        self._pull = call
        if self._parts or self._end is not None:
            self._push()
        if self._room is not None:
            self._wake_producer()

    def forget(self) -> None:
        """Nobody pulls any more."""
        self._pull = None

    def take(self) -> Pulled | None:
        """Return what is there; nothing if a consumer would have to wait."""
        end = self._end
        if not self._parts and end is None:
            return None
        parts, self._parts = self._parts, []
        if self._room is not None:
            self._wake_producer()
        return Pulled(parts) if end is None else Pulled(parts, is_last=True, error=end.error)

    def _push(self) -> None:
        call = self._pull
        if call is not None and (pulled := self.take()) is not None:
            self._pull = None
            call.settle(Outcome(pulled))

    def _wake_producer(self) -> None:
        room, self._room = self._room, None
        if room is not None:
            room.set()


class Source(Protocol):
    """Where parts come from: an agent's handler, or a task."""

    channel: Channel

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

    channel: Channel

    def settle(self, outcome: Outcome) -> bool:
        """See `AskCall`; a value is sent as the last part, and the future is the pulls' affair."""
        if self.is_settled:
            return False
        self.is_settled = True
        self._router.calls.pop(self.envelope.id, None)
        self._router.timers.cancel(self)
        if self.cell.guests:
            self._router.take_back(self)
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


class _Consumer:
    """What both kinds of stream share: parts at hand, and how to ask for more."""

    def __init__(
        self,
        gateway: "Gateway",
        begin: "Callable[[Sink], Source | None]",
        idle_timeout: float,
        first_timeout: float,
    ) -> None:
        self._gateway = gateway
        self._begin = begin
        self._idle_timeout = idle_timeout
        self._timeout = first_timeout
        self._call: Source | None = None
        self._parts: deque[Any] = deque()
        self._error: BaseException | None = None
        self._is_over = False

    def _pull(self, future: "Sink") -> Call | None:
        """Open the stream at the first time, then ask for parts; on the mesh's loop."""
        if self._call is None:
            self._call = self._begin(future)
            if self._call is None:  # refused: the future has the error
                return None
        return self._call.pull(future, self._timeout)

    def _keep(self, outcome: Outcome) -> None:
        """Take over what a pull brought."""
        self._timeout = self._idle_timeout
        if outcome.error is not None:
            self._is_over, self._error = True, outcome.error
        else:
            self._keep_parts(outcome.value)

    def _keep_parts(self, pulled: Pulled) -> None:
        self._parts.extend(pulled.parts)
        self._is_over, self._error = pulled.is_last, pulled.error

    def _finish(self) -> None:
        """Raise what the stream ended with, once."""
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _leave(self) -> None:
        """Stop the producer; from any thread, also while the interpreter collects garbage."""
        self._parts.clear()
        if not self._is_over:
            self._is_over = True
            if self._call is not None:
                self._gateway.post_quietly(self._call.cancel)

    def __del__(self) -> None:
        """Stop the producer of a stream that was left by `break`."""
        if not self._is_over and self._call is not None:
            self._leave()


class Stream(_Consumer):
    """The parts of a reply, as they come: an async iterator, an async context manager, and `result`."""

    def __aiter__(self) -> AsyncIterator[Any]:
        """Return the stream itself."""
        return self

    async def __anext__(self) -> Any:
        """Return the next part."""
        while not self._parts:
            if self._is_over:
                self._finish()
                raise StopAsyncIteration
            try:
                await self._take_more()
            except BaseException:  # cancelled while it waited: the consumer has left, as from an async generator
                self._leave()
                raise
        return self._parts.popleft()

    async def _take_more(self) -> None:
        """Take what is there, or wait for something; where the parts are at hand, without the gateway's ceremony."""
        gateway, call = self._gateway, self._call
        if call is None or not gateway.may_enter():
            self._keep(await gateway.perform(self._pull))
            return
        pulled = call.channel.take()
        if pulled is not None:
            self._keep_parts(pulled)
            return
        future = gateway.future()
        wait = call.pull(future, self._timeout)
        try:
            self._keep(await future)
        except BaseException:
            wait.cancel()
            raise

    async def result(self) -> Any:
        """Read to the end; return the list of the parts not taken yet."""
        return [part async for part in self]

    async def aclose(self) -> None:
        """Take no more parts: the handler behind the stream is cancelled."""
        self._leave()

    async def __aenter__(self) -> Self:
        """Return the stream, to be closed at the end of the block."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()


class BlockingStream(_Consumer):
    """A stream for plain `for` loops."""

    def __iter__(self) -> Iterator[Any]:
        """Return the stream itself."""
        return self

    def __next__(self) -> Any:
        """Return the next part, waiting for it."""
        while not self._parts:
            if self._is_over:
                self._finish()
                raise StopIteration
            try:
                outcome = self._gateway.block("stream", self._pull)
            except BaseException:  # as above; here it is Ctrl-C
                self._leave()
                raise
            self._keep(outcome)
        return self._parts.popleft()

    def result(self) -> Any:
        """Read to the end; return the list of the parts not taken yet."""
        return list(self)

    def close(self) -> None:
        """Take no more parts: the handler behind the stream is cancelled."""
        self._leave()

    def __enter__(self) -> Self:
        """Return the stream, to be closed at the end of the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
