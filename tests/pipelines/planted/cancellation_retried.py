"""Policies take a cancellation for a failure, and go on."""

import contextlib
from collections.abc import Generator
from typing import Any

import pytest

from ceylon.pipelines.running import Run


@contextlib.contextmanager
def plant() -> Generator[None]:
    is_kept = Run.is_kept

    def broken(self: Run, error: BaseException, *arguments: Any) -> bool:
        return self.is_cancelled_by(error) or is_kept(self, error, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "is_kept", broken)
        yield
