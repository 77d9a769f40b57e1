"""Who asks a language model: so that each caller goes on with a conversation of its own.

An agent of `ceylonai-next` has one history, which all its callers share and wait for. Here a caller's own questions
follow one another; a caller is the agent whose handler asks, the main thread, or a task of an event loop (with the
tasks it starts). Threads that are none of these are mostly a pool's, where the next question is somebody else's: each
of their questions stands by itself.
"""

import contextvars
import itertools
import threading
from typing import Final

from ceylon.core.backend import in_notebook, running_loop
from ceylon.core.current import current

__all__ = ["Talk", "Talks", "caller"]

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

    def begin(self, who: str) -> "Talk":
        """Return what *who* asks next: in their conversation, or by itself if a question of theirs is still open.

        So nothing that is asked together waits in a line. Which one goes on with the conversation is settled here, in
        the order of asking, and not by which happens to start first.
        """
        with self._lock:
            key = "" if who in self._busy else who
            if key:
                self._busy.add(key)
        return Talk(self._busy, key)


class Talk:
    """One open question; it ends with the block, or with the last reference if nobody ever asks it."""

    def __init__(self, busy: set[str], key: str) -> None:
        self._busy, self._key = busy, key

    def __enter__(self) -> str:
        """Return the key of the conversation; empty for none."""
        return self._key

    def __exit__(self, *error: object) -> None:
        self._end()

    def __del__(self) -> None:
        self._end()

    def _end(self) -> None:  # without the lock: also called while garbage is collected
        key, self._key = self._key, ""
        self._busy.discard(key)
