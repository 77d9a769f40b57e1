"""`on_stop` runs once more for an instance that has been taken down already.

As with destructors that are called by hand and again by the runtime.
"""

import contextlib
from collections.abc import Generator

import pytest

from ceylon.core.cell import Cell
from ceylon.core.lifecycle import Lifecycle


@contextlib.contextmanager
def plant() -> Generator[None]:
    close = Lifecycle._close_hooks

    async def broken(self: Lifecycle, cell: Cell) -> None:
        await close(self, cell)
        if cell.life is not None and cell.restarts:
            cell.life.has_stopped = False
            await close(self, cell)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Lifecycle, "_close_hooks", broken)
        yield
