"""While one agent's handler waits, nobody looks at the other agents that are ready.

As with a pool of one thread that blocks in its first job.
"""

import contextlib
from collections.abc import Generator

import pytest

from ceylon.core.dispatcher import Dispatcher


@contextlib.contextmanager
def plant() -> Generator[None]:
    def broken(self: Dispatcher) -> None:
        self._is_watching = False
        self.cover = 0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Dispatcher, "_watch", broken)
        yield
