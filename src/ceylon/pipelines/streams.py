"""The events of a run as they come, and its result at the end."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from types import TracebackType
from typing import Any, Self

from ceylon.core.streams import BlockingStream, Stream
from ceylon.errors import CeylonError, HandlerError
from ceylon.pipelines.events import StageEvent

__all__ = ["BlockingPipelineStream", "PipelineStream"]


class _Result:
    """What both kinds share: the result, which comes with the last event."""

    def __init__(self) -> None:
        self._result: Any = None
        self._has_result = False

    def _take(self, event: StageEvent) -> StageEvent:
        if event.parent == 0 and event.what == "ended":
            self._result, self._has_result = event.value, True
        return event

    def _whole(self) -> Any:
        if not self._has_result:
            message = "the stream was closed before the run's end, so there is no result"
            raise CeylonError(message)
        return self._result


class PipelineStream(_Result):
    """An async iterator of events; a context manager too, so that leaving it early cancels the run."""

    def __init__(self, begin: Callable[[], Awaitable[Stream]]) -> None:
        super().__init__()
        self._begin = begin  # kept to the end: it holds the pipeline
        self._has_begun = False
        self._stream: Stream | None = None

    def __aiter__(self) -> AsyncIterator[StageEvent]:
        """Return the stream itself."""
        return self

    async def __anext__(self) -> StageEvent:
        """Return the next event.

        Raises:
            HandlerError: an agent failed, after the events that tell of it; likewise whatever else a stage raises.
        """
        if not self._has_begun:
            self._has_begun = True
            self._stream = await self._begin()
        if self._stream is None:
            raise StopAsyncIteration
        try:
            return self._take(await anext(self._stream))
        except HandlerError as error:
            found = error.inside()
        raise found from found.__cause__

    async def result(self) -> Any:
        """Read to the end; return what came out, also if its event was taken before."""
        async for _ in self:
            pass
        return self._whole()

    async def aclose(self) -> None:
        """Take no more: the run is cancelled."""
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


class BlockingPipelineStream(_Result):
    """The same for plain `for` loops."""

    def __init__(self, begin: Callable[[], BlockingStream]) -> None:
        super().__init__()
        self._begin = begin  # kept to the end: it holds the pipeline
        self._has_begun = False
        self._stream: BlockingStream | None = None

    def __iter__(self) -> Iterator[StageEvent]:
        """Return the stream itself."""
        return self

    def __next__(self) -> StageEvent:
        """Return the next event, waiting for it."""
        if not self._has_begun:
            self._has_begun = True
            self._stream = self._begin()
        if self._stream is None:
            raise StopIteration
        try:
            return self._take(next(self._stream))
        except HandlerError as error:
            found = error.inside()
        raise found from found.__cause__

    def result(self) -> Any:
        """Read to the end; return what came out, also if its event was taken before."""
        for _ in self:
            pass
        return self._whole()

    def close(self) -> None:
        """Take no more: the run is cancelled."""
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
