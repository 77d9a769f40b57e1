"""Let a parked asyncio task run on the stack of a task that waits for what it does, without a turn of the loop.

An ask of an idle agent costs two turns otherwise, and those are more than half of its time. The parked task is resumed
by hand, as itself: asyncio is told that it is the current one, and it has its own variables. When it parks again,
nobody has noticed. When it comes to wait for something else, its `Parking`, which is what asyncio believes it awaits,
stands for that from then on, cancellations included.

What runs so must not end the task: that is the loop's to see (`Task.leave_step`).
"""

import asyncio
import contextvars
from collections.abc import Generator
from typing import Any, Final

__all__ = ["Parking", "Steps"]

_MOST_NESTED: Final = 8  # steps within each other; what they run may need much of the interpreter's stack itself
_MOST_STEPS: Final = 64  # steps before one of those who ask has to wait for the loop; as many as a worker's messages
_MOST_REGULARS: Final = 16

_NO_VARIABLES: Final = contextvars.Context()


class Steps:
    """Which steps the tasks of one loop may take for others."""

    __slots__ = ("_left", "_regulars", "loop", "nested")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.nested = 0  # steps under way, one within the other
        self._left = _MOST_STEPS
        self._regulars: dict[int, None] = {}  # tasks that have asked lately; their identities, so as to keep none alive

    def may_begin(self, caller: "asyncio.Task[Any]") -> bool:
        """Say whether there may be another step, for *caller*.

        Not too many within each other, nor one after the other: the loop has to get its turn. Nor for a task that has
        not asked before: when many ask once, one worker that handles all of it in one go is cheaper.
        """
        self._left -= 1
        if self._left < 0:
            self._left = _MOST_STEPS
            return False
        if self.nested:
            return self.nested < _MOST_NESTED
        who, regulars = id(caller), self._regulars
        if who in regulars:
            return True
        if len(regulars) >= _MOST_REGULARS:
            del regulars[next(iter(regulars))]
        regulars[who] = None
        return False


class Parking(asyncio.Future[None]):
    """What a parked task awaits.

    If the task was made to take steps meanwhile, this stands for what those have led it to await: the loop knows of
    nothing else.
    """

    _awaited: "asyncio.Future[Any] | None" = None

    def __await__(self) -> Generator[Any, None, None]:
        """Wait; unlike any other future's, this may go on before there is a result, by a step."""
        self._asyncio_future_blocking = True
        yield self

    def stand_for(self, awaited: Any) -> None:
        """End when *awaited* does, which the task has yielded."""
        if awaited is None:  # it gives way for one turn of the loop
            self.get_loop().call_soon(self._go_on, context=_NO_VARIABLES)
        elif getattr(awaited, "_asyncio_future_blocking", None) and awaited.get_loop() is self.get_loop():
            awaited._asyncio_future_blocking = False  # noqa: SLF001 – what a task answers to what it is given
            if awaited is not self:
                self._awaited = awaited
                awaited.add_done_callback(self._go_on, context=_NO_VARIABLES)
        else:
            self.set_exception(RuntimeError(f"Task got bad yield: {awaited!r}"))

    def _go_on(self, _: object = None) -> None:
        self._awaited = None
        if not self.done():
            self.set_result(None)

    def cancel(self, msg: Any = None) -> bool:
        """Cancel what it stands for, as the task would if it knew of it."""
        return super().cancel(msg) if self._awaited is None else self._awaited.cancel(msg)
