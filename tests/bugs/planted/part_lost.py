"""A part of a stream that had to wait for credit is not sent when there is some.

An error by one at the edge of a window.
"""

import contextlib
from collections.abc import Generator
from typing import Any

import pytest

from ceylon.core.channel import Channel


@contextlib.contextmanager
def plant() -> Generator[None]:
    put = Channel.put

    async def broken(self: Channel, part: Any) -> None:
        if self.room() <= 0 and self._end is None:
            await self.wait_for_room()
        else:
            await put(self, part)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Channel, "put", broken)
        yield
