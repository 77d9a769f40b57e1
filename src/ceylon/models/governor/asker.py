"""For whom a request is made."""

import msgspec

from ceylon.core.budgets import Account

__all__ = ["Asker"]


class Asker(msgspec.Struct, frozen=True):
    """What a governor wants to know of whoever asks; nothing, of a program that uses a session by itself.

    Attributes:
        agent: The agent's address.
        root: What stands for the run the request is part of: the id of the message it began with.
        priority: The lane it waits in; higher ones go first.
        account: What the run may spend, if that is limited.
        tries: How often the request may be made; `None` leaves it to the settings.
    """

    agent: str = ""
    root: int = 0
    priority: int = 0
    account: Account | None = None
    tries: int | None = None
