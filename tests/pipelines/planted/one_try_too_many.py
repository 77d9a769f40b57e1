"""A retry tries once more than it was told."""

import contextlib
from collections.abc import Generator
from typing import Any

import msgspec
import pytest

from ceylon.pipelines.policies import RetryUnit


@contextlib.contextmanager
def plant() -> Generator[None]:
    make = RetryUnit.__init__

    def broken(self: RetryUnit, node: Any, place: str, steps: Any) -> None:
        make(self, msgspec.structs.replace(node, times=node.times + 1), place, steps)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RetryUnit, "__init__", broken)
        yield
