"""What a run may spend: `Budget` is the value users give, `Account` what everything the run leads to draws on.

Amounts are whole numbers, money in billionths of a dollar: sums of many small ones stay exact.
"""

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

import msgspec

from ceylon.errors import ArgumentError, BudgetError

if TYPE_CHECKING:
    from ceylon.core.backend import Future
    from ceylon.messages import Envelope

__all__ = ["NOTHING", "Account", "Amount", "Budget", "is_budget", "nanodollars"]

_NANO: Final = 1_000_000_000
_WHOLE: Final = ("tokens", "calls", "depth")


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """What one run may spend; `None` sets no limit.

    A run is a message and everything that follows from it: asks, tells, the requests its agents make to models.

    Attributes:
        usd: US dollars; needs prices, see the guide.
        tokens: Into and out of models.
        calls: Requests to models, each further try counted.
        seconds: From the moment the message is sent; the time that people are asked for a yes does not count.
        depth: Asks inside of asks: with 1 the agent that is asked may ask others, and these nobody.
    """

    usd: float | None = None
    tokens: int | None = None
    calls: int | None = None
    seconds: float | None = None
    depth: int | None = None

    def __post_init__(self) -> None:
        """Refuse what is no amount.

        Raises:
            ArgumentError: a limit is negative, not finite, or not a number.
        """
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value is not None and not _is_amount(value, whole=name in _WHOLE):
                kind = "a whole number" if name in _WHOLE else "a finite number"
                message = f"Budget({name}={value!r}) cannot be; it takes {kind} from 0"
                raise ArgumentError(message)


class Amount(msgspec.Struct, frozen=True):
    """Something to be spent: billionths of a dollar, tokens, requests."""

    nano: int = 0
    tokens: int = 0
    calls: int = 0

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(self.nano + other.nano, self.tokens + other.tokens, self.calls + other.calls)

    def __sub__(self, other: "Amount") -> "Amount":
        return Amount(self.nano - other.nano, self.tokens - other.tokens, self.calls - other.calls)


NOTHING: Final = Amount()


class Account:
    """One run's budget in use, and above it those of the runs it is part of; on the mesh's loop.

    What a request may cost is held before it is made, and settled when it is over: nobody else can spend it meanwhile.
    """

    __slots__ = ("_ends", "_hops", "_now", "_rested_at", "_rests", "_waiting", "above", "budget", "held", "spent")

    def __init__(
        self, budget: Budget, now: Callable[[], float], *, above: "Account | None" = None, hops: int = 0
    ) -> None:
        self.budget, self.above = budget, above
        self.spent = self.held = NOTHING
        self._ends = math.inf if budget.seconds is None else now() + budget.seconds
        self._rests, self._rested_at = 0, 0.0
        self._now, self._hops = now, hops
        self._waiting: list[Future] = []

    def __repr__(self) -> str:
        return f"<Account {self.left()}>"

    def __iter__(self) -> "Iterator[Account]":
        account: Account | None = self
        while account is not None:
            yield account
            account = account.above

    # -- spending ------------------------------------------------------------------------------------------------------

    def hold(self, amount: Amount) -> None:
        """Keep *amount* for a request that is about to be made; see first that there is `room` for it."""
        for account in self:
            account.held += amount

    def settle(self, held: Amount, spent: Amount) -> None:
        """Give back what was *held* for a request, and count what it has *spent*."""
        for account in self:
            account.held -= held
            account.spent += spent
            account.wake()

    def room(self, *, settled: bool = False) -> Amount:
        """Return what may be held now, everywhere; with *settled*, what that would be if nothing were held at all.

        What has no limit has room for any number.
        """
        rooms = [account.own_room(settled=settled) for account in self]
        return Amount(*(min(getattr(each, name) for each in rooms) for name in Amount.__struct_fields__))

    def own_room(self, *, settled: bool) -> Amount:
        """Return what this account alone would allow."""
        budget, used = self.budget, self.spent if settled else self.spent + self.held
        limits = (nanodollars(budget.usd, down=True), budget.tokens, budget.calls)
        amounts = (used.nano, used.tokens, used.calls)
        return Amount(
            *(_BOUNDLESS if limit is None else limit - gone for limit, gone in zip(limits, amounts, strict=True))
        )

    def limits(self, name: str) -> bool:
        """Say whether there is a limit called *name* anywhere."""
        return any(getattr(account.budget, name) is not None for account in self)

    def limit(self, name: str) -> float:
        """Return the lowest limit called *name*; infinite where there is none."""
        found = [getattr(account.budget, name) for account in self]
        return min((float(value) for value in found if value is not None), default=math.inf)

    # -- waiting for others to settle ----------------------------------------------------------------------------------

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits for what is held here, or above."""
        return any(account._waiting for account in self)  # noqa: SLF001 – the same class

    def await_change(self, future: "Future") -> None:
        """Let *future* hear when something that is held here, or above, has been settled."""
        for account in self:
            account.join(future)

    def join(self, future: "Future") -> None:
        """Let *future* hear of this account."""
        self._waiting.append(future)

    def leave(self, future: "Future") -> None:
        """Let it hear of nothing any more."""
        for account in self:
            account.part(future)

    def part(self, future: "Future") -> None:
        """Forget *future*."""
        if future in self._waiting:
            self._waiting.remove(future)

    def wake(self) -> None:
        """Let those who wait look again."""
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    # -- limits of other kinds -----------------------------------------------------------------------------------------

    @property
    def ends(self) -> float:
        """When the run's time is over; no time at all while a person is asked."""
        return min(account.own_end for account in self)

    @property
    def own_end(self) -> float:
        """When the time of this account alone is over."""
        return math.inf if self._rests else self._ends

    @property
    def seconds_left(self) -> float:
        """How long the run may go on; infinite without a limit, never negative."""
        now = self._now()
        return max(0.0, min(account.own_seconds(now) for account in self))

    def own_seconds(self, now: float) -> float:
        """Return what is left of the time of this account alone."""
        return self._ends - (self._rested_at if self._rests else now)

    def rest(self, now: float) -> None:
        """Let the run's time stand still, because a person is asked; each such call wants a `go_on`."""
        for account in self:
            account.count_rest(1, now)

    def go_on(self, now: float) -> None:
        """Let it run again: it ends later by so much."""
        for account in self:
            account.count_rest(-1, now)

    def count_rest(self, change: int, now: float) -> None:
        """Count those who ask a person; with the first the clock stops, with the last it goes on."""
        if not self._rests:
            self._rested_at = now
        self._rests += change
        if not self._rests:
            self._ends += now - self._rested_at

    def check_time(self) -> None:
        """Raise `BudgetError` when the run's time is over."""
        if self._now() >= self.ends:
            what = "seconds"
            raise BudgetError(what, 0, 0, self.limit(what))

    def admit(self, envelope: "Envelope") -> None:
        """Let *envelope*, an ask, wait no longer than the run may last.

        Raises:
            BudgetError: it is asked too far from where the run began.
        """
        for account in self:
            most, depth = account.budget.depth, envelope.hops - account._hops  # noqa: SLF001 – the same class
            if most is not None and depth > most:
                what = "depth"
                raise BudgetError(what, depth, 0, most)
        if self.ends < math.inf and (envelope.deadline is None or self.ends < envelope.deadline):
            envelope.deadline = self.ends

    def left(self) -> Budget:
        """Return what may still be spent, as a budget; what is held counts as spent."""
        room = self.room()
        return Budget(
            usd=max(0, room.nano) / _NANO if self.limits("usd") else None,
            tokens=max(0, room.tokens) if self.limits("tokens") else None,
            calls=max(0, room.calls) if self.limits("calls") else None,
            seconds=self.seconds_left if self.limits("seconds") else None,
            depth=int(self.limit("depth")) if self.limits("depth") else None,
        )


_BOUNDLESS: Final = 1 << 62


def nanodollars(usd: float | None, *, down: bool = False) -> int | None:
    """Return *usd* in billionths, rounded up, or *down*; `None` for none."""
    if usd is None:
        return None
    return math.floor(usd * _NANO + _HAIR) if down else math.ceil(usd * _NANO - _HAIR)


_HAIR: Final = 1e-3  # of a billionth: what a product of floats is off


def is_budget(value: object) -> bool:
    """Say whether a user has given a budget where one is taken."""
    return isinstance(value, Budget)


def _is_amount(value: object, *, whole: bool) -> bool:
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        return False
    return math.isfinite(value) and value >= 0
