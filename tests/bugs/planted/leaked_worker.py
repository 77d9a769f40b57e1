"""Parked workers are not woken when the mesh closes, and stay on the loop for ever.

As with pools whose `shutdown` reaches only the busy ones.
"""

import contextlib
from collections.abc import Generator

import pytest

from ceylon.core.dispatcher import Dispatcher


@contextlib.contextmanager
def plant() -> Generator[None]:
    close = Dispatcher.close

    def broken(self: Dispatcher) -> None:
        self._idle.clear()
        close(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Dispatcher, "close", broken)
        yield
