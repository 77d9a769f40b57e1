"""asyncio's event loop with a virtual time, and an order of task steps that is chosen.

Other callbacks keep their order, because third-party code relies on it. Time jumps to the next timer, unless something
real is under way: a thread of somebody else's, or a socket. Then it passes as it does for everybody.

The loop reads attributes of asyncio's and anyio's that are not public; `tests/core/test_clock.py` says when they move.
"""

import asyncio
import itertools
import selectors
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ceylon.core.backends.chosen_steps import ChosenSteps

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from ceylon.core.clock import Chooser

__all__ = ["SimulatedLoop", "SimulatedTask"]

_LIBRARIES: Final = frozenset({"anyio", "asyncio"})
_PATIENT_ROUNDS: Final = 10_000
"""Rounds of the loop without any time: more than a program needs that does not spin."""
_LOOK_UP: Final = 0.05
"""Real seconds after which a loop that is held looks whether it still is."""


class SimulatedTask(asyncio.Task[Any]):
    """A task whose hash is its number: sets of tasks (anyio cancels what is in one) have the same order every time."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], *, loop: "SimulatedLoop", **options: Any) -> None:
        self._number = next(loop.numbers)
        super().__init__(coroutine, loop=loop, **options)

    def __hash__(self) -> int:
        return self._number


class _Selector(selectors.DefaultSelector):
    """Waits for the network as any selector does, and where it would wait for time only, makes time pass."""

    loop: "SimulatedLoop"

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready; *timeout* is in virtual seconds."""
        events = super().select(0)
        if events or timeout == 0:
            self.loop.creep()
            return events
        if not self.loop.is_held():
            self.loop.jump()
            return events
        before = time.monotonic()
        events = super().select(_LOOK_UP if timeout is None else min(timeout, _LOOK_UP))
        self.loop.pass_time(time.monotonic() - before)
        return events


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An asyncio loop with virtual time, and an order of task steps that is chosen."""

    task_class = SimulatedTask

    def __init__(self, chooser: "Chooser", *, hold_back: float = 0.0) -> None:
        self.numbers = itertools.count(1)
        self._chooser = chooser
        self._hold_back = hold_back
        self._inside: Any = self  # for what asyncio calls private
        self._virtual = 0.0
        self._holds = 0
        self._rounds = 0  # since time passed
        self._complaints: list[str] = []
        self._sockets = _Selector()
        self._sockets.loop = self
        self._steps = ChosenSteps(self, chooser)  # for good: what garbage is collected when must decide nothing
        super().__init__(self._sockets)
        self.set_debug(False)  # asyncio's debugging measures real time, and slows every step down
        self.set_task_factory(_make_task)
        self.set_exception_handler(lambda _, context: self._complain(context))
        _number_scopes()

    def time(self) -> float:
        """Return the virtual time, in seconds."""
        return self._virtual

    def make_steps(self, _: asyncio.AbstractEventLoop) -> ChosenSteps:
        """Return which steps the tasks of this loop may take for others."""
        return self._steps

    # -- time ----------------------------------------------------------------------------------------------------------

    def jump(self) -> None:
        """Let it be the time of the next timer.

        Raises:
            RuntimeError: there is none, so this loop would wait for ever.
        """
        scheduled: list[asyncio.TimerHandle] = self._inside._scheduled  # noqa: SLF001 – see the module
        if not scheduled:
            message = "nothing can ever happen again on this loop: no task is ready and no timer is set"
            raise RuntimeError(message)
        self._virtual = max(self._virtual, scheduled[0].when())  # not "plus the timeout": that would round
        self._rounds = 0

    def creep(self) -> None:
        """Let time pass although there is always something to do, more and more of it, or a spin would never end."""
        self._rounds += 1
        if self._rounds % _PATIENT_ROUNDS == 0:
            self._virtual += 0.001 * 2.0 ** (self._rounds // _PATIENT_ROUNDS)

    def pass_time(self, seconds: float) -> None:
        """Let *seconds* pass, but not beyond the next timer."""
        scheduled: list[asyncio.TimerHandle] = self._inside._scheduled  # noqa: SLF001 – see the module
        later = self._virtual + seconds
        self._virtual = max(self._virtual, min(later, scheduled[0].when())) if scheduled else later

    def hold(self) -> None:
        """See `Clock`."""
        self._holds += 1

    def let_go(self) -> None:
        """See `Clock`."""
        self._holds -= 1

    def is_held(self) -> bool:
        """Say whether something real is under way; the loop's pipe to itself is the one file that does not count."""
        return self._holds > 0 or len(self._sockets.get_map()) > 1 or any(map(self._is_busy, threading.enumerate()))

    def _is_busy(self, thread: threading.Thread) -> bool:
        """Say whether *thread* is one of anyio's, at work for this loop, or a store's own, at work at all."""
        if getattr(thread, "is_at_work", False):
            return True
        if getattr(thread, "loop", None) is not self or getattr(thread, "stopping", True):
            return False
        return thread not in getattr(thread, "idle_workers", ())

    def run_in_executor(  # type: ignore[override]
        self, executor: "Executor | None", func: Callable[..., Any], *args: Any
    ) -> "asyncio.Future[Any]":
        """Run *func* in a thread of *executor* and hold the clock meanwhile."""
        future = super().run_in_executor(executor, func, *args)
        self.hold()
        future.add_done_callback(lambda _: self.let_go())
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Wait for the threads of the default executor; a thread says when they have ended."""
        self.hold()
        try:
            await super().shutdown_default_executor(*(() if timeout is None else (timeout,)))
        finally:
            self.let_go()

    # -- order ---------------------------------------------------------------------------------------------------------

    def _run_once(self) -> None:
        """Run one round: what is ready now, less the task steps that are held back, the others in a chosen order."""
        ready = self._inside._ready  # noqa: SLF001 – see the module
        kept: list[asyncio.Handle] = []
        if len(ready) > 1:
            handles: list[asyncio.Handle] = list(ready)
            places = [place for place, handle in enumerate(handles) if _is_task_step(handle)]
            if len(places) > 1:
                steps = self._choose([handles[place] for place in places], kept)
                ready.clear()
                ready.extend(_put_back(handles, places, steps))
        super()._run_once()  # type: ignore[misc]
        ready.extendleft(reversed(kept))

    def _choose(self, steps: list[asyncio.Handle], kept: list[asyncio.Handle]) -> list[asyncio.Handle]:
        """Return *steps* in the order they are to run; those held back are put into *kept*."""
        chosen: list[asyncio.Handle] = []
        while steps:
            step = steps.pop(self._chooser.below(len(steps)))
            is_last_hope = not steps and not chosen
            if self._hold_back and not is_last_hope and self._chooser.chance(self._hold_back):
                kept.append(step)
            else:
                chosen.append(step)
        return chosen

    def _complain(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self._complaints.append(f"{context['message']}: {type(error).__name__}" if error else context["message"])

    def complaints(self) -> list[str]:
        """See `Clock`."""
        return self._complaints

    def waiting(self) -> list[str]:
        """See `Clock`."""
        tasks = sorted((task for task in asyncio.all_tasks(self)), key=hash)
        return [f"task {task.get_name()!r} at {_place(task)}" for task in tasks if task is not asyncio.current_task()]


def _make_task(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> SimulatedTask:
    assert isinstance(loop, SimulatedLoop)  # noqa: S101 – it was given to no other
    return SimulatedTask(coroutine, loop=loop, **options)


def _is_task_step(handle: asyncio.Handle) -> bool:
    """Say whether *handle* lets a task go on; the C and the Python task both bind their steps to themselves."""
    return isinstance(getattr(handle._callback, "__self__", None), asyncio.Task)  # type: ignore[attr-defined]  # noqa: SLF001 – see the module


def _put_back(handles: list[asyncio.Handle], places: list[int], steps: list[asyncio.Handle]) -> list[asyncio.Handle]:
    """Return *handles* with *steps* in the first of the *places*; what was in the others is gone."""
    filled = dict(zip(places, [*steps, *[None] * (len(places) - len(steps))], strict=True))
    put = [filled.get(place, handle) if place in filled else handle for place, handle in enumerate(handles)]
    return [handle for handle in put if handle is not None]


def _place(task: "asyncio.Task[Any]") -> str:
    """Return where *task* waits: the innermost of its frames that is not a library's."""
    place = "its end"
    coroutine: Any = task.get_coro()
    while (frame := getattr(coroutine, "cr_frame", None)) is not None:
        if frame.f_globals.get("__name__", "").partition(".")[0] not in _LIBRARIES:
            place = f"{frame.f_code.co_qualname}, {Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
        coroutine = getattr(coroutine, "cr_await", None)
    return place


def _number_scopes() -> None:
    """Let anyio's cancel scopes on simulated loops hash by their task: it cancels those in a set one after the other.

    Scopes of other loops keep the hash they have, so that a simulation in one thread does not disturb another thread.
    """
    scope: Any = (
        sys.modules["anyio._backends._asyncio"].CancelScope if "anyio._backends._asyncio" in sys.modules else None
    )
    if scope is None or "__hash__" in vars(scope):
        return

    def number(self: Any) -> int:
        task = self._host_task
        return hash(task) if isinstance(task, SimulatedTask) else object.__hash__(self)

    scope.__hash__ = number
