"""An `each` waits for the last item before it begins with the first: a hidden barrier."""

import contextlib
from collections.abc import Generator
from typing import Any

import pytest

from ceylon.pipelines.flow import Emit
from ceylon.pipelines.flows import _EachFlow


@contextlib.contextmanager
def plant() -> Generator[None]:
    drive = _EachFlow.drive

    class Whole:
        def __init__(self, items: list[Any]) -> None:
            self.items = items

        async def drive(self, emit: Emit) -> None:
            for item in self.items:
                await emit(item)

    async def broken(self: _EachFlow, emit: Emit) -> None:
        self._items = Whole(await self._items.collect())  # type: ignore[assignment]
        await drive(self, emit)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_EachFlow, "drive", broken)
        yield
