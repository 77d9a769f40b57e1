"""Tasks of one run that end together: the first failure cancels the others, and is raised as it is.

A task group would wrap it into a group of errors, and would take a stray cancellation for its own.
"""

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Final, Self

import anyio

from ceylon.errors import describe

__all__ = ["Crew"]

_ALSO: Final = "meanwhile there was also "
_MOST_TOLD: Final = 5  # failures beside the first; of a thousand nobody reads the rest


class Crew:
    """An async context manager.

    *cancellation* is what the loop raises to cancel a task, *asides* collects what tasks raise instead of that.
    """

    def __init__(self, cancellation: type[BaseException], asides: list[BaseException]) -> None:
        self._cancellation, self._asides = cancellation, asides
        self._group = anyio.create_task_group()
        self._first: BaseException | None = None

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        if error is not None and not isinstance(error, self._cancellation):
            self.fail(error)
            kind = error = traceback = None
        is_handled = await self._group.__aexit__(kind, error, traceback)
        if self._first is not None:
            while self._asides:
                self._add(self._first, self._asides.pop())
            raise self._first
        return is_handled

    def start(self, function: Callable[..., Awaitable[None]], *arguments: Any) -> None:
        """Run *function* in a task of the crew."""
        self._group.start_soon(self._guard, function, arguments)

    def fail(self, error: BaseException) -> None:
        """Let the crew end with *error*; of several the first counts, and has the others in its notes."""
        if self._first is None:
            self._first = error
        else:
            self._add(self._first, error)
        self.cancel()

    @staticmethod
    def _add(first: BaseException, other: BaseException) -> None:
        told = sum(note.startswith(_ALSO) for note in getattr(first, "__notes__", ()))
        if other is not first and told <= _MOST_TOLD:
            first.add_note(_ALSO + (describe(other) if told < _MOST_TOLD else "more of them"))

    def cancel(self) -> None:
        """Let the tasks that still run be cancelled, and the block go on at its end."""
        self._group.cancel_scope.cancel()

    async def _guard(self, function: Callable[..., Awaitable[None]], arguments: tuple[Any, ...]) -> None:
        try:
            await function(*arguments)
        except self._cancellation:
            raise
        except BaseException as error:  # noqa: BLE001 – raised where the block ends
            self.fail(error)
