"""An orderly stop cancels what runs, instead of letting it finish.

As with servers that close their connections first and drain afterwards.
"""

import contextlib
from collections.abc import Generator

import pytest

from ceylon.core.cell import Cell
from ceylon.core.lifecycle import Lifecycle


@contextlib.contextmanager
def plant() -> Generator[None]:
    settle = Lifecycle._settle

    async def broken(self: Lifecycle, cell: Cell, until: float) -> None:
        await settle(self, cell, min(until, self._driver.now()))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Lifecycle, "_settle", broken)
        yield
