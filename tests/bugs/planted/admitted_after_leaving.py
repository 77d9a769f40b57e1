"""Who stops waiting for room leaves the message behind, which is let in later.

As with a queue of waiters from which nobody removes those that were cancelled.
"""

import contextlib
from collections.abc import Generator

import pytest

from ceylon.core.cell import Cell
from ceylon.messages import Envelope


@contextlib.contextmanager
def plant() -> Generator[None]:
    def broken(self: Cell, envelope: Envelope) -> bool:
        return any(call.envelope is envelope for call in self.parked or ())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Cell, "unpark", broken)
        yield
