"""The slot that a handler lends to its own chain stays on loan.

As with recursive locks whose depth is not counted down on every way out.
"""

import contextlib
from collections.abc import Generator

import pytest

from ceylon.core.calls import AskCall
from ceylon.core.lending import Lending


@contextlib.contextmanager
def plant() -> Generator[None]:
    def broken(self: Lending, call: AskCall) -> None:
        pass

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Lending, "take_back", broken)
        yield
