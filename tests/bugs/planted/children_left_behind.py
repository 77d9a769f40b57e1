"""An agent is gone before its children are.

As with processes whose orphans go on.
"""

import contextlib
from collections.abc import Generator

import pytest

from ceylon.core.cell import Cell
from ceylon.core.lifecycle import Lifecycle


@contextlib.contextmanager
def plant() -> Generator[None]:
    async def broken(self: Lifecycle, cell: Cell, until: float) -> None:
        pass

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Lifecycle, "_stop_children", broken)
        yield
