"""What stands between all agents of a mesh and one model, by provider, address and key."""

import functools
import random
from typing import TYPE_CHECKING, Final

from ceylon.core.timers import Timer
from ceylon.errors import ModelError, ModelRateLimitError, ModelStatusError
from ceylon.models.governor.breaker import Breaker
from ceylon.models.governor.bucket import Buckets
from ceylon.models.governor.limits import read_limits
from ceylon.models.governor.line import Line, Place
from ceylon.models.governor.pace import Pace
from ceylon.models.governor.retries import Allowance, is_failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ceylon.core.interior import Interior

__all__ = ["Governor"]

_TOO_MANY: Final = 429
_JITTER: Final = 0.1  # of a pause, on top of it: meshes that were refused together do not come back together
_LISTENS: Final = (
    0.025  # seconds for a first refusal to come, before more go: a crowd is not sent at once to be refused
)
_SCATTERED: Final = 2  # refusals in a row after which one request looks before the others


class Governor:
    """Admits requests one by one: so many at once, so many a minute, the urgent first, runs in turn.

    All it knows it has from answers: limits in headers, `Retry-After`, refusals. Whoever waits here waits inside its
    own handler's turn, and leaves the line when it is cancelled.
    """

    def __init__(self, model: str, interior: "Interior") -> None:
        settings = interior.settings
        self.model = model
        self.allowance = Allowance(settings.retry_share, settings.retry_spare)
        self.breaker = Breaker(model, settings.breaker_failures, settings.breaker_pause, settings.breaker_longest_pause)
        self.under_way = 0
        self.pace = Pace(settings.governor_room, settings.retry_first_pause)
        self.line = Line()
        self._buckets = Buckets()
        self._settings, self._interior = settings, interior
        self._now = interior.driver.now
        self._timer = Timer(self._pump)
        self._pause_ends = 0.0
        self._refusals = 0  # in a row
        self._refused_at = 0.0  # the last that was news
        self._has_limits = False  # told of in headers

    def __repr__(self) -> str:
        return f"<Governor {self.model!r} {self.under_way} under way, {len(self.line)} waiting, {self.pace!r}>"

    @functools.cached_property
    def random(self) -> random.Random:
        """Chance of its own, from the first fault on: a replay reads no more of the mesh's than was recorded."""
        return random.Random(self._interior.random.getrandbits(64))  # noqa: S311 – for jitter

    @functools.cached_property
    def hedges(self) -> Allowance:
        """How many requests to the model may be made twice, of all agents together."""
        return self.allowance.beside(self._settings.hedge_share, self._settings.hedge_spare)

    @property
    def is_idle(self) -> bool:
        """Whether nobody is under way or waits."""
        return not self.under_way and not self.line

    # -- coming --------------------------------------------------------------------------------------------------------

    def admit_nowait(self, place: Place) -> bool:
        """Let *place* go if nothing is known that could stand in its way, as mostly; say whether that is so."""
        now = self._now()
        if self.line.count or self._pause_ends > now or not self.breaker.is_closed or self._is_full():
            return False
        if (self._has_limits or self.pace.is_known or place.was_refused) and not self._may_go(place, now):
            return False
        self._go(place, now)
        return True

    async def admit(self, place: Place) -> None:
        """Wait until *place* may go; it is under way then, until one of `answered`, `failed` and `left`.

        Raises:
            ModelSuspendedError: nobody may, for a while.
            ModelRateLimitError: likewise, because the provider has said so, and for longer than anybody waits.
        """
        now = self._now()
        if (refusal := self._why_not(now)) is not None:
            raise refusal
        if not self.line and self._may_go(place, now):
            self._go(place, now)
            return
        place.future = self._interior.driver.future()
        self.line.join(place)
        self._pump()
        try:
            error: ModelError | None = await place.future
        except BaseException:
            if place.is_admitted:
                self.left(place)
            else:
                self.line.leave(place)
                self._pump()
            raise
        if error is not None:
            raise error

    def _why_not(self, now: float) -> ModelError | None:
        """Return why nobody may go, nor wait for it."""
        left = self._pause_ends - now
        if left > self._settings.retry_longest_pause * (1 + _JITTER):
            words = f"the server asked for a pause, of which {left:.0f} s are left"
            return ModelRateLimitError(self.model, _TOO_MANY, words, retry_after=left)
        try:
            self.breaker.check(now)
        except ModelError as error:
            return error
        return None

    def _may_go(self, place: Place, now: float) -> bool:
        if place.was_refused and not self.allowance.is_there(now):
            return False
        return not self._is_full() and self._ready_at(place, now) <= now

    def _is_full(self) -> bool:
        """Say whether nobody may go before another is back."""
        if self._refusals >= _SCATTERED:
            return self.under_way > 0
        return not self.pace.is_known and self.under_way >= self.pace.room

    def _ready_at(self, place: Place, now: float) -> float:
        """Return when pauses and limits let *place* go."""
        at = max(self._pause_ends, self.pace.next_at)
        return max(at, self._buckets.ready_at(place.tokens(), now)) if self._has_limits else at

    def _go(self, place: Place, now: float) -> None:
        self.under_way += 1
        place.is_admitted, place.sent_at = True, now
        place.is_probe = not self.breaker.is_closed and self.breaker.begin()
        self.pace.sent(now, self.under_way)
        if place.was_refused:
            self.allowance.take(now)
        elif not place.tries:  # else it was taken when that was decided
            self.allowance.count(now)
        if self._has_limits:
            place.is_counted = True
            self._buckets.take(place.tokens(), now)

    def _pump(self) -> None:
        """Let go whoever may, in their order; then see when to look again."""
        now = self._now()
        self._interior.timers.cancel(self._timer)
        if self.line and self._why_not(now) is not None:
            for place in self.line.everybody():
                self._call(place, self._why_not(now))  # to each its own: turns write into the error that ends them
        while self.line and not self._is_full():
            may = self.allowance.is_there(now)
            first = self.line.first(takes_refused=may, prefers_new=self._refusals > 0)
            at = self.allowance.next_at(now) if first is None else self._ready_at(first, now)
            if first is None or at > now:
                self._arm(at, self._pump)
                return
            self._call(first, None, now)
        if self.line and not self.pace.is_known:
            self._arm(now + _LISTENS, self._widen)

    def _widen(self) -> None:
        """Nobody has been refused so far: let some more go."""
        self.pace.widen()
        self._pump()

    def _arm(self, when: float, action: "Callable[[], None]") -> None:
        self._timer = Timer(action)  # a new one each time: the old one may still stand in the heap
        self._interior.timers.add(when, self._timer)

    def _call(self, place: Place, error: ModelError | None, now: float = 0.0) -> None:
        """Take *place* out of the line, and let its request go or fail; one that was cancelled just leaves."""
        self.line.leave(place)
        if place.future is not None and not place.future.done():
            if error is None:
                self._go(place, now)
            place.future.set_result(error)

    # -- going ---------------------------------------------------------------------------------------------------------

    def answered(self, place: Place, used: tuple[int, int] | None) -> None:
        """Let the next one go: the request was answered; *used* are the tokens in and out, if they are known."""
        if not place.is_admitted:
            return
        self.pace.answered()
        if place.was_refused:
            self.allowance.give_back(self._now())
        if place.sent_at >= self._refused_at:  # what was sent before says nothing of how things are now
            self._refusals = 0
        if used is not None and place.is_counted:  # what went before a limit was known has taken nothing of it
            self._buckets.give_back(place.tokens(), used)
        self.breaker.succeeded()
        self._end(place)

    def failed(self, place: Place, error: ModelError) -> None:
        """Let the next one go: the request failed, and that says something of the server. See `gave_up` too."""
        if not place.is_admitted:
            return
        now = self._now()
        asked = getattr(error, "retry_after", None)
        if isinstance(error, ModelStatusError) and error.status == _TOO_MANY:
            self._refused(place, now, asked)
        elif asked is not None:
            self._pause(asked, now)
        if not is_failure(error):
            self.breaker.succeeded()
        elif place.is_probe:
            self.breaker.failed(error, now)
        self._end(place)

    def gave_up(self, place: Place, error: ModelError) -> None:
        """Take note that the request is not tried again after *error*."""
        if is_failure(error) and not place.is_probe:
            self.breaker.failed(error, self._now(), is_probe=False)
            self._pump()

    def left(self, place: Place) -> None:
        """Let the next one go: nobody waits for the answer any more."""
        if place.is_admitted:
            if place.is_probe:
                self.breaker.left(self._now())
            self._end(place)

    def _end(self, place: Place) -> None:
        place.is_admitted = False
        self.under_way -= 1
        if self.line.count or self._timer.is_armed:
            self._pump()

    def _refused(self, place: Place, now: float, asked: float | None) -> None:
        """Ask for less from now on; how much less, the server says, or has to be found out."""
        is_news = not self._has_limits and self.pace.refused(place.sent_at, now, is_told=asked is not None)
        if asked is not None:
            self._pause(asked, now)
        elif is_news:
            self._refusals, self._refused_at = self._refusals + 1, now
            if self._refusals >= _SCATTERED:
                pause = self._settings.retry_first_pause * 2 ** (self._refusals - _SCATTERED)
                self._pause(min(pause, self._settings.retry_longest_pause), now)

    def _pause(self, seconds: float, now: float) -> None:
        """Let nobody go for so long: once for all who wait."""
        seconds = min(seconds, self._settings.breaker_longest_pause)
        jitter = self.random.uniform(0.0, seconds * _JITTER) if seconds else 0.0
        self._pause_ends = max(self._pause_ends, now + seconds + jitter)

    # -- hearing -------------------------------------------------------------------------------------------------------

    def hear(self, headers: "Iterable[tuple[bytes, bytes]]") -> None:
        """Take in the headers of an answer, of any."""
        limits = read_limits(headers)
        if limits is not None:
            self._has_limits = True
            self._buckets.learn(limits, self._now())
