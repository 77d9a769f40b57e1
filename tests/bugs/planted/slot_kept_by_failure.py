"""A handler that fails keeps its agent's slot.

As with semaphores that are released at the end of the happy path.
"""

import contextlib
from collections.abc import Generator

import pytest

from ceylon.core.context import Context
from ceylon.core.dispatcher import Dispatcher, Worker


@contextlib.contextmanager
def plant() -> Generator[None]:
    caught = Dispatcher._caught

    def broken(self: Dispatcher, worker: Worker, context: Context, error: BaseException) -> None:
        context.cell.running += 1
        caught(self, worker, context, error)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Dispatcher, "_caught", broken)
        yield
