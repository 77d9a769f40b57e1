"""The events of a run as they come, and its result at the end."""

from collections.abc import Awaitable, Callable
from typing import Any, Generic

from ceylon.core.composing import Out
from ceylon.core.late_streams import BlockingLateStream, LateStream
from ceylon.core.streams import BlockingStream, Stream
from ceylon.errors import CeylonError, HandlerError
from ceylon.pipelines.events import StageEvent

__all__ = ["BlockingPipelineStream", "PipelineStream"]


class _Result(Generic[Out]):
    """What both kinds share: the result, which comes with the last event, and errors as `Pipeline.run` raises them."""

    _value: Any = None
    _has_value = False

    def _take(self, part: StageEvent) -> StageEvent:
        if part.parent == 0 and part.what == "ended":
            self._value, self._has_value = part.value, True
        return part

    def _told(self, error: HandlerError) -> BaseException:
        return error.inside()

    def _whole(self) -> Out:
        if not self._has_value:
            message = "the stream was closed before the run's end, so there is no result"
            raise CeylonError(message)
        value: Out = self._value
        return value


class PipelineStream(_Result[Out], LateStream[StageEvent]):
    """An async iterator of events; a context manager too, so that leaving it early cancels the run.

    An agent's failure is raised, after the events that tell of it, as a `HandlerError`; likewise whatever else a stage
    raises.
    """

    def __init__(self, begin: Callable[[], Awaitable[Stream]]) -> None:
        super().__init__(begin)

    async def result(self) -> Out:
        """Read to the end; return what came out, also if its event was taken before."""
        async for _ in self:
            pass
        return self._whole()


class BlockingPipelineStream(_Result[Out], BlockingLateStream[StageEvent]):
    """The same for plain `for` loops."""

    def __init__(self, begin: Callable[[], BlockingStream]) -> None:
        super().__init__(begin)

    def result(self) -> Out:
        """Read to the end; return what came out, also if its event was taken before."""
        for _ in self:
            pass
        return self._whole()
