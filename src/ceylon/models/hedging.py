"""Hedged requests: what has not begun to be answered in time is asked once more, and the first to begin wins.

After J. Dean and L. A. Barroso, "The Tail at Scale" (2013): a second request for the slowest few takes most of the tail
off, for little more load. A hedge is a luxury: it goes only where there is room, and its failure is nobody's.
"""

import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic

import anyio
import anyio.lowlevel
import msgspec

from ceylon.core.log import logger
from ceylon.errors import ModelError, StrayCancellationError, describe
from ceylon.models.fallback import Ask, Beginning, FallbackModel, FallbackSession, Opener, T, falls_back
from ceylon.models.governor.spare import NotSentError, Spare, spare
from ceylon.models.turns import Reply, cost_of_both

if TYPE_CHECKING:
    from ceylon.models.fallback import GovernorOf
    from ceylon.models.port import Model
    from ceylon.models.prices import OwnPrices

__all__ = ["HedgedModel", "HedgedSession", "Race"]


class HedgedModel(FallbackModel):
    """Models in order, of which the next is asked as well where one takes longer than *seconds* to begin.

    Behind the last there is the last once more. Without a mesh nobody knows whether there is room for that: then
    models are only replaced.
    """

    is_heard_as_one: ClassVar[bool] = True

    def __init__(self, models: "tuple[Model, ...]", prices: "OwnPrices", seconds: float) -> None:
        super().__init__(models, prices)
        self.seconds = seconds

    def session(self, opener: Opener, now: Callable[[], float], governor: "GovernorOf") -> "HedgedSession":
        """Return a session in a mesh, whose *opener* lets spare requests through."""
        return HedgedSession(self, opener, now, governor)


class HedgedSession(FallbackSession):
    """Asks a second time where a model is slow: for a share of the requests to it, and for each of them once."""

    def __init__(self, model: HedgedModel, opener: Opener, now: Callable[[], float], governor: "GovernorOf") -> None:
        super().__init__(model, opener, now)
        self.seconds = model.seconds
        self._governor = governor

    async def _in_order(self, ask: "Ask[T]", ends: float | None, index: int = 0) -> T:
        """See `FallbackSession`; who has been asked as the second is not asked again."""
        last = len(self._model.models) - 1
        while True:
            race = Race(self, lambda each: self._in_time(ask, each, ends), index, min(index + 1, last))
            try:
                return await race.run()
            except ModelError as error:
                if race.second_error is not None and not _is_covered(race.second_error):
                    raise
                index = self._next(error, index, race.following)
            if race.was_sent:
                return await super()._in_order(ask, ends, index)

    def take(self, first: int) -> bool:
        """Take one of the requests to the model at *first* that may be made twice; say whether there was one."""
        hedges, now = self._governor(self._model.models[first]).hedges, self._now()
        is_there = hedges.is_there(now)
        if is_there:
            hedges.take(now)
        return is_there

    def give_back(self, first: int) -> None:
        """Give it back: the second request was not sent."""
        self._governor(self._model.models[first]).hedges.give_back(self._now())

    def tell(self, first: int, second: int) -> None:
        """Log that the model at *second* is asked beside the one at *first*."""
        models = self._model.models
        logger().info("model_hedged", model=models[first].name, by=models[second].name, after=self.seconds)

    def name(self, place: int) -> str:
        """Return what the model at *place* is called."""
        return self._model.models[place].name

    def explain(self, second: int, error: Exception) -> str:
        """Return what is noted of the second one's *error* where both have failed."""
        return f"{self._model.models[second].name}, asked as well after {self.seconds:g} s: {describe(error)}"


class Race(Generic[T]):
    """Asks the model at *first*, and the one at *second* if that has not begun in time; the first to begin wins."""

    def __init__(self, session: HedgedSession, ask: Callable[[int], Awaitable[T]], first: int, second: int) -> None:
        self._session, self._first, self._second = session, first, second
        self._ask: Callable[[int], Awaitable[T]] = ask
        self._spare = Spare(lambda: session.tell(first, second))
        self._scope = anyio.CancelScope()  # of the first
        self._answers: list[T] = []  # in the order in which they came; mostly there is one
        self._error: Exception | None = None
        self.second_error: Exception | None = None

    @property
    def was_sent(self) -> bool:
        """Whether the second was asked."""
        return self._spare.was_sent

    @property
    def following(self) -> int:
        """The place of who is next, if nobody has answered."""
        return (self._second if self.was_sent else self._first) + 1

    async def run(self) -> T:
        """Return how the winner begins; the other has been cancelled.

        Raises:
            ModelError: that of the first, if both have failed.
        """
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._ask_second)
                await self._ask_first()
                if self._answers or not (self.was_sent and _is_covered(self._error)):
                    self._spare.withdraw()
                    tasks.cancel_scope.cancel()
            return await self._outcome()
        except BaseExceptionGroup as group:  # of no errors, these are taken note of: an interrupt, mostly
            await _close(self._answers)
            _, others = group.split(anyio.get_cancelled_exc_class())
            raise (others or group).exceptions[0] from None
        except BaseException:
            await _close(self._answers)
            raise

    async def _ask_first(self) -> None:
        with self._scope:
            try:
                self._answers.append(await self._ask(self._first))
            except Exception as error:  # noqa: BLE001 – raised again when the second has ended
                self._error = error

    async def _ask_second(self) -> None:
        await anyio.sleep(self._session.seconds)
        if not self._session.take(self._first):
            return
        spare.set(self._spare)  # in this task only
        try:
            self._answers.append(await self._ask(self._second))
            self._scope.cancel()
        except NotSentError:
            pass
        except Exception as error:  # noqa: BLE001 – a luxury: the first goes on
            self.second_error = error
        except anyio.get_cancelled_exc_class() as error:
            await anyio.lowlevel.checkpoint_if_cancelled()  # goes on with one that somebody did ask for
            self.second_error = StrayCancellationError(self._session.name(self._second))
            self.second_error.__cause__ = error
        finally:
            if not self.was_sent:
                self._session.give_back(self._first)

    async def _outcome(self) -> T:
        """Return the answer of the winner."""
        if self._answers:
            winner, *others = self._answers
            await _close(others)
            whole: T = _with_usage(winner, others)
            return whole
        assert self._error is not None  # noqa: S101 – one of both was taken note of
        if self.second_error is not None:
            self._error.add_note(self._session.explain(self._second, self.second_error))
        raise self._error


def _is_covered(error: Exception | None) -> bool:
    """Say whether another model may answer where one failed by *error*."""
    return isinstance(error, ModelError) and falls_back(error)


async def _close(answers: "Sequence[Reply[Any] | Beginning]") -> None:
    """Let the servers stop that have only begun, all of them; that one ends badly which nobody needs is no matter."""
    async with contextlib.AsyncExitStack() as stack:
        for answer in answers:
            if isinstance(answer, Beginning):
                stack.push_async_callback(_leave, answer)


async def _leave(beginning: Beginning) -> None:
    try:
        await beginning.parts.aclose()
    except Exception as error:  # noqa: BLE001 – the session's own, at its end
        logger().debug("hedge_ended_badly", place=beginning.place, exc_info=error)


def _with_usage(winner: Any, others: Sequence[Any]) -> Any:
    """Return *winner* with what a whole answer has cost that came in the same moment."""
    for other in others:
        if not isinstance(winner, Beginning):
            usage, requests = winner.usage + other.usage, winner.requests + other.requests
            cost = cost_of_both(winner.cost, other.cost)
            winner = msgspec.structs.replace(winner, usage=usage, cost=cost, requests=requests)
    return winner
