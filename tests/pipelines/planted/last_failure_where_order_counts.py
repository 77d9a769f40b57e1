"""With ``on_failure="wait"`` the failure of the last item is raised, not that of the first."""

import contextlib
from collections.abc import Generator
from typing import Any

import pytest

from ceylon.pipelines import flows


@contextlib.contextmanager
def plant() -> Generator[None]:
    def broken(self: Any) -> None:
        if self._failures:
            raise self._failures[max(self._failures)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flows._Line, "check", broken)
        yield
