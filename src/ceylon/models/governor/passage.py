"""One request's way through the governor: its places in the line, its tries, its purse."""

import math
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self, TypeVar

import anyio

from ceylon.core.spending import Spent
from ceylon.errors import BudgetError, ModelError, ModelStatusError, ModelUnavailableError
from ceylon.models.governor.estimates import tokens_in
from ceylon.models.governor.line import Place
from ceylon.models.governor.purse import Purse
from ceylon.models.governor.retries import is_passing, pause_before
from ceylon.models.turns import TextPart, ThinkingPart, Usage

if TYPE_CHECKING:
    from ceylon.core.interior import Interior
    from ceylon.models.governor.asker import Asker
    from ceylon.models.governor.governor import Governor
    from ceylon.models.prices import Price
    from ceylon.models.turns import Part, Reply, Request

__all__ = ["UNCOUNTED", "Passage", "need_of"]

T = TypeVar("T")

_TOO_MANY: Final = 429
UNCOUNTED: Final = Usage()
_UNSAID: Final = 1_024  # tokens of an answer, where nobody has set a limit; for the provider's own limits only


class Passage:
    """A context manager around a request: whatever happens in it, the line moves on and the budget is settled.

    `has_parts`: the answer comes in parts, so that one which is given up can be settled by what has arrived.
    """

    # Most requests have no budget and go at once: what they do not need is not even set.
    _place: Place | None = None
    _purse: Purse | None = None
    _request: "Request | None" = None
    _error: ModelError | None = None
    _seen: list[str] | None = None
    _tries = 0
    _has_begun = _is_unanswered = False

    def __init__(
        self,
        governor: "Governor",
        interior: "Interior",
        asker: "Asker",
        price: "Price | None",
        *,
        has_parts: bool = False,
    ) -> None:
        self._governor, self._interior, self._asker, self._price = governor, interior, asker, price
        if asker.account is not None:
            self._purse = Purse(asker.account, price, interior.settings, interior.driver)
        if has_parts:
            self._seen = []

    def __enter__(self) -> Self:
        self._is_unanswered = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._place is not None:
            self._governor.left(self._place)
        if self._purse is not None:
            if self._is_unanswered:
                self._purse.settle_unanswered()
            else:
                self._purse.settle_unknown(None if self._seen is None else "".join(self._seen))

    async def open(self, request: "Request") -> "Request":
        """Return *request* as its run can pay for it; see `Purse.open`."""
        if self._purse is not None:
            request = await self._purse.open(request, self._governor.model)
        self._request = request
        return request

    def _find_need(self) -> tuple[int, int]:
        return (0, 0) if self._request is None else need_of(self._request)

    def take_over(self, request: "Request", place: Place) -> None:
        """Go on with a *request* whose first try is under way in *place*."""
        self._request, self._place, self._tries = request, place, 1

    async def make(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Make the request, whose answer comes whole, as often as it takes; *attempt* makes it once.

        Raises:
            ModelError: by the last try.
            BudgetError: the run's time is over.
        """
        while True:
            await self.enter()
            try:
                return await (attempt() if self._purse is None else self._in_time(attempt, self._purse))
            except ModelError as error:
                if not await self.may_try_again(error):
                    raise

    @staticmethod
    async def _in_time(attempt: Callable[[], Awaitable[T]], purse: Purse) -> T:
        seconds = purse.seconds_left
        if seconds == math.inf:
            return await attempt()
        with anyio.move_on_after(seconds):
            return await attempt()
        what = "seconds"  # a timer may be a hair early, so the clock is not asked
        raise BudgetError(what, 0, 0, purse.seconds)

    async def enter(self) -> None:
        """Wait for the request's turn; see `Governor.admit`."""
        asker = self._asker
        place = self._place = Place(
            root=asker.root,
            priority=asker.priority,
            need=self._find_need,
            tries=self._tries,
            was_refused=self._error is not None and _is_refusal(self._error),
        )
        if not self._governor.admit_nowait(place):
            try:
                await self._governor.admit(place)
            except ModelError as error:
                raise error from self._error
        if self._purse is not None:
            self._purse.check_time()  # before it counts as made: what never left costs nothing
            self._purse.begin()
        self._tries += 1
        self._is_unanswered = False

    def check_time(self) -> None:
        """Raise `BudgetError` when the run's time is over."""
        if self._purse is not None:
            self._purse.check_time()

    def see(self, part: "Part") -> None:
        """Take note of a part: from now on nothing is tried again.

        Raises:
            BudgetError: the run's time is over.
        """
        if self._purse is not None:
            self._purse.check_time()
            if self._seen is not None and isinstance(part, TextPart | ThinkingPart):
                self._seen.append(part.text)
        self._has_begun = True

    def answered(self, reply: "Reply") -> float | None:
        """Take note of the whole answer; return what it has cost, if that is known."""
        usage, asker = reply.usage, self._asker
        is_counted = usage != UNCOUNTED
        if self._place is not None:
            self._governor.answered(self._place, (usage.input, usage.output) if is_counted else None)
        cost = self._price.cost(usage) if self._price is not None and is_counted else None
        if self._purse is not None:
            self._purse.settle_used(usage, reply.thinking + reply.text)
        self._interior.spending.add(asker.agent, asker.root, Spent(1, usage.input, usage.output, cost))
        return cost

    async def may_try_again(self, error: ModelError) -> bool:
        """Take note of *error*; say whether the request is made once more, after the pause that is due before."""
        place, governor = self._place, self._governor
        if place is None or not place.is_admitted:
            return False  # it was never made
        self._is_unanswered = isinstance(error, ModelStatusError | ModelUnavailableError) and not self._has_begun
        governor.failed(place, error)
        pause = self._pause_after(error)
        if pause is None or not self._is_allowed(error):
            governor.gave_up(place, error)
            return False
        self._error = error
        if pause > 0:
            await self._interior.lifecycle.sleep(pause)
        return True

    def _pause_after(self, error: ModelError) -> float | None:
        """Return the seconds before another try; `None` if there is to be none."""
        settings = self._interior.settings
        most = settings.retry_tries if self._asker.tries is None else min(self._asker.tries, settings.retry_tries)
        if self._has_begun or self._tries >= most or not is_passing(error):
            return None
        return pause_before(error, self._tries, settings, self._governor.random)

    def _is_allowed(self, error: ModelError) -> bool:
        """Take what another try needs: a call of the budget, and one of the minute's further tries.

        A server that is ill is left alone if there is none; one that has no room just now is waited for in the line.
        """
        allowance, now = self._governor.allowance, self._interior.driver.now()
        if not _is_refusal(error) and not allowance.is_there(now):
            return False
        if self._purse is not None and not self._purse.may_try_again():
            return False
        if not _is_refusal(error):
            allowance.take(now)
        return True


def need_of(request: "Request") -> tuple[int, int]:
    """Return the tokens that *request* may need, of question and answer."""
    return (tokens_in(request), _UNSAID if request.max_tokens is None else request.max_tokens)


def _is_refusal(error: ModelError) -> bool:
    return isinstance(error, ModelStatusError) and error.status == _TOO_MANY
