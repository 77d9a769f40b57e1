"""Some replies go nowhere: the handler has ended, and its asker waits until the deadline.

As when a server forgets a response whose correlation id it has just evicted.
"""

import contextlib
from collections.abc import Generator

import pytest

from ceylon.core.router import Router
from ceylon.messages import Envelope, Outcome


@contextlib.contextmanager
def plant() -> Generator[None]:
    reply = Router.reply

    def broken(self: Router, envelope: Envelope, outcome: Outcome) -> None:
        if envelope.id % 7 != 3:
            reply(self, envelope, outcome)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Router, "reply", broken)
        yield
