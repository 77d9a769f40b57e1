"""Let a parked asyncio task run on the stack of a task that waits for what it does, without a turn of the loop.

An ask of an idle agent costs two turns otherwise, and those are more than half of its time. The parked task is resumed
by hand, as itself: asyncio is told that it is the current one, and it has its own variables. When it parks again,
nobody has noticed. When it comes to wait for something else, its `Parking`, which is what asyncio believes it awaits,
stands for that from then on, cancellations included.

A step may be within another, whose handler asks, up to a small depth. From there on the innermost step takes one task
after the other (`Steps.follow`): an asker waits, who is asked runs, and with the answer the asker goes on. So a chain
of asks is answered without the loop however long it is, and takes no more of the stack.

What runs so must not end the task: that is the loop's to see (`Task.leave_step`).
"""

import asyncio
import contextvars
import weakref
from collections.abc import Generator
from typing import Any, Final, Protocol

__all__ = ["Parking", "Steps", "steps_of"]

_MOST_NESTED: Final = 8  # steps within each other; what they run may need much of the interpreter's stack itself
_MOST_STEPS: Final = 64  # steps before one of those who ask has to wait for the loop; as many as a worker's messages
_MOST_MORE: Final = 256  # as many more within a step: there it is everybody up the chain who has to wait
_MOST_REGULARS: Final = 16


class Stepping(Protocol):
    """A task that can be resumed by hand."""

    place: "Parking | None"  # what asyncio believes it awaits

    def may_go_on(self) -> bool:
        """Say whether nobody has cancelled it meanwhile; then it is the loop that has to resume it."""
        ...

    def go_on(self) -> Any:
        """Run the task here and now until it waits again; return what it has yielded."""
        ...


class Steps:
    """Which steps the tasks of one loop may take for others; its meshes share the stack and the turns."""

    __slots__ = ("__weakref__", "_left", "_regulars", "following", "loop", "nested", "no_variables", "own")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.own: set[asyncio.Task[None]] = set()  # the meshes' tasks
        self.nested = 0  # steps under way, one within the other
        self.following: Stepping | None = None  # goes on in the innermost step, as soon as the task there waits
        self.no_variables = contextvars.Context()  # this loop's: no context can be entered by two threads at once
        self._left = _MOST_STEPS
        self._regulars: dict[int, None] = {}  # tasks that have asked lately; their hashes, so as to keep none alive

    def may_begin(self, caller: "asyncio.Task[Any]") -> bool:
        """Say whether there may be another step, for *caller*.

        Not too many one after the other: the loop has to get its turn. Nor for a task of somebody else's that has not
        asked before: when many ask once, one worker that handles all of it in one go is cheaper.
        """
        self._left = left = self._left - 1
        if self.nested:
            if left > -_MOST_MORE:
                return self.following is None
        elif left >= 0:
            if hash(caller) in self._regulars or caller in self.own:
                return True
            self.note_regular(caller)
            return False
        self._left = _MOST_STEPS
        return False

    def note_regular(self, caller: "asyncio.Task[Any]") -> None:
        """Take note that *caller* asks; the one that has been known longest may be forgotten for it."""
        regulars = self._regulars
        if hash(caller) not in regulars and len(regulars) >= _MOST_REGULARS:
            del regulars[next(iter(regulars))]
        regulars[hash(caller)] = None

    def is_deep(self) -> bool:
        """Say whether one more step has to follow in the innermost one, not to be within it."""
        return self.nested >= _MOST_NESTED

    def follow(self, task: Stepping, awaited: Any) -> None:
        """Let *following* go on, and whoever that asks in turn; *task* has asked it, and yielded *awaited*.

        Whoever has no answer when nobody can go on here any more waits for the loop.
        """
        waiting: list[tuple[Stepping, Parking]] = []  # each for an answer of the next one
        place = task.place
        try:
            while place is not None:
                if self.following is not None and place.hold(awaited):
                    waiting.append((task, place))
                else:
                    place.stand_for(awaited)
                following = self._next(waiting)
                if following is None:
                    return
                task, place = following, following.place
                awaited = task.go_on()
        finally:
            for _, place in waiting:
                place.leave_to_loop()

    def _next(self, waiting: "list[tuple[Stepping, Parking]]") -> Stepping | None:
        """Return who goes on: who has just been asked, or else the last of those who ask, if there is an answer."""
        following, self.following = self.following, None
        if following is not None and following.may_go_on():
            return following
        if waiting and waiting[-1][1].is_answered() and waiting[-1][0].may_go_on():
            task, place = waiting.pop()
            place.let_go()
            return task
        return None


_STEPS: "weakref.WeakValueDictionary[int, Steps]" = weakref.WeakValueDictionary()  # by their loop's `id`


def steps_of(loop: asyncio.AbstractEventLoop) -> Steps:
    """Return the steps of *loop*, the same as long as a mesh there has them."""
    steps = _STEPS.get(id(loop))
    if steps is None:
        steps = _STEPS[id(loop)] = getattr(loop, "make_steps", Steps)(loop)  # a simulated loop's own
    return steps


class Parking(asyncio.Future[None]):
    """What a parked task awaits.

    If the task was made to take steps meanwhile, this stands for what those have led it to await: the loop knows of
    nothing else.
    """

    _awaited: "asyncio.Future[Any] | None" = None
    variables: contextvars.Context | None = None  # what the loop looks for the end in; it keeps no handler's alive

    def __await__(self) -> Generator[Any, None, None]:
        """Wait; unlike any other future's, this may go on before there is a result, by a step."""
        self._asyncio_future_blocking = True
        yield self

    def stand_for(self, awaited: Any) -> None:
        """End when *awaited* does, which the task has yielded."""
        if awaited is self:  # it has parked again
            self._asyncio_future_blocking = False
        elif awaited is None:  # it gives way for one turn of the loop
            self.get_loop().call_soon(self._go_on, context=self.variables)
        elif self._take(awaited):
            self.leave_to_loop()
        elif not self.done():
            self.set_exception(RuntimeError(f"Task got bad yield: {awaited!r}"))

    def hold(self, awaited: Any) -> bool:
        """Stand for *awaited*, whose end somebody here looks for; say no if that is for the loop to do."""
        return awaited is not self and not self.done() and self._take(awaited)

    def _take(self, awaited: Any) -> bool:
        """Say whether *awaited* is what a task may await, and stand for it."""
        if not getattr(awaited, "_asyncio_future_blocking", None) or awaited.get_loop() is not self.get_loop():
            return False
        awaited._asyncio_future_blocking = False  # noqa: SLF001 – what a task answers to what it is given
        self._awaited = awaited
        return True

    def is_answered(self) -> bool:
        """Say whether what this stands for has ended."""
        return self._awaited is not None and self._awaited.done()

    def let_go(self) -> None:
        """Stand for nothing any more: the task goes on here."""
        self._awaited = None

    def leave_to_loop(self) -> None:
        """Let the loop look for the end of what this stands for."""
        if self._awaited is not None:
            self._awaited.add_done_callback(self._go_on, context=self.variables)

    def _go_on(self, _: object = None) -> None:
        self._awaited = None
        if not self.done():
            self.set_result(None)

    def cancel(self, msg: Any = None) -> bool:
        """Cancel what it stands for, as the task would if it knew of it."""
        return super().cancel(msg) if self._awaited is None else self._awaited.cancel(msg)
