"""The consumer's side of a stream: many replies to one envelope, as tasks and threads take them.

It pulls whatever is there in one go, so that a consumer in another thread pays for a batch, not for a part. The
producer's side is a `channel`; between them stand `stream_calls`.
"""

from collections import deque
from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable

    from ceylon.core.backend import Sink
    from ceylon.core.calls import Call
    from ceylon.core.channel import Pulled
    from ceylon.core.gateway import Gateway
    from ceylon.core.stream_calls import Source
    from ceylon.messages import Outcome

__all__ = ["BlockingStream", "Stream"]


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

    def _pull(self, future: "Sink") -> "Call | None":
        """Open the stream at the first time, then ask for parts; on the mesh's loop."""
        if self._call is None:
            self._call = self._begin(future)
            if self._call is None:  # refused: the future has the error
                return None
        return self._call.pull(future, self._timeout)

    def _keep(self, outcome: "Outcome") -> None:
        """Take over what a pull brought."""
        self._timeout = self._idle_timeout
        if outcome.error is not None:
            self._is_over, self._error = True, outcome.error
        else:
            self._keep_parts(outcome.value)

    def _keep_parts(self, pulled: "Pulled") -> None:
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
