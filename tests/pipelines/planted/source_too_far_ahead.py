"""A generator is asked for the next items before the last one was taken."""

import contextlib
from collections.abc import AsyncIterator, Generator
from typing import Any

import pytest

from ceylon.pipelines.flow import Emit
from ceylon.pipelines.sources import AsyncItems


async def _ahead(items: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """Yield *items*, three later."""
    kept: list[Any] = []
    async for item in items:
        kept.append(item)
        if len(kept) > 3:
            yield kept.pop(0)
    for item in kept:
        yield item


@contextlib.contextmanager
def plant() -> Generator[None]:
    drive = AsyncItems.drive

    async def broken(self: AsyncItems, emit: Emit) -> None:
        self._items = _ahead(self._items)
        await drive(self, emit)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AsyncItems, "drive", broken)
        yield
