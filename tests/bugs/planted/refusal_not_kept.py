"""What finds no room is refused, and no dead letter tells of it.

As with datagrams that a full buffer drops.
"""

import contextlib
from collections.abc import Generator

import pytest

from ceylon.core.router import Router
from ceylon.messages import Envelope


@contextlib.contextmanager
def plant() -> Generator[None]:
    def broken(self: Router, envelope: Envelope) -> None:
        pass

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Router, "refuse_full", broken)
        yield
