"""While a slow item is waited for, more and more results pile up behind it."""

import contextlib
from collections.abc import Generator

import pytest

from ceylon.pipelines.flows import _Line


@contextlib.contextmanager
def plant() -> Generator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_Line, "_has_room", lambda self: self._inside < self._node.concurrency)
        yield
