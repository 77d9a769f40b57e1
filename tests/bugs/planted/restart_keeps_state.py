"""A restart goes on with the instance that has failed.

As when "restart" only means that an exception is caught.
"""

import contextlib
from collections.abc import Generator

import pytest

from ceylon.core.cell import Cell
from ceylon.core.restarts import Restarts


@contextlib.contextmanager
def plant() -> Generator[None]:
    def broken(self: Restarts, cell: Cell) -> bool:
        cell.have_life().has_stopped = False
        return True

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Restarts, "_rebuild", broken)
        yield
