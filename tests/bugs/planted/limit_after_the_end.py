"""What a thread still sends winds up the limit of its handler again, which has ended; it hits whoever runs there then.

Found by this suite in the core itself: late parts of a stream whose consumer had left did so.
"""

import contextlib
from collections.abc import Generator

import pytest

from ceylon.core.limits import HandlerLimit


@contextlib.contextmanager
def plant() -> Generator[None]:
    end = HandlerLimit.end

    def broken(self: HandlerLimit) -> None:
        end(self)
        self._has_ended = False

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HandlerLimit, "end", broken)
        yield
