"""A message that has waited for room is put before those that are there.

As when a retry goes to the head of a queue.
"""

import contextlib
from collections.abc import Generator

import pytest

from ceylon.core.cell import Cell


@contextlib.contextmanager
def plant() -> Generator[None]:
    def broken(self: Cell) -> None:
        while self.parked and len(self.mail) < self.capacity:
            call = self.parked.popleft()
            self.put(call.envelope)
            self.mail.rotate(1)  # type: ignore[union-attr]
            call.admitted()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Cell, "admit", broken)
        yield
