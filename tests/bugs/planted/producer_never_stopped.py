"""A consumer that leaves does not stop the producer, which waits for credit for ever.

As with generators that nobody closes.
"""

import contextlib
from collections.abc import Generator

import pytest

from ceylon.core.stream_calls import StreamCall


@contextlib.contextmanager
def plant() -> Generator[None]:
    def broken(self: StreamCall) -> None:
        self.is_settled = True

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StreamCall, "cancel", broken)
        yield
