"""An `each` begins with every item at once, whatever its concurrency."""

import contextlib
from collections.abc import Generator

import pytest

from ceylon.pipelines.flows import _Line


@contextlib.contextmanager
def plant() -> Generator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_Line, "_has_room", lambda self: True)
        yield
