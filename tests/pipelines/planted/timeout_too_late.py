"""A timeout is half as long again as it says."""

import contextlib
from collections.abc import Generator
from typing import Any

import pytest

from ceylon.pipelines.policies import TimeoutUnit


@contextlib.contextmanager
def plant() -> Generator[None]:
    make = TimeoutUnit.__init__

    def broken(self: TimeoutUnit, node: Any, place: str, steps: Any) -> None:
        make(self, node, place, steps)
        self._seconds *= 1.5

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TimeoutUnit, "__init__", broken)
        yield
