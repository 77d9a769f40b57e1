"""Run what a handler returned unfinished, a generator or a coroutine, to its end.

A plain generator may block, so it advances in a worker thread: as far as the consumer has given credit, sending each
part the moment it is there. While the consumer takes its time, no thread is held.
"""

import contextlib
import functools
import inspect
import threading
from collections import deque
from collections.abc import AsyncGenerator, Generator
from typing import TYPE_CHECKING, Any, cast

import anyio

from ceylon.core.current import current
from ceylon.core.limits import limit_of
from ceylon.messages import ASK, STREAM, TELL

if TYPE_CHECKING:
    from ceylon.core.channel import Channel
    from ceylon.core.context import BlockingContext, Context
    from ceylon.core.stream_calls import StreamCall
    from ceylon.core.threads import ThreadPool

__all__ = ["settle_lazy"]


async def settle_lazy(result: Any, context: "Context", threads: "ThreadPool", *, threaded: bool) -> Any:
    """Run *result* to its end; its parts go to the asker's channel, or are returned as a list.

    *threaded* says that a plain generator may block.
    """
    if inspect.iscoroutine(result):
        return await result
    channel = _channel_of(context)
    if not isinstance(result, Generator):
        return await _exhaust(result, context, channel)
    generator = cast("Generator[Any, None, Any]", result)
    if threaded:
        return await _Advance(generator, context, threads).run(channel)
    return await _exhaust(_stepwise(generator), context, channel)


def _channel_of(context: "Context") -> "Channel | None":
    """Return where the parts go, if the envelope is a stream."""
    if context.envelope.kind is not STREAM:
        return None
    call: StreamCall | None = context.interior.router.calls.get(context.envelope.id)  # type: ignore[assignment]
    return call.channel if call is not None else None


async def _exhaust(parts: AsyncGenerator[Any, None], context: "Context", channel: "Channel | None") -> Any:
    """Send or keep the parts of an async generator."""
    kept: list[Any] = []
    limit = limit_of(context)
    async with contextlib.aclosing(parts):
        async for part in parts:
            if limit is not None:
                limit.rest()
            if channel is not None:
                if not channel.offer(part):
                    await channel.put(part)
            elif context.envelope.kind is ASK:
                kept.append(part)
            if limit is not None:
                limit.begin()
    return None if channel is not None else kept


async def _stepwise(generator: "Generator[Any, None, Any]") -> AsyncGenerator[Any, None]:
    """Give the parts of an inline generator, which never blocks."""
    with contextlib.closing(generator):
        for part in generator:
            yield part


class _Advance:
    """One plain generator, advanced in threads."""

    def __init__(self, generator: "Generator[Any, None, Any]", context: "Context", threads: "ThreadPool") -> None:
        self._generator = generator
        self._threads = threads
        self._post = context.interior.gateway.post_quietly
        self._keeps = context.envelope.kind is ASK
        self._limit = limit_of(context)
        self._batch = context.interior.settings.stream_credit if self._limit is None else 1
        self._context: BlockingContext = threads.context_for(context)
        interior, envelope = context.interior, context.envelope
        self._dispatcher, self._calls = interior.dispatcher, interior.router.calls
        self._has_asker = envelope.kind is not TELL and not self._dispatcher.is_shielded(envelope, context.cell)
        self._arrived: deque[Any] = deque()
        self._is_armed = False
        self._is_left = False
        self._turn = threading.Lock()  # one thread at a time advances it, or closes it

    async def run(self, channel: "Channel | None") -> Any:
        """Advance the generator to its end; return its parts if they are not sent."""
        try:
            if channel is None:
                return await self._collect()
            is_over = False
            while not is_over:
                await self._wait_for_room(channel)
                is_over = await self._threads.run(functools.partial(self._advance, channel.room(), channel))
                await self._heed_asker()
        finally:
            self._is_left = True
            self._threads.submit(self._close)
        return None

    async def _wait_for_room(self, channel: "Channel") -> None:
        """Wait until the consumer has taken enough; that is not the handler's time."""
        if self._limit is not None:
            self._limit.rest()
        await channel.wait_for_room()
        if self._limit is not None:
            self._limit.begin()

    async def _collect(self) -> list[Any]:
        kept: list[Any] = []
        is_over = False
        while not is_over:
            is_over = await self._threads.run(lambda: self._advance(self._batch, None))
            await self._heed_asker()
            if self._keeps:
                kept.extend(self._arrived)
            self._arrived.clear()
            if self._limit is not None:
                self._limit.begin()
        return kept

    def _is_alone(self) -> bool:
        """Say whether the asker has left, so that the next part is one too many; from any thread."""
        is_waited_for = self._context.envelope.id in self._calls or self._context.has_replied
        return self._has_asker and not is_waited_for

    async def _heed_asker(self) -> None:
        """Let the handler be cancelled now if its asker left while a thread was in it, which nothing could cancel."""
        if self._is_alone():
            self._dispatcher.abandon(self._context.envelope, self._context.cell)
            await anyio.lowlevel.checkpoint()

    def _advance(self, most: int, channel: "Channel | None") -> bool:
        """Take up to *most* parts; say whether the generator is at its end. On a thread."""
        try:
            return self._take_parts(most, channel)
        finally:
            if self._is_left:  # whoever left could not close it while it ran
                self._close()

    def _take_parts(self, most: int, channel: "Channel | None") -> bool:
        with self._turn:
            token = current.set(self._context)
            try:
                for _ in range(most):
                    if self._is_left or self._is_alone():
                        return True
                    try:
                        part = next(self._generator)
                    except StopIteration:
                        return True
                    self._arrived.append(part)
                    if channel is not None and not self._is_armed:
                        self._is_armed = True
                        self._post(lambda: self._send(channel))
            finally:
                current.reset(token)
        return False

    def _send(self, channel: "Channel") -> None:
        """Pass on what the thread has put down; on the loop."""
        self._is_armed = False
        while self._arrived:
            channel.put_nowait(self._arrived.popleft())
        if self._limit is not None:
            self._limit.begin()

    def _close(self) -> None:
        """Run the generator's `finally`, on a thread; it may block. While it runs, that thread does it later."""
        if not self._turn.acquire(blocking=False):
            return
        token = current.set(self._context)
        try:
            self._generator.close()
        finally:
            current.reset(token)
            self._turn.release()
