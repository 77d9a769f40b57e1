"""The message that an agent has failed by is the first that its next instance gets.

As with queues that requeue whatever is not acknowledged.
"""

import contextlib
from collections.abc import Generator

import msgspec
import pytest

from ceylon.core.cell import Cell, State
from ceylon.core.failures import Failures
from ceylon.messages import TELL, Envelope


@contextlib.contextmanager
def plant() -> Generator[None]:
    supervise = Failures.supervise

    def broken(self: Failures, cell: Cell, envelope: Envelope, error: BaseException) -> None:
        supervise(self, cell, envelope, error)
        if cell.state is State.RESTARTING:
            router = self._interior.router
            router.deliver(msgspec.structs.replace(envelope, id=next(router.ids), kind=TELL, deadline=None))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Failures, "supervise", broken)
        yield
