"""A handler that fails gives its agent's slot back twice; from then on two run at once.

As with a semaphore that is released in `except` and again in `finally`.
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
        context.cell.running -= 1
        caught(self, worker, context, error)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Dispatcher, "_caught", broken)
        yield
