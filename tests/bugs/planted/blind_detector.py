"""Only an ask for somebody of one's own chain is refused; two chains that cross wait for each other.

As with every detector that looks at one call stack at a time.
"""

import contextlib
from collections.abc import Generator

import pytest

from ceylon.core.origin import Origin
from ceylon.core.waits import Groups, WaitsGraph


@contextlib.contextmanager
def plant() -> Generator[None]:
    check = WaitsGraph.check

    def broken(self: WaitsGraph, source: Origin, wanted: Groups[Origin], target: str) -> None:
        if target in {source.address, *source.envelope.chain}:
            check(self, source, wanted, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WaitsGraph, "check", broken)
        yield
