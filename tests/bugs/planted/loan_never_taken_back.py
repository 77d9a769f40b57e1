"""The slot that a handler lends to its own chain stays on loan.

As with recursive locks whose depth is not counted down on every way out.
"""

import contextlib
from collections.abc import Generator

import pytest

from ceylon.core.calls import AskCall
from ceylon.core.router import Router


@contextlib.contextmanager
def plant() -> Generator[None]:
    def broken(self: Router, call: AskCall) -> None:
        pass

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Router, "take_back", broken)
        yield
