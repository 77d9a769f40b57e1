"""What a handler asks has the default time, not what is left of its asker's.

As when a context is not passed on.
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
        set_deadline(self, call, None, timeout, clock=clock)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Router, "_set_deadline", broken)
        yield
