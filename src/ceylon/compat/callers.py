"""Who asks a language model: so that each caller goes on with a conversation of its own.

An agent of `ceylonai-next` has one history, which all its callers share and wait for. Here a caller's own questions
follow one another; a caller is the agent whose handler asks, the main thread, or a task of an event loop (with the
tasks it starts). Threads that are none of these are mostly a pool's, where the next question is somebody else's: each
of their questions stands by itself.
"""

import contextlib
import contextvars
import itertools
import threading
from collections.abc import Generator
from typing import Final

from ceylon.core.backend import in_notebook, running_loop
from ceylon.core.current import current

__all__ = ["Talks", "caller"]

_MAIN: Final = "main"
_numbers: Final = itertools.count(1)
_task: Final[contextvars.ContextVar[str]] = contextvars.ContextVar("ceylon_compat_caller", default="")


def caller() -> str:
    """Return who asks here and now; empty for somebody who may be anybody."""
    source = current.get()
    if source is not None:
        return f"{source.interior.name}/{source.address}"
    if running_loop() is None:
        return _MAIN if threading.current_thread() is threading.main_thread() else ""
    if in_notebook():  # each cell is a task of its own
        return _MAIN
    if not _task.get():
        _task.set(f"task {next(_numbers)}")
    return _task.get()


class Talks:
    """Which callers an agent is answering just now."""

    def __init__(self) -> None:
        self._busy: set[str] = set()
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def turn(self, who: str) -> Generator[str]:
        """Give the key of the conversation that *who* goes on with, or nothing if a question of theirs is still open.

        What is asked beside another question stands by itself, so that nothing asked together waits in a line.
        """
        with self._lock:
            key = "" if who in self._busy else who
            if key:
                self._busy.add(key)
        try:
            yield key
        finally:
            self._busy.discard(key)
