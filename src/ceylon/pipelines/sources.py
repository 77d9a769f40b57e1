"""Where the items of a flow come from: a list, an iterator that may block, an async iterator."""

import threading
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Callable,
    Collection,
    Iterable,
    Iterator,
    MutableMapping,
    MutableSequence,
    MutableSet,
)
from typing import TYPE_CHECKING, Any, Final

import anyio

from ceylon.core.invocation import call_as
from ceylon.pipelines.flow import Emit, Flow

if TYPE_CHECKING:
    from ceylon.pipelines.running import Run, Unit

__all__ = ["AsyncItems", "ThreadItems", "flow_of"]

_OVER: Final = object()


def flow_of(run: "Run", value: Any, unit: "Unit") -> Flow:
    """Return the items of *value*, whatever it is that has some; *unit* is to blame for what goes wrong.

    Raises:
        TypeError: it has none.
    """
    if isinstance(value, Flow):
        return value
    make = _maker_for(value)
    if make is not None:
        return make(run, value, unit)
    message = f"{type(value).__name__!r} object is not iterable"
    raise TypeError(message)


def _maker_for(value: object) -> "Callable[[Run, Any, Unit], Flow] | None":
    return next((make for kind, make in _KINDS if isinstance(value, kind)), None)


def _each_of(value: Iterable[Any]) -> Iterator[Any]:
    """Yield what *value* has; its own `__iter__` may block, too."""
    yield from value


def _all_there(_: "Run", value: Any, __: "Unit") -> Flow:
    return _Items(value)


def _async(run: "Run", value: Any, unit: "Unit") -> Flow:
    return AsyncItems(run, aiter(value), unit)


def _blocking(run: "Run", value: Any, unit: "Unit") -> Flow:
    return ThreadItems(run, _each_of(value), unit)


class _Items(Flow):
    """Items that are all there."""

    def __init__(self, items: Collection[Any]) -> None:
        self._items = items

    async def drive(self, emit: Emit) -> None:
        """See `Flow`; what somebody may change meanwhile is taken as it was."""
        is_live = isinstance(self._items, MutableSequence | MutableSet | MutableMapping)
        for item in list(self._items) if is_live else self._items:
            await emit(item)

    async def collect(self) -> list[Any]:
        return list(self._items)

    def abandon(self) -> None:
        """There is nothing to close."""


class AsyncItems(Flow):
    """The items of an async iterator, which runs in one task from its first step to its last."""

    def __init__(self, run: "Run", items: AsyncIterator[Any], unit: "Unit") -> None:
        self._run, self._items, self._unit = run, items, unit

    async def drive(self, emit: Emit) -> None:
        """See `Flow`."""
        try:
            await self._run.on_loop(self._pass_on, emit)
        except BaseException as error:
            self._run.blame(error, self._unit)
            raise

    def abandon(self) -> None:
        """Nothing of it has run."""

    async def _pass_on(self, emit: Emit) -> None:
        try:
            async for item in self._items:
                await emit(item)
        finally:
            close = getattr(self._items, "aclose", None)
            if close is not None:
                with anyio.move_on_after(self._run.interior.grace(), shield=True):  # what it does at its end may wait
                    await close()


class ThreadItems(Flow):
    """The items of a plain iterator, which may block: each is got in a thread, and none is held in between."""

    def __init__(self, run: "Run", items: Iterator[Any], unit: "Unit") -> None:
        self._run, self._items, self._unit = run, items, unit
        self._blocking = run.interior.threads.context_for(run.context)
        self._turn = threading.Lock()  # one thread at a time advances it, or closes it
        self._is_left = False

    async def drive(self, emit: Emit) -> None:
        """See `Flow`."""
        is_over = False
        try:
            while (item := await self._next()) is not _OVER:
                await emit(item)
            is_over = True
        finally:
            self._is_left = True
            if not is_over:
                self._run.interior.threads.submit(self._close)

    def abandon(self) -> None:
        """Nothing of it has run."""

    async def _next(self) -> Any:
        run = self._run
        try:
            return await run.in_thread(self._advance)
        except BaseException as error:
            run.blame(error, self._unit)
            raise

    def _advance(self) -> Any:
        """Get one item; on a thread."""
        try:
            with self._turn:
                return _OVER if self._is_left else next(self._items, _OVER)
        finally:
            if self._is_left:  # whoever left could not close it while it ran
                self._close()

    def _close(self) -> None:
        """Run what a generator does at its end, on a thread. While it runs, that thread does it later."""
        close = getattr(self._items, "close", None)
        if close is None or not self._turn.acquire(blocking=False):
            return
        try:
            call_as(self._blocking, close)
        except BaseException as error:  # noqa: BLE001 – nobody waits for it any more
            self._run.context.log.warning("generator_failed", stage=self._unit.label, error=repr(error))
        finally:
            self._turn.release()


_KINDS: Final[tuple[tuple[type, Callable[["Run", Any, "Unit"], Flow]], ...]] = (
    (AsyncIterable, _async),
    (Collection, _all_there),
    (Iterator, ThreadItems),
    (Iterable, _blocking),
)
"""In this order: what may block is iterated in threads."""
