"""While a handler waits for an ask, its agent begins with the next message.

What some actor systems do by default and call reentrancy; here it was not asked for.
"""

import contextlib
from collections.abc import Generator

import pytest

from ceylon.core.calls import Call
from ceylon.core.origin import Origin


@contextlib.contextmanager
def plant() -> Generator[None]:
    begin, end = Origin.begin_wait, Origin.end_wait

    def broken(self: Origin, call: Call) -> None:
        begin(self, call)
        self.cell.slots += 1

    def broken_end(self: Origin, call: Call) -> None:
        if call in (self.waits or ()):
            self.cell.slots -= 1
        end(self, call)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Origin, "begin_wait", broken)
        patch.setattr(Origin, "end_wait", broken_end)
        yield
