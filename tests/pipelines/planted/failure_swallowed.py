"""A branch that fails counts as one that gives nothing."""

import contextlib
from collections.abc import Generator
from typing import Any

import pytest

from ceylon.pipelines.crew import Crew


@contextlib.contextmanager
def plant() -> Generator[None]:
    async def broken(self: Crew, function: Any, arguments: Any) -> None:
        with contextlib.suppress(Exception):
            await function(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Crew, "_guard", broken)
        yield
