"""A restart throws away what is in the mailbox: properly counted, as dead letters, but it should have been kept.

As with supervisors that start a new process with a new queue.
"""

import contextlib
from collections.abc import Generator

import pytest

from ceylon.core.cell import Cell
from ceylon.core.ledger import Reason
from ceylon.core.restarts import Restarts
from ceylon.errors import AgentStoppedError


@contextlib.contextmanager
def plant() -> Generator[None]:
    rebuild = Restarts._rebuild

    def broken(self: Restarts, cell: Cell) -> bool:
        while cell.mail:
            envelope = cell.mail.popleft()
            self._interior.router.bounce(envelope, cell, Reason.STOPPED, AgentStoppedError(cell.address))
        return rebuild(self, cell)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Restarts, "_rebuild", broken)
        yield
