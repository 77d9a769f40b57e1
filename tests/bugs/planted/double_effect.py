"""Some handlers run twice for one message, one after the other.

As with queues that deliver a message again because its acknowledgement came too late.
"""

import contextlib
from collections.abc import Generator
from typing import Any

import msgspec
import pytest

from ceylon.core.cell import Cell
from ceylon.core.dispatcher import Dispatcher
from ceylon.core.handlers import Handler
from ceylon.messages import Envelope


@contextlib.contextmanager
def plant() -> Generator[None]:
    begins = Dispatcher._begins

    def broken(self: Dispatcher, cell: Cell, handler: Handler, envelope: Envelope) -> Handler:
        function = handler.function

        async def twice(*arguments: Any) -> Any:
            await function(*arguments)
            return await function(*arguments)

        if envelope.id % 5 == 0 and handler.is_async and not handler.yields:
            handler = msgspec.structs.replace(handler, function=twice)
        return begins(self, cell, handler, envelope)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Dispatcher, "_begins", broken)
        yield
