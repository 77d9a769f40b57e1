"""Results leave as they end, also where order is promised."""

import contextlib
from collections.abc import Generator

import pytest

from ceylon.pipelines.flows import _Line


@contextlib.contextmanager
def plant() -> Generator[None]:
    def broken(self: _Line) -> int | None:
        return self._ready.popleft() if self._ready else None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_Line, "_next", broken)
        yield
