"""What a stopped agent has in its mailbox is forgotten, not kept as dead letters.

As when a consumer is closed with prefetched messages in its buffer.
"""

import contextlib
from collections.abc import Generator

import pytest

from ceylon.core.cell import Cell
from ceylon.core.ledger import Reason
from ceylon.core.lifecycle import Lifecycle


@contextlib.contextmanager
def plant() -> Generator[None]:
    def broken(self: Lifecycle, cell: Cell, reason: Reason) -> None:
        cell.mail, cell.parked = (), None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Lifecycle, "_bounce_mail", broken)
        yield
