"""An agent with several slots is not looked at while one of them is in use.

As with a lock where a semaphore was meant.
"""

import contextlib
from collections.abc import Generator

import pytest

from ceylon.core.cell import Cell
from ceylon.core.dispatcher import Dispatcher


@contextlib.contextmanager
def plant() -> Generator[None]:
    offer = Dispatcher.offer

    def broken(self: Dispatcher, cell: Cell) -> None:
        if not cell.running:
            offer(self, cell)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Dispatcher, "offer", broken)
        yield
