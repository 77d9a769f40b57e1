"""An agent handles messages while its start hook still runs.

As when readiness is announced before the connection is there.
"""

import contextlib
from collections.abc import Generator

import pytest

from ceylon.core.cell import Cell
from ceylon.core.lifecycle import Lifecycle


@contextlib.contextmanager
def plant() -> Generator[None]:
    undertake = Lifecycle._undertake

    def broken(self: Lifecycle, cell: Cell) -> None:
        undertake(self, cell)
        self._run(cell)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Lifecycle, "_undertake", broken)
        yield
