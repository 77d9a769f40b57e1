"""What an `LlmAgent` sends piece by piece: text, typed parts with the whole reply at the end, answers of a batch.

A stream is opened by the first piece that is asked for; so every error comes where it is awaited.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from ceylon.core.streams import BlockingStream, Stream
from ceylon.errors import HandlerError, ModelProtocolError
from ceylon.models.turns import Part, Reply, ReplyPart, TextPart

__all__ = ["BlockingLlmStream", "BlockingPieces", "LlmStream", "Pieces", "as_it_is", "as_text"]

T = TypeVar("T")


def as_text(part: Part) -> str | None:
    """Return the text of a text part."""
    return part.text if isinstance(part, TextPart) else None


def as_it_is(part: Any) -> Any:
    """Return every part as it is."""
    return part


class _Picker(Generic[T]):
    """What all kinds share: what to pick from the parts, and the whole reply, which comes as the last of them."""

    def __init__(self, pick: Callable[[Any], T | None]) -> None:
        self._pick = pick
        self._reply: Reply[Any] | None = None

    def _take(self, part: Any) -> T | None:
        if isinstance(part, ReplyPart):
            self._reply = part.reply
        return self._pick(part)

    def _whole(self) -> Reply[Any]:
        if self._reply is None:
            message = "the stream was closed before its end, so there is no whole reply"
            raise ModelProtocolError(message)
        return self._reply


class Pieces(_Picker[T]):
    """An async iterator; a context manager too, so that leaving it early stops what is behind."""

    def __init__(self, begin: Callable[[], Awaitable[Stream]], pick: Callable[[Any], T | None]) -> None:
        super().__init__(pick)
        self._begin = begin  # kept to the end: it holds the agent
        self._has_begun = False
        self._stream: Stream | None = None

    def __aiter__(self) -> AsyncIterator[T]:
        """Return the stream itself."""
        return self

    async def __anext__(self) -> T:
        """Return the next piece.

        Raises:
            ModelError: the model did not answer as it should.
        """
        if not self._has_begun:
            self._has_begun = True
            self._stream = await self._begin()
        while self._stream is not None:
            try:
                part = await anext(self._stream)
            except HandlerError as error:
                root = error.root
            else:
                picked = self._take(part)
                if picked is None:
                    continue
                return picked
            raise root from root.__cause__
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Take no more: the request to the model is cancelled."""
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


class LlmStream(Pieces[T]):
    """A model's answer as it comes."""

    async def result(self) -> Reply[Any]:
        """Read to the end; return the whole reply, also what was taken before, with its usage."""
        async for _ in self:
            pass
        return self._whole()


class BlockingPieces(_Picker[T]):
    """An iterator for plain `for` loops; a context manager too."""

    def __init__(self, begin: Callable[[], BlockingStream], pick: Callable[[Any], T | None]) -> None:
        super().__init__(pick)
        self._begin = begin  # kept to the end: it holds the agent
        self._has_begun = False
        self._stream: BlockingStream | None = None

    def __iter__(self) -> Iterator[T]:
        """Return the stream itself."""
        return self

    def __next__(self) -> T:
        """Return the next piece, waiting for it."""
        if not self._has_begun:
            self._has_begun = True
            self._stream = self._begin()
        while self._stream is not None:
            try:
                part = next(self._stream)
            except HandlerError as error:
                root = error.root
            else:
                picked = self._take(part)
                if picked is None:
                    continue
                return picked
            raise root from root.__cause__
        raise StopIteration

    def close(self) -> None:
        """Take no more: the request to the model is cancelled."""
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


class BlockingLlmStream(BlockingPieces[T]):
    """A model's answer as it comes, for plain `for` loops."""

    def result(self) -> Reply[Any]:
        """Read to the end; return the whole reply, also what was taken before, with its usage."""
        for _ in self:
            pass
        return self._whole()
