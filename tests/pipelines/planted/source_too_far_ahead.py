"""A generator is asked for the next items before the last one was taken."""

import contextlib
from collections.abc import Generator
from typing import Any

import pytest
from ceylon.pipelines.flow import Emit
from ceylon.pipelines.sources import _OVER, AsyncItems


@contextlib.contextmanager
def plant() -> Generator[None]:
    async def broken(self: AsyncItems, emit: Emit) -> None:
        ahead: list[Any] = []
        try:
            while True:
                while len(ahead) < 3 and (not ahead or ahead[-1] is not _OVER):
                    ahead.append(await self._next())
                if ahead[0] is _OVER:
                    return
                await emit(ahead.pop(0))
        finally:
            await self._close()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AsyncItems, "drive", broken)
        yield
