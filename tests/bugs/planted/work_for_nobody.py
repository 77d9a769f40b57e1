"""The handler of an ask goes on when its asker has left.

As with servers that do not notice a closed connection.
"""

import contextlib
from collections.abc import Generator

import pytest

from ceylon.core.cell import Cell
from ceylon.core.dispatcher import Dispatcher
from ceylon.messages import Envelope


@contextlib.contextmanager
def plant() -> Generator[None]:
    def broken(self: Dispatcher, envelope: Envelope, cell: Cell) -> None:
        pass

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Dispatcher, "abandon", broken)
        yield
