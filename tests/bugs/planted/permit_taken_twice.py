"""A thread that has waited in a blocking verb takes its permit to run twice.

As with pools that count a blocked thread as a new one when it comes back.
"""

import contextlib
from collections.abc import Generator

import pytest

from ceylon.core.permits import Hold
from ceylon.core.threads import ThreadPool


@contextlib.contextmanager
def plant() -> Generator[None]:
    resume = ThreadPool._resume

    def broken(self: ThreadPool, hold: Hold | None) -> None:
        resume(self, hold)
        with self._lock:
            self._running += 1

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ThreadPool, "_resume", broken)
        yield
