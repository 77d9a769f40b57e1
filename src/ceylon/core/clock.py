"""Event loops for simulations: time that only passes when nothing is left to do, and an order that a seed decides.

On asyncio that is a loop of our own. Task steps run in an order somebody chooses; other callbacks keep theirs, because
third-party code relies on it. Time jumps to the next timer, unless something real is under way: a thread of somebody
else's, or a socket. Then it passes as it does for everybody. On trio it is trio's own clock and shuffling, made for
tests, which knows nothing of threads and sockets.

The loop reads attributes of asyncio's and anyio's that are not public; `tests/core/test_clock.py` says when they move.
"""

import asyncio
import importlib
import itertools
import selectors
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import anyio

from ceylon.core.backends.chosen_steps import ChosenSteps

if TYPE_CHECKING:
    from concurrent.futures import Executor

    import trio.testing

__all__ = ["Chooser", "Clock", "SimulatedLoop", "run_simulated"]

_LIBRARIES: Final = frozenset({"anyio", "asyncio"})
_PATIENT_ROUNDS: Final = 10_000
"""Rounds of the loop without any time: more than a program needs that does not spin."""
_LOOK_UP: Final = 0.05
"""Real seconds after which a loop that is held looks whether it still is."""


class Chooser(Protocol):
    """Decides whatever has no order of its own."""

    def below(self, count: int) -> int:
        """Return a number from 0 on, below *count*; 0 is what happens without a simulation."""
        ...

    def chance(self, rate: float) -> bool:
        """Say yes at *rate*; no is what happens without a simulation."""
        ...


class Clock(Protocol):
    """What a simulation knows of the loop under it."""

    def hold(self) -> None:
        """Let time pass as it does for everybody, until `let_go` is called as often; on the loop."""
        ...

    def let_go(self) -> None:
        """See `hold`."""
        ...

    def time(self) -> float:
        """Return the virtual time, in seconds; from any thread."""
        ...

    def waiting(self) -> list[str]:
        """Describe the tasks of the loop and where they wait."""
        ...

    def complaints(self) -> list[str]:
        """Return what the loop found wrong: exceptions that nobody takes."""
        ...


def run_simulated(
    function: Callable[[Clock], Awaitable[None]], backend: str, chooser: Chooser, *, seed: int, hold_back: float = 0.0
) -> None:
    """Run ``function(clock)`` on a simulated loop of the kind *backend*.

    Args:
        function: What to run.
        backend: ``"asyncio"`` or ``"trio"``.
        chooser: Decides the order of task steps on asyncio.
        seed: Decides it on trio.
        hold_back: How often a task step waits for one round of the loop more.
    """
    if backend == "trio":
        _run_on_trio(function, seed)
        return
    loops: list[SimulatedLoop] = []

    def make_loop() -> SimulatedLoop:
        loops.append(SimulatedLoop(chooser, hold_back=hold_back))
        return loops[-1]

    async def run() -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 – this is one
        task.set_name("the test")
        await function(loops[0])

    anyio.run(run, backend="asyncio", backend_options={"loop_factory": make_loop})


# -- asyncio -----------------------------------------------------------------------------------------------------------


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

    def __init__(self, chooser: Chooser, *, hold_back: float = 0.0) -> None:
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
        super().__init__(self._sockets)
        self.set_debug(False)  # asyncio's debugging measures real time, and slows every step down
        self.set_task_factory(_make_task)
        self.set_exception_handler(lambda _, context: self._complain(context))
        _number_scopes()

    def time(self) -> float:
        """Return the virtual time, in seconds."""
        return self._virtual

    def make_steps(self, _: asyncio.AbstractEventLoop) -> ChosenSteps:
        """Return which steps the tasks of one mesh on this loop may take for others."""
        return ChosenSteps(self, self._chooser)

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


# -- trio --------------------------------------------------------------------------------------------------------------


class _TrioClock:
    """trio's `MockClock` cannot be held, and its tasks cannot be listed from outside."""

    def __init__(self, clock: "trio.testing.MockClock") -> None:
        self._clock = clock

    def time(self) -> float:
        """See `Clock`."""
        return self._clock.current_time()

    def hold(self) -> None:
        """See `Clock`."""

    def let_go(self) -> None:
        """See `Clock`."""

    def waiting(self) -> list[str]:
        """See `Clock`."""
        return []

    def complaints(self) -> list[str]:
        """See `Clock`; trio has no task whose exception nobody takes."""
        return []


def _run_on_trio(function: Callable[[Clock], Awaitable[None]], seed: int) -> None:
    """Run *function* with trio's own means: a clock that jumps, and batches that are shuffled by a seed."""
    import trio.testing  # noqa: PLC0415 – an extra

    scheduler: Any = importlib.import_module("trio._core._run")  # there is no public way
    before = scheduler._ALLOW_DETERMINISTIC_SCHEDULING  # noqa: SLF001
    scheduler._ALLOW_DETERMINISTIC_SCHEDULING = True  # noqa: SLF001
    scheduler._r.seed(seed)  # noqa: SLF001

    clock = trio.testing.MockClock(autojump_threshold=0)

    async def run() -> None:
        await function(_TrioClock(clock))

    try:
        anyio.run(run, backend="trio", backend_options={"clock": clock})
    finally:
        scheduler._ALLOW_DETERMINISTIC_SCHEDULING = before  # noqa: SLF001
