"""A reply that comes too late is given to the next ask between the same two.

As when responses are matched by connection instead of by request.
"""

import contextlib
from collections.abc import Generator

import pytest

from ceylon.core.router import Router
from ceylon.messages import TELL, Envelope, Outcome


@contextlib.contextmanager
def plant() -> Generator[None]:
    reply = Router.reply

    def broken(self: Router, envelope: Envelope, outcome: Outcome) -> None:
        if envelope.id not in self.calls and envelope.kind is not TELL:
            for call in self.calls.values():
                asked = call.envelope
                if (asked.sender, asked.recipient) == (envelope.sender, envelope.recipient):
                    call.settle(outcome)
                    return
        reply(self, envelope, outcome)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Router, "reply", broken)
        yield
