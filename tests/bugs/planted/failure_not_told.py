"""A watcher hears of an agent that was stopped, but not of one that has failed.

As when the notice is sent on the orderly way out only.
"""

import contextlib
from collections.abc import Generator

import pytest

from ceylon.core.cell import Cell
from ceylon.core.watching import Watches


@contextlib.contextmanager
def plant() -> Generator[None]:
    ended = Watches.ended

    def broken(self: Watches, cell: Cell) -> None:
        if cell.life is not None and cell.life.failure is None:
            ended(self, cell)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Watches, "ended", broken)
        yield
