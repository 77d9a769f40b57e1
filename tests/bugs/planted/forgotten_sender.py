"""A sender who waits for room is not let in when the last message leaves the mailbox.

The lost wake-up of bounded buffers that signal only from "full" to "not full".
"""

import contextlib
from collections.abc import Generator

import pytest

from ceylon.core.cell import Cell


@contextlib.contextmanager
def plant() -> Generator[None]:
    admit = Cell.admit

    def broken(self: Cell) -> None:
        if self.mail:
            admit(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Cell, "admit", broken)
        yield
