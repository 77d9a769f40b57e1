"""A watcher hears of an end twice.

As when both the link and the monitor report it.
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
        watchers = dict(cell.life.watchers) if cell.life is not None else {}
        ended(self, cell)
        if cell.life is not None and len(watchers) > 1:
            cell.life.watchers = watchers
            ended(self, cell)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Watches, "ended", broken)
        yield
