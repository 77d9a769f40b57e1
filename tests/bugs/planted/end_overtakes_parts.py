"""The end of a stream is seen before its last parts.

As when data and end-of-file go through different queues.
"""

import contextlib
from collections.abc import Generator

import pytest

from ceylon.core.channel import Channel
from ceylon.messages import Outcome


@contextlib.contextmanager
def plant() -> Generator[None]:
    end = Channel.end

    def broken(self: Channel, outcome: Outcome) -> None:
        if self._end is None:
            self._parts.clear()
        end(self, outcome)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Channel, "end", broken)
        yield
