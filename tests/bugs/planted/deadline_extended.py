"""A timeout that a handler gives is taken as it is, though its asker waits for less.

As when the innermost timeout wins.
"""

import contextlib
from collections.abc import Generator

import pytest

from ceylon.core.calls import AskCall
from ceylon.core.origin import Origin
from ceylon.core.router import Router


@contextlib.contextmanager
def plant() -> Generator[None]:
    set_deadline = Router._set_deadline

    def broken(self: Router, call: AskCall, source: Origin | None, timeout: float | None, *, clock: bool) -> None:
        set_deadline(self, call, source if timeout is None else None, timeout, clock=clock)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Router, "_set_deadline", broken)
        yield
