"""How often an agent may begin again is not counted.

As with init scripts that respawn whatever dies, for ever.
"""

import contextlib
from collections.abc import Generator
from typing import Any

import pytest

from ceylon.core.supervision import Supervisor


@contextlib.contextmanager
def plant() -> Generator[None]:
    may = Supervisor.may_restart

    def broken(self: Supervisor, failures: Any, now: float, options: Any = None) -> bool:
        failures.clear()
        return may(self, failures, now, options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Supervisor, "may_restart", broken)
        yield
