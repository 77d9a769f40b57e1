"""How the verbs of `ceylon.compat` run: on a mesh's loop always, and their callers wait, await or look.

`ceylonai-next` 0.1.2 blocks where 0.3.6 returns something to await. Here the caller's thread decides: where no event
loop runs in it, a verb waits (and other threads go on); where one does, it begins at once and returns what to await.
"""

import functools
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from ceylon.core import tasks
from ceylon.core.backend import current_driver, running_loop
from ceylon.core.default import default_mesh
from ceylon.core.sinks import ForeignSink
from ceylon.core.verbs import source_in
from ceylon.errors import CeylonError, MeshClosedError
from ceylon.messages import Outcome, attempt

if TYPE_CHECKING:
    from ceylon.core.backend import Sink
    from ceylon.core.calls import Call
    from ceylon.core.interior import Interior

__all__ = ["as_runtime_error", "begin", "block", "do", "finish", "look", "loop_runs"]

_INSTEAD: Final = "`await` and the verb without `_sync`"


def loop_runs() -> bool:
    """Say whether an event loop runs in the calling thread."""
    return running_loop() is not None


def do(interior: "Interior", verb: str, function: Callable[[], Awaitable[Any]]) -> Any:
    """Run the async *function* on the mesh's loop: wait for it, or where a loop runs return what to await."""
    return begin(interior, function) if loop_runs() else block(interior, verb, function)


def block(interior: "Interior", verb: str, function: Callable[[], Awaitable[Any]]) -> Any:
    """Run the async *function* on the mesh's loop and wait, whatever runs in this thread.

    Raises:
        BlockingCallError: this thread runs the mesh's own loop.
    """
    operation = functools.partial(tasks.run, interior, function, source_in(interior))
    try:
        return interior.gateway.block(verb, operation, _INSTEAD, may_warn=False).get()
    except CeylonError as error:
        raise as_runtime_error(error) from error.__cause__


def finish(function: Callable[[], Awaitable[Any]]) -> Any:
    """Run the async *function* on the loop of the process's own mesh and wait."""
    return block(default_mesh().interior, "invoke", function)


def look(interior: "Interior", function: Callable[[], Any]) -> Any:
    """Return what the plain *function* says on the mesh's loop, or here if that has ended.

    It takes no time, so it does not matter who asks.
    """
    if interior.gateway.is_inside() or not interior.is_open:
        return function()

    def operation(sink: "Sink") -> None:
        sink.set_result(attempt(function))

    try:
        outcome = interior.gateway.block("look", operation, may_warn=False)
    except MeshClosedError:  # meanwhile
        return function()
    return outcome.get()


def begin(interior: "Interior", function: Callable[[], Awaitable[Any]]) -> Awaitable[Any]:
    """Run the async *function* on the mesh's loop from now on; return what to await here, which nobody has to.

    On asyncio that is a future of the running loop, as the verbs of 0.3.6 return.
    """
    arrival, source, calls = _Arrival(current_driver()), source_in(interior), list["Call"]()
    interior.gateway.post(lambda: calls.append(tasks.run(interior, function, source, arrival)))

    def abandon() -> None:
        for call in calls:
            call.cancel()

    return arrival.awaitable(lambda: interior.gateway.post_quietly(abandon))


class _Arrival(ForeignSink):
    """An outcome on its way to the loop of whoever awaits it; on asyncio the future ends as the verb does."""

    future: Any

    def awaitable(self, abandon: Callable[[], object]) -> Awaitable[Any]:
        """Return what to await; *abandon* is called if that is cancelled."""
        if not hasattr(self.future, "set_exception"):  # trio's, which we made ourselves
            return _Outcome(self.future)

        def look(future: Any) -> None:
            if future.cancelled():
                abandon()

        self.future.add_done_callback(look)
        future: Awaitable[Any] = self.future
        return future

    def _arrive(self, result: Outcome) -> None:
        if self.future.done() or not hasattr(self.future, "set_exception"):
            super()._arrive(result)
        elif result.error is None:
            self.future.set_result(result.value)
        elif isinstance(result.error, Exception):
            self.future.set_exception(as_runtime_error(result.error))
        else:  # the mesh has ended
            self.future.cancel()


class _Outcome:
    """What a verb has come to, to be awaited on trio."""

    def __init__(self, future: Awaitable[Outcome]) -> None:
        self._future = future

    def __await__(self) -> Any:
        outcome = yield from self._future.__await__()
        try:
            return outcome.get()
        except CeylonError as error:
            raise as_runtime_error(error) from error.__cause__


def as_runtime_error(error: Exception) -> Exception:
    """Return *error*; ``except RuntimeError`` catches it from now on, if it is one of ours, as in `ceylonai-next`."""
    if isinstance(error, CeylonError) and not isinstance(error, RuntimeError):
        kind: Any = type(error)
        error.__class__ = _also_runtime_error(kind)
    return error


@functools.cache
def _also_runtime_error(kind: type[CeylonError]) -> type[CeylonError]:
    facts = {"__module__": kind.__module__, "__qualname__": kind.__qualname__, "__doc__": kind.__doc__}
    return type(kind.__name__, (kind, RuntimeError), {**facts, "__reduce__": functools.partialmethod(_reduce, kind)})


def _reduce(error: CeylonError, kind: type[CeylonError]) -> tuple[Any, ...]:
    """Have *error* pickled as what it was before; the class it has is made here, and no module holds it."""
    function, (_, *facts) = CeylonError.__reduce__(error)
    return _revived, (function, (kind, *facts))


def _revived(function: Callable[..., CeylonError], facts: tuple[Any, ...]) -> Exception:
    return as_runtime_error(function(*facts))
