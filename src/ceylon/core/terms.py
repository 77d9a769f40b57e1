"""What `Ref.using` asks for beyond time: a budget, and how urgent a message is, with all that follows from it."""

from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

import msgspec

from ceylon.core.budgets import Account, Budget, is_budget
from ceylon.errors import ArgumentError

if TYPE_CHECKING:
    from ceylon.core.router import Router
    from ceylon.messages import Envelope

__all__ = ["Priority", "Terms", "terms_of"]

Priority: TypeAlias = Literal["high", "normal", "low"]
"""In which order requests to a model that is busy are made: all of one kind before any of the next."""

_LANES: Final = {"high": 1, "normal": 0, "low": -1}


class Terms(msgspec.Struct, frozen=True):
    """The budget and the priority of a run that is to begin; `None` leaves what it is part of.

    `accounts` holds the one account that all messages sent under these terms draw on, from the first of them on;
    `None`: each has its own.
    """

    budget: Budget | None = None
    priority: int | None = None
    accounts: list[Account] | None = None

    def shared(self) -> "Terms":
        """Return the same for messages that have one budget together; all are sent by one sender."""
        return msgspec.structs.replace(self, accounts=[])

    def apply(self, envelope: "Envelope", router: "Router") -> None:
        """Let *envelope*, which is about to be sent, and all that follows from it, go by these; on the loop."""
        if self.priority is not None:
            envelope.priority = self.priority
        if self.budget is not None:
            envelope.budget = self._account(self.budget, envelope, router)

    def _account(self, budget: Budget, envelope: "Envelope", router: "Router") -> Account:
        if self.accounts:
            return self.accounts[0]
        now = router.driver.now_anywhere  # threads ask what is left, too
        account = Account(budget, now, above=envelope.budget, hops=envelope.hops)
        if self.accounts is not None:
            self.accounts.append(account)
        return account


def terms_of(budget: Budget | None, priority: Priority | None) -> Terms | None:
    """Return both as terms; `None` if neither is given.

    Raises:
        ArgumentError: that is no budget, or no priority.
    """
    if budget is None and priority is None:
        return None
    if budget is not None and not is_budget(budget):
        message = f"budget={budget!r} cannot be; it takes a `ceylon.Budget(...)`"
        raise ArgumentError(message)
    if priority is not None and priority not in _LANES:
        message = f"priority={priority!r} cannot be; it is one of {', '.join(get_args(Priority))}"
        raise ArgumentError(message)
    return Terms(budget, None if priority is None else _LANES[priority])
