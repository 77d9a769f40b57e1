"""What one request takes from its run's budget: held before it is made, settled when it is over, however that is."""

import math
from typing import TYPE_CHECKING, Final

import msgspec

from ceylon.core.budgets import NOTHING, Amount, nanodollars
from ceylon.errors import BudgetError, ModelConfigError
from ceylon.models.governor.estimates import tokens_in, tokens_of_text
from ceylon.models.turns import Request, Usage

if TYPE_CHECKING:
    from ceylon.core.backend import Driver
    from ceylon.core.budgets import Account
    from ceylon.models.prices import Price
    from ceylon.settings import Settings

__all__ = ["Purse"]

_MARGIN: Final = 64  # tokens a server may have made beyond what had arrived
_NANO: Final = 1e9


class Purse:
    """Belongs to one request, whatever number of tries it takes."""

    def __init__(self, account: "Account", price: "Price | None", settings: "Settings", driver: "Driver") -> None:
        self._account, self._price, self._settings, self._driver = account, price, settings, driver
        self._held = NOTHING
        self._input = 0
        self._output = 0
        self._calls = 0  # tries that have been made

    async def open(self, request: Request, model: str) -> Request:
        """Hold what *request* may cost; return it, bounded by that and by the time that is left.

        While others of the same run hold too much, it waits for them to settle.

        Raises:
            BudgetError: it may cost more than the run can still spend.
            ModelConfigError: the budget is in dollars, and the model has no known price.
        """
        account = self._account
        if account.limits("usd") and self._price is None:
            sentence = (
                f"the run has a budget in US dollars, and the price of {model} is not known; install the extra "
                f'`prices`, or give it: LlmAgent(..., prices={{"{model}": (0.4, 1.6)}}), dollars for a million tokens '
                "in and out"
            )
            raise ModelConfigError(sentence)
        self._input = tokens_in(request)
        while True:
            account.check_time()
            output = self._affordable(request)
            if output is not None:
                break
            await self._change()
        self._output = output
        self._hold(Amount(self._nano(self._input, output), self._input + output, 1))
        if request.max_tokens is None and self._is_measured():
            request = msgspec.structs.replace(request, max_tokens=output)
        return self.bounded(request)

    def bounded(self, request: Request) -> Request:
        """Return *request* with a timeout that the run's time allows."""
        left = self._account.seconds_left
        if left == math.inf or (request.timeout is not None and request.timeout <= left):
            return request
        return msgspec.structs.replace(request, timeout=left)

    def begin(self) -> None:
        """Count a try, which is about to be made."""
        self._calls += 1

    def may_try_again(self) -> bool:
        """Hold another call, if there is one."""
        if self._account.room().calls < 1:
            return False
        self._hold(Amount(calls=1))
        return True

    @property
    def seconds_left(self) -> float:
        """How long the request may take."""
        return self._account.seconds_left

    @property
    def seconds(self) -> float:
        """How long the run may take in all."""
        return self._account.limit("seconds")

    def check_time(self) -> None:
        """Raise `BudgetError` when the run's time is over."""
        self._account.check_time()

    # -- settling ------------------------------------------------------------------------------------------------------

    def settle_used(self, usage: Usage, text: str) -> None:
        """Settle a request that was answered; a server that does not count is charged by what it said."""
        if usage == Usage():
            usage = Usage(input=self._input, output=min(self._output, tokens_of_text(text)))
        cost = self._price.cost(usage) if self._price is not None else None
        self._settle(Amount(nanodollars(cost) or 0, usage.input + usage.output, self._calls))

    def settle_unanswered(self) -> None:
        """Settle a request that no model has worked on."""
        self._settle(Amount(calls=self._calls))

    def settle_unknown(self, seen: str | None) -> None:
        """Settle a request that was given up: by what had arrived, `None`: nobody can know, so by all it might cost."""
        output = self._output
        if seen is not None:
            output = min(output, tokens_of_text(seen) + _MARGIN)
        self._settle(Amount(self._nano(self._input, output), self._input + output, self._calls))

    def _settle(self, spent: Amount) -> None:
        held, self._held = self._held, NOTHING
        if held != NOTHING:
            self._account.settle(held, spent)

    # -- what it may cost ----------------------------------------------------------------------------------------------

    def _hold(self, amount: Amount) -> None:
        self._account.hold(amount)
        self._held += amount

    def _is_measured(self) -> bool:
        return self._account.limits("usd") or self._account.limits("tokens")

    def _affordable(self, request: Request) -> int | None:
        """Return how long the answer may be; `None`: that depends on what others of the run still settle."""
        account = self._account
        if account.room().calls < 1:
            what = "calls"
            raise BudgetError(what, 1, 0, account.limit(what))
        most = self._settings.budget_output if request.max_tokens is None else request.max_tokens
        if not self._is_measured():
            return most
        least = min(most, self._settings.budget_least_output) if request.max_tokens is None else most
        output = self._longest(account.room(), most)
        if output >= least:
            return output
        self._check_hope(least)
        return None

    def _check_hope(self, least: int) -> None:
        """Raise `BudgetError` if an answer of *least* tokens could not be paid for, even if nothing were held."""
        account, total = self._account, self._input + least
        room = account.room(settled=True)
        if total > room.tokens:
            what = "tokens"
            raise BudgetError(what, total, max(0, room.tokens), account.limit(what))
        nano = self._nano(self._input, least)
        if nano > room.nano:
            what = "US dollars"
            raise BudgetError(what, nano / _NANO, max(0, room.nano) / _NANO, account.limit("usd"))

    def _longest(self, room: Amount, most: int) -> int:
        """Return how many tokens of an answer *room* has place for after the question, up to *most*."""
        low, high = -1, min(most, room.tokens - self._input) + 1
        if high > 0 and self._nano(self._input, high - 1) <= room.nano:
            return high - 1
        while high - low > 1:  # prices may have steps, so nothing is divided
            middle = (low + high) // 2
            low, high = (middle, high) if self._nano(self._input, middle) <= room.nano else (low, middle)
        return low

    def _nano(self, input_: int, output: int) -> int:
        """Return the price of so many tokens; where some of them may be written to a cache, of that."""
        if self._price is None or not self._account.limits("usd"):
            return 0
        plain = Usage(input=input_, output=max(0, output))
        cached = Usage(input=input_, output=max(0, output), cache_write=input_)
        return max(nanodollars(self._price.cost(usage)) or 0 for usage in (plain, cached))

    async def _change(self) -> None:
        """Wait until others have settled something."""
        future = self._driver.future()
        self._account.await_change(future)
        try:
            await future
        finally:
            self._account.leave(future)
