"""Name the handler that holds up the loop.

The loop gives a sign of life every few hundredths of a second, by a timer. A thread waits for it; if none comes for too
long, it looks at what the loop's thread is doing; if that is the same agent's code for a while, the log says whose and
where. A loop that is merely waiting, or a machine that is merely busy, shows no agent's code, and nothing is said.

The loop waits for the thread to have heard each sign, for a moment. A thread that has woken up needs the interpreter's
lock, and a loop that is at work gives it back at every turn and takes it again at once: the thread would be woken
thousands of times a second, in vain, and the loop would pay for waking it.

The thread sleeps, without waking up at all, while nothing of any agent is under way. It sees nothing while C code keeps
the interpreter's lock, because no other thread runs then; such a block is named only if it comes back to Python.
"""

import gc
import sys
import threading
import time
import traceback
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ceylon.core.apart import Errand
from ceylon.messages import type_name

if TYPE_CHECKING:
    from ceylon.core.backend import Driver
    from ceylon.core.belongings import Belongings
    from ceylon.core.dispatcher import Dispatcher
    from ceylon.core.quiet_log import QuietLog
    from ceylon.core.router import Router

__all__ = ["Watchdog"]

_PACE: Final = 0.05  # seconds between two signs of life while messages are handled
_SLOW_PACE: Final = 0.25  # likewise while handlers only wait
_SETTLE: Final = 1.0  # seconds without a message before they slow down, or end
_LONGEST: Final = 60.0  # seconds between two signs where time leaps, as in tests: nothing is seen in a leap
_HEARING: Final = 0.001  # seconds the loop waits at most until a sign is heard; some 0.05 ms, if a core is free
_JOIN: Final = 0.01  # seconds the loop waits for the thread's end; it is on its way out in any case
_FRAMES: Final = 20  # innermost ones shown
_HANDLER: Final = "Dispatcher._serve"
_ERRAND: Final = Errand.attempt.__qualname__
_OWN_TASK: Final = "Belongings.spawn.<locals>.run"


class Suspect(NamedTuple):
    """Whose code the loop's thread runs: `key` is one handling's, or one task's."""

    key: object
    agent: str
    facts: dict[str, str]
    stack: traceback.StackSummary


class Watchdog:
    """Watches one mesh's loop from a thread of its own, which begins with the first message."""

    def __init__(self, mesh: str, driver: "Driver", log: "QuietLog", limit: float) -> None:
        self._mesh, self._driver, self._log, self._limit = mesh, driver, log, limit
        self._router: Router
        self._dispatcher: Dispatcher
        self._belongings: Belongings
        self._thread: threading.Thread | None = None
        self._given = threading.Event()  # a sign of life
        self._heard = threading.Event()
        self._patience: float | None = None  # seconds until the next sign is late; `None`: none will come
        self._take_back: Callable[[], None] | None = None  # ends the timer of the next sign
        self._pace = 0.0  # the loop's seconds from the last sign to the next
        self._given_at = 0.0  # when the last one was, in real time
        self._has_ended = False
        self._was_active = False
        self._active_at = 0.0

    # -- on the loop ---------------------------------------------------------------------------------------------------

    def watch(self, router: "Router", dispatcher: "Dispatcher", belongings: "Belongings") -> None:
        """Watch over what these parts run."""
        self._router, self._dispatcher, self._belongings = router, dispatcher, belongings
        dispatcher.watchdog, dispatcher.is_unseen = self, True

    @property
    def is_asleep(self) -> bool:
        """Whether the thread waits to be woken."""
        return self._patience is None

    def wake(self) -> None:
        """Look, from now on: some agent's code is about to run."""
        self._was_active = True
        if self._patience is not None and self._pace <= _PACE:
            return
        if self._take_back is not None:
            self._take_back()
        self._go_on(0.0)  # whoever is about to run may be the one
        if self._thread is None:
            name = f"ceylon {self._mesh} watchdog"
            self._thread = threading.Thread(target=self._run, name=name, daemon=True)
            self._thread.start()

    def _live(self) -> None:
        """Give a sign of life, and see to the next."""
        now = self._driver.now()
        if self._was_active or self._dispatcher.is_busy:
            self._was_active, self._active_at = False, now
        self._dispatcher.is_unseen = True
        has_leapt = time.monotonic() - self._given_at < self._pace / 2
        least = min(2 * self._pace, _LONGEST) if has_leapt else 0.0
        if now - self._active_at < _SETTLE:
            self._go_on(_PACE, least)
        else:
            self._go_on(_SLOW_PACE if self._router.open or self._belongings.alive else None, least)
        self._heard.wait(_HEARING)

    def _go_on(self, pace: float | None, least: float = 0.0) -> None:
        """Give a sign of life, and the next in *pace* seconds; `None`: when somebody wakes this.

        It is *least* seconds on a loop whose time leaps, or a day that passes at once would be full of signs.
        """
        self._pace = max(pace or 0.0, least)
        self._patience = None if pace is None else self._late(pace)
        self._take_back = None if pace is None else self._driver.call_at(self._driver.now() + self._pace, self._live)
        self._given_at = time.monotonic()
        self._heard.clear()
        self._given.set()

    def _late(self, pace: float) -> float:
        """Return after how many seconds without a sign the thread looks on."""
        return pace + self._limit / 2

    def close(self) -> None:
        """Let the thread end; the mesh has."""
        self._has_ended = True
        self._dispatcher.is_unseen = False
        if self._take_back is not None:
            self._take_back()
        self._given.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(_JOIN)

    # -- on its thread -------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            self._given.clear()
            if self._has_ended:  # asked after that, or the last sign could be cleared unseen
                return
            self._heard.set()
            began = time.monotonic()
            if not self._given.wait(self._patience):
                if self._driver.has_ended():  # and nobody has closed the mesh
                    return
                self._look_on(began)

    def _look_on(self, began: float) -> None:
        """Look at what the loop does until it gives a sign of life; warn if that is one thing for too long."""
        suspect, seen, last = self._find(), 0.0, time.monotonic()
        step = self._limit / 4
        while not self._given.wait(step):
            if self._driver.has_ended():
                return
            now = time.monotonic()
            seen, last = seen + min(now - last, 1.5 * step), now  # a busy machine may have kept this thread waiting
            found = self._find()
            if found is None or suspect is None or found.key is not suspect.key:
                suspect, seen = found, 0.0
            elif seen >= self._limit:
                self._blame(found, began)
                return

    def _blame(self, suspect: Suspect, began: float) -> None:
        """Say who holds up the loop, and once more when that is over."""
        stack = "".join(suspect.stack.format())
        seconds = round(time.monotonic() - began, 3)
        is_said = self._log.warning("loop_blocked", suspect.agent, **suspect.facts, seconds=seconds, stack=stack)
        while not self._given.wait(_SETTLE):
            if self._driver.has_ended():
                return
        if is_said and not self._has_ended:
            seconds = round(time.monotonic() - began, 3)
            self._log.warning("loop_unblocked", suspect.agent, **suspect.facts, seconds=seconds)

    def _find(self) -> Suspect | None:
        """Return whose code the loop's thread runs just now, if it is an agent's."""
        frame = _frames().get(self._driver.thread)
        inner: list[tuple[FrameType, int]] = []
        while frame is not None:
            name = frame.f_code.co_qualname
            if name == _HANDLER and frame.f_locals.get("self") is self._dispatcher:
                return _of_handler(frame.f_locals, inner)
            if name == _ERRAND and isinstance(errand := frame.f_locals.get("self"), Errand):
                return _of_errand(errand, inner) if errand.dispatcher is self._dispatcher else None
            if name == _OWN_TASK and frame.f_locals.get("self") is self._belongings:
                return _of_task(frame.f_locals, inner)
            if not _is_ours(frame):
                inner.append((frame, frame.f_lineno))
            frame = frame.f_back
        return None


def _frames() -> dict[int, FrameType]:
    """Return what every thread runs.

    No garbage is collected meanwhile: CPython 3.11 holds a lock of the whole interpreter here, and a finalizer that
    runs then, and lets another thread run, stops the process for ever (python/cpython#106883, seen with 3.11.7).
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        return sys._current_frames()  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] – its documented use
    finally:
        if was_on:
            gc.enable()


def _of_handler(names: dict[str, Any], inner: list[tuple[FrameType, int]]) -> Suspect | None:
    if not inner or "context" not in names:
        return None
    facts = {"message": type_name(names["envelope"].message)}
    return Suspect(names["context"], names["cell"].address, facts, _stack(inner))


def _of_errand(errand: Errand, inner: list[tuple[FrameType, int]]) -> Suspect | None:
    if not inner:
        return None
    context = errand.context
    return Suspect(errand, context.address, {"message": type_name(context.envelope.message)}, _stack(inner))


def _of_task(names: dict[str, Any], inner: list[tuple[FrameType, int]]) -> Suspect | None:
    if not inner:
        return None
    return Suspect(names["own"], names["cell"].address, {"task": names["own"].name}, _stack(inner))


def _stack(inner: list[tuple[FrameType, int]]) -> traceback.StackSummary:
    """Return the innermost frames, outermost first; the lines themselves are read when they are shown."""
    return traceback.StackSummary.extract(reversed(inner[:_FRAMES]), lookup_lines=False)


def _is_ours(frame: FrameType) -> bool:
    """Say whether this is the package's own code, which is not what the reader looks for."""
    return str(frame.f_globals.get("__name__", "")).partition(".")[0] == "ceylon"
