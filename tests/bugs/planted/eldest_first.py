"""The children of an agent are stopped in the order they were started, which may need each other the other way.

As with containers that tear down a list front to back.
"""

import contextlib
from collections.abc import Generator

import pytest

from ceylon.core.cell import Cell
from ceylon.core.lifecycle import Lifecycle


@contextlib.contextmanager
def plant() -> Generator[None]:
    async def broken(self: Lifecycle, cell: Cell, until: float) -> None:
        for child in list(cell.life.children.values()) if cell.life is not None else ():
            await self.stop(child, until=until)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Lifecycle, "_stop_children", broken)
        yield
