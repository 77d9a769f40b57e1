"""An agent whose turn is over is not queued again, though it has mail: nobody looks at it until more comes.

The lost wake-up of schedulers that test "is it scheduled?" before they clear that mark.
"""

import contextlib
from collections.abc import Generator
from typing import Any

import pytest

from ceylon.core.cell import Cell
from ceylon.core.dispatcher import Dispatcher, Worker


@contextlib.contextmanager
def plant() -> Generator[None]:
    serve, offer = Dispatcher._serve, Dispatcher.offer
    served = set[Cell]()

    async def broken(self: Dispatcher, worker: Worker, cell: Cell, *lazy: Any) -> int:
        served.add(cell)
        try:
            return await serve(self, worker, cell, *lazy)
        finally:
            served.discard(cell)

    def broken_offer(self: Dispatcher, cell: Cell) -> None:
        if cell not in served:
            offer(self, cell)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Dispatcher, "_serve", broken)
        patch.setattr(Dispatcher, "offer", broken_offer)
        yield
