"""A subscriber gets a message once for each of its patterns that match.

As with brokers whose overlapping subscriptions each deliver.
"""

import contextlib
from collections.abc import Generator

import pytest

from ceylon.core.cell import Cell
from ceylon.core.router import Router


@contextlib.contextmanager
def plant() -> Generator[None]:
    def broken(self: Router, topic: str | None) -> list[Cell]:
        if topic is None:
            return list(self.cells.values())
        cells = self.subscribers.values()
        return [cell for cell in cells for pattern in cell.behaviour.patterns if pattern.matches(topic)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Router, "_receivers", broken)
        yield
