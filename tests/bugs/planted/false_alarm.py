"""Every ask of an agent that is busy with an ask of its own is refused as a deadlock.

As with detectors that take any long way back for a cycle.
"""

import contextlib
from collections.abc import Generator

import pytest

from ceylon.core.origin import Origin
from ceylon.core.waits import Groups, WaitsGraph
from ceylon.errors import DeadlockError


@contextlib.contextmanager
def plant() -> Generator[None]:
    def broken(self: WaitsGraph, source: Origin, wanted: Groups[Origin], target: str) -> None:
        if any(each.waits for group in wanted for each in group):
            raise DeadlockError((source.address, target))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WaitsGraph, "check", broken)
        yield
