"""What an `LlmAgent` sends piece by piece: text, typed parts with the whole reply at the end, answers of a batch.

A stream is opened by the first piece that is asked for; so every error comes where it is awaited.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from ceylon.core.late_streams import BlockingLateStream, LateStream
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
    """What all kinds share: what to pick from the parts, and the whole reply, which comes as the last of them.

    The model's own error is raised where the next piece is asked for.
    """

    _pick: Callable[[Any], T | None]
    _reply: Reply[Any] | None = None

    def _take(self, part: Any) -> T | None:
        if isinstance(part, ReplyPart):
            self._reply = part.reply
        return self._pick(part)

    def _told(self, error: HandlerError) -> BaseException:
        return error.root

    def _whole(self) -> Reply[Any]:
        if self._reply is None:
            message = "the stream was closed before its end, so there is no whole reply"
            raise ModelProtocolError(message)
        return self._reply


class Pieces(_Picker[T], LateStream[T]):
    """An async iterator; a context manager too, so that leaving it early stops what is behind."""

    def __init__(self, begin: Callable[[], Awaitable[Stream]], pick: Callable[[Any], T | None]) -> None:
        super().__init__(begin)
        self._pick = pick


class LlmStream(Pieces[T]):
    """A model's answer as it comes."""

    async def result(self) -> Reply[Any]:
        """Read to the end; return the whole reply, also what was taken before, with its usage."""
        async for _ in self:
            pass
        return self._whole()


class BlockingPieces(_Picker[T], BlockingLateStream[T]):
    """An iterator for plain `for` loops; a context manager too."""

    def __init__(self, begin: Callable[[], BlockingStream], pick: Callable[[Any], T | None]) -> None:
        super().__init__(begin)
        self._pick = pick


class BlockingLlmStream(BlockingPieces[T]):
    """A model's answer as it comes, for plain `for` loops."""

    def result(self) -> Reply[Any]:
        """Read to the end; return the whole reply, also what was taken before, with its usage."""
        for _ in self:
            pass
        return self._whole()
