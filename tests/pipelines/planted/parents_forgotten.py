"""Events of what is inside a branch do not say whose part they are."""

import contextlib
from collections.abc import Generator

import pytest

from ceylon.pipelines import policies


@contextlib.contextmanager
def plant() -> Generator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(policies, "number_of", lambda execution: 0)
        yield
