"""A sender who waits for room is not let in when the last message leaves the mailbox.

The lost wake-up of bounded buffers that signal only from "full" to "not full".
"""

import contextlib
from collections.abc import Generator

import pytest

from ceylon.core.cell import Cell
from ceylon.messages import Envelope


@contextlib.contextmanager
def plant() -> Generator[None]:
    take = Cell.take

    def broken(self: Cell) -> Envelope | None:
        parked, is_last = self.parked, len(self.mail) == 1
        if is_last:
            self.parked = None
        envelope = take(self)
        if is_last:
            self.parked = parked
        return envelope

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Cell, "take", broken)
        yield
