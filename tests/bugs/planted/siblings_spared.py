"""Only the child that failed begins again, although its parent wants all of them to.

As when a supervisor's strategy is read, kept, and never asked.
"""

import contextlib
from collections.abc import Generator

import pytest

from ceylon.core import restarts
from ceylon.core.cell import Cell


@contextlib.contextmanager
def plant() -> Generator[None]:
    def broken(cell: Cell) -> list[Cell]:
        return [cell]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(restarts, "_group", broken)
        yield
