"""A drain ends when the mailboxes are empty, whatever the handlers still do.

As with `queue.empty()` in place of `queue.join()`.
"""

import contextlib
from collections.abc import Generator

import pytest

from ceylon.core.backend import Sink
from ceylon.core.quiet import DrainCall, Quiet


@contextlib.contextmanager
def plant() -> Generator[None]:
    when_quiet = Quiet.when_quiet

    def broken(self: Quiet, sink: Sink) -> DrainCall:
        call = when_quiet(self, sink)
        if not any(cell.mail for cell in self._router.cells.values()):
            self.tell()
        return call

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Quiet, "when_quiet", broken)
        yield
