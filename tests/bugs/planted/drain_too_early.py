"""A drain ends when the mailboxes are empty, whatever the handlers still do.

As with `queue.empty()` in place of `queue.join()`.
"""

import contextlib
from collections.abc import Generator

import pytest

from ceylon.core.backend import Sink
from ceylon.core.interior import Interior


@contextlib.contextmanager
def plant() -> Generator[None]:
    def broken(self: Interior, sink: Sink) -> None:
        self._quiet.append(sink)
        if not any(cell.mail for cell in self.router.cells.values()):
            self._tell_quiet()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Interior, "when_quiet", broken)
        yield
