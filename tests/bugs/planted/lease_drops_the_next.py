"""A thread that meets a message for the loop takes it out of the mailbox and does not put it back.

As with batch consumers that read one too many.
"""

import contextlib
from collections.abc import Generator
from typing import Any

import pytest

from ceylon.core.handlers import Handler
from ceylon.core.leases import Lease, _threaded_handler
from ceylon.messages import Envelope


@contextlib.contextmanager
def plant() -> Generator[None]:
    take = Lease.take

    def broken(self: Lease) -> tuple[Handler, Envelope] | None:
        taken = take(self)
        mail: Any = self.cell.mail
        if taken is None and len(mail) > 1 and _threaded_handler(self.cell, mail[0]) is None:
            mail.popleft()
        return taken

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Lease, "take", broken)
        yield
