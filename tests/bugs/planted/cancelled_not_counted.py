"""What is cancelled in a mailbox is taken out and counted nowhere.

As with statistics that are kept beside the work instead of with it.
"""

import contextlib
from collections.abc import Generator
from typing import Literal

import pytest

from ceylon.core.cell import Cell
from ceylon.core.router import Router
from ceylon.messages import Envelope


@contextlib.contextmanager
def plant() -> Generator[None]:
    withdraw = Router.withdraw

    def broken(self: Router, envelope: Envelope, cell: Cell, how: Literal["expired", "cancelled"]) -> None:
        before = cell.cancelled
        withdraw(self, envelope, cell, how)
        cell.cancelled = before

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Router, "withdraw", broken)
        yield
