"""The timer of an ask's deadline is not taken back when the reply comes.

The commonest leak of `wait_for` helpers: one timer a call, for as long as the timeout is.
"""

import contextlib
from collections.abc import Generator

import pytest

from ceylon.core.calls import AskCall
from ceylon.messages import Outcome


@contextlib.contextmanager
def plant() -> Generator[None]:
    settle = AskCall.settle

    def broken(self: AskCall, outcome: Outcome) -> bool:
        is_armed, self.is_armed = self.is_armed, False
        is_first = settle(self, outcome)
        self.is_armed = is_armed
        return is_first

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AskCall, "settle", broken)
        yield
