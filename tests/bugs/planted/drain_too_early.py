"""A drain ends when the mailboxes are empty, whatever the handlers still do.

As with `queue.empty()` in place of `queue.join()`.
"""

import contextlib
from collections.abc import Generator

import pytest

from ceylon.core.backend import Sink
from ceylon.core.calls import Call
from ceylon.core.quiet import DrainCall, Quiet


@contextlib.contextmanager
def plant() -> Generator[None]:
    def broken(self: Quiet, sink: Sink) -> Call:
        call = DrainCall(self._router, sink, self)
        self._drains.append(call)
        if not any(cell.mail for cell in self._router.cells.values()):
            self.tell()
        return call

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Quiet, "when_quiet", broken)
        yield
