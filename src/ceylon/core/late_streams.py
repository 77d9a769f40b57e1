"""Streams that are opened by the first part that is asked for, so that every error comes where it is awaited.

What is inside is a mesh's own stream. Subclasses say what a part becomes, and what an agent's error is to their users.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from ceylon.core.streams import BlockingStream, Stream
from ceylon.errors import HandlerError

__all__ = ["BlockingLateStream", "LateStream"]

T = TypeVar("T")


class _Taking(Generic[T]):
    """What both kinds ask their subclasses."""

    def _take(self, part: Any) -> T | None:
        """Return what *part* is to whoever iterates; `None`: nothing."""
        raise NotImplementedError

    def _told(self, error: HandlerError) -> BaseException:
        """Return what is raised for *error*."""
        raise NotImplementedError


class LateStream(_Taking[T]):
    """An async iterator; a context manager too, so that leaving it early stops what is behind."""

    def __init__(self, begin: Callable[[], Awaitable[Stream]]) -> None:
        self._begin = begin  # kept to the end: it holds whose stream this is
        self._has_begun = False
        self._stream: Stream | None = None

    def __aiter__(self) -> AsyncIterator[T]:
        """Return the stream itself."""
        return self

    async def __anext__(self) -> T:
        """Return the next one; the first opens the stream."""
        if not self._has_begun:
            self._has_begun = True
            self._stream = await self._begin()
        while self._stream is not None:
            try:
                part = await anext(self._stream)
            except HandlerError as error:
                told = self._told(error)
            else:
                taken = self._take(part)
                if taken is None:
                    continue
                return taken
            raise told from told.__cause__
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Take no more: what is behind is cancelled."""
        self._has_begun = True
        if self._stream is not None:
            await self._stream.aclose()

    async def __aenter__(self) -> Self:
        """Return the stream, to be closed at the end of the block."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()


class BlockingLateStream(_Taking[T]):
    """The same for plain `for` loops."""

    def __init__(self, begin: Callable[[], BlockingStream]) -> None:
        self._begin = begin  # as above
        self._has_begun = False
        self._stream: BlockingStream | None = None

    def __iter__(self) -> Iterator[T]:
        """Return the stream itself."""
        return self

    def __next__(self) -> T:
        """Return the next one, waiting for it; the first opens the stream."""
        if not self._has_begun:
            self._has_begun = True
            self._stream = self._begin()
        while self._stream is not None:
            try:
                part = next(self._stream)
            except HandlerError as error:
                told = self._told(error)
            else:
                taken = self._take(part)
                if taken is None:
                    continue
                return taken
            raise told from told.__cause__
        raise StopIteration

    def close(self) -> None:
        """Take no more: what is behind is cancelled."""
        self._has_begun = True
        if self._stream is not None:
            self._stream.close()

    def __enter__(self) -> Self:
        """Return the stream, to be closed at the end of the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
