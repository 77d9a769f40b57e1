"""Who watches an agent is forgotten when that begins again.

As with monitors that are bound to an instance where an address was meant.
"""

import contextlib
from collections.abc import Generator

import pytest

from ceylon.core.cell import Cell
from ceylon.core.restarts import Restarts


@contextlib.contextmanager
def plant() -> Generator[None]:
    rebuild = Restarts._rebuild

    def broken(self: Restarts, cell: Cell) -> bool:
        cell.have_life().watchers.clear()
        return rebuild(self, cell)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Restarts, "_rebuild", broken)
        yield
