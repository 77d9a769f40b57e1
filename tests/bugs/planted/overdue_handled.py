"""An ask whose time is over stays in the mailbox, and is handled for nobody.

As with brokers that check a message's age only when it comes in.
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
        if how == "expired" and envelope in cell.mail:
            envelope.deadline = None
        else:
            withdraw(self, envelope, cell, how)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Router, "withdraw", broken)
        yield
