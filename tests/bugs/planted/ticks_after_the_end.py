"""The timers of an agent go on when it has stopped.

As with intervals that nobody clears when a component is unmounted.
"""

import contextlib
from collections.abc import Generator

import pytest

from ceylon.core.agent_timers import AgentTimers
from ceylon.core.cell import Cell


@contextlib.contextmanager
def plant() -> Generator[None]:
    def broken(self: AgentTimers, cell: Cell) -> None:
        pass

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AgentTimers, "cancel_all", broken)
        yield
