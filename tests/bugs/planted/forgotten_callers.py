"""Whoever waits for room when an agent stops is not told, and waits on.

As with channels whose `close` wakes the readers but not the writers.
"""

import contextlib
from collections.abc import Generator

import pytest

from ceylon.core.cell import Cell
from ceylon.core.ledger import Reason
from ceylon.core.lifecycle import Lifecycle


@contextlib.contextmanager
def plant() -> Generator[None]:
    bounce = Lifecycle._bounce_mail

    def broken(self: Lifecycle, cell: Cell, reason: Reason) -> None:
        cell.parked = None
        bounce(self, cell, reason)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Lifecycle, "_bounce_mail", broken)
        yield
