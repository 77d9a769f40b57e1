"""A result waits for slower ones before it, also where none is to wait."""

import contextlib
from collections.abc import Generator

import pytest

from ceylon.pipelines.flows import _Line


@contextlib.contextmanager
def plant() -> Generator[None]:
    def broken(self: _Line) -> int | None:
        return self._left if self._left in self._done else None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_Line, "_next", broken)
        yield
