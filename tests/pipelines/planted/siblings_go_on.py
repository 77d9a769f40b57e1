"""A failure does not cancel the others beside it."""

import contextlib
from collections.abc import Generator

import pytest

from ceylon.pipelines.crew import Crew


@contextlib.contextmanager
def plant() -> Generator[None]:
    def broken(self: Crew, error: BaseException) -> None:
        self._first = self._first or error

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Crew, "fail", broken)
        yield
