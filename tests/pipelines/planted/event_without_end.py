"""What is cancelled tells of no end."""

import contextlib
from collections.abc import Generator

import pytest

from ceylon.pipelines.watching import Execution


@contextlib.contextmanager
def plant() -> Generator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Execution, "drop", lambda self: None)
        yield
