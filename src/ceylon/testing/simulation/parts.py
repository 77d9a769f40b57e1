"""The parts of a mesh in a simulation: they do their work in an order that a seed decides, and let things go wrong."""

import functools
import random
import threading
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import TYPE_CHECKING, Any, ClassVar, Final

import anyio
import msgspec

from ceylon.core.instruments import Instruments
from ceylon.errors import DefinitionError, InjectedFaultError
from ceylon.messages import STREAM
from ceylon.testing.fingerprints import Fingerprints
from ceylon.testing.recording import RecordedDispatcher, RecordedRouter, blend, recording_instruments
from ceylon.testing.simulation.choices import Choices, ShuffledDeque
from ceylon.testing.simulation.faults import FaultPlan, note_fault
from ceylon.testing.simulation.lockstep import LockStepPool

if TYPE_CHECKING:
    from ceylon.core.backend import Driver
    from ceylon.core.cell import Cell
    from ceylon.core.clock import Clock
    from ceylon.core.handlers import Handler
    from ceylon.core.interior import Interior
    from ceylon.messages import Envelope
    from ceylon.testing.recorder import Recorder

__all__ = ["simulation_instruments"]

_LATEST: Final = 2.0
"""Seconds: a delay or a slow handler takes so long at most, so that some deadlines pass and most do not."""
_LONGEST_STRETCH: Final = 4
"""Messages that an agent handles before another may, at most: few, so that agents get in each other's way."""
_LAST_CRASH: Final = 4
"""A handler that crashes does so at one of so many of its first awaits."""
_DAY: Final = 1_767_225_600.0
"""The day on which all simulations begin, 1 January 2026, in seconds since 1970."""


def simulation_instruments(
    recorder: "Recorder", base: Instruments, choices: Choices, plan: FaultPlan, clock: "Clock"
) -> Instruments:
    """Return what a mesh in a simulation is made of; *base* holds what else its parts do."""
    seen = Fingerprints(recorder.violations)
    recorded = recording_instruments(recorder.history, base, recorder=recorder)
    ids = (f"simulated{number}" for number in range(1, 1_000_000))
    seeds = (choices.below(1 << 30) for _ in range(1_000_000))
    return msgspec.structs.replace(
        recorded,
        ready=lambda: ShuffledDeque(choices.below),
        router=blend(_Router, recorded.router, plan=plan, fingerprints=seen),
        dispatcher=blend(
            _Dispatcher,
            recorded.dispatcher,
            plan=plan,
            choices=choices,
            fingerprints=seen,
            thread=threading.get_ident(),
        ),
        threads=blend(LockStepPool, recorded.threads, plan=plan, choices=choices, fingerprints=seen, clock=clock),
        new_id=lambda: next(ids),
        random_source=lambda: random.Random(next(seeds)),  # noqa: S311 – repeatable is the point
        clock=lambda: _DAY + clock.time(),
        watches_loop=False,
    )


class _Router(RecordedRouter):
    plan: ClassVar[FaultPlan]
    fingerprints: ClassVar[Fingerprints]

    def deliver(self, envelope: "Envelope") -> "Cell | None":
        full = super().deliver(envelope)
        if full is None:
            self.fingerprints.take(envelope)
            cell = self.find(envelope.recipient)
            if cell is not None:
                self._overtake(envelope, cell)
                self._deliver_twice(envelope, cell)
        return full

    def _overtake(self, envelope: "Envelope", cell: "Cell") -> None:
        """Move *envelope* before some of those of other senders."""
        mail: Any = cell.mail
        if not self.plan.strikes("reorder"):
            return
        place = last = len(mail) - 1
        while place > 0 and mail[place - 1].sender != envelope.sender and self.plan.below(4):
            place -= 1
        if place < last and mail[last] is envelope:
            mail.pop()
            mail.insert(place, envelope)
            note_fault(self.record, envelope, f"overtakes {last - place}")

    def _deliver_twice(self, envelope: "Envelope", cell: "Cell") -> None:
        """Deliver *envelope* once more under a number of its own, if its agent can bear it."""
        if envelope.kind is STREAM or not getattr(cell.agent, "idempotent", False):
            return
        if self.plan.strikes("duplicate"):
            again = msgspec.structs.replace(envelope, id=next(self.ids))
            if super().deliver(again) is None:
                note_fault(self.record, again, f"is #{envelope.id} again")


class _Dispatcher(RecordedDispatcher):
    plan: ClassVar[FaultPlan]
    fingerprints: ClassVar[Fingerprints]
    choices: ClassVar[Choices]
    thread: ClassVar[int]

    def __init__(self, interior: "Interior", driver: "Driver") -> None:
        if driver.thread != self.thread:
            message = (
                f"mesh {interior.name!r} has a loop of its own, which nothing can simulate; "
                "a simulated test opens meshes by `simulation.mesh()` or `async with Mesh(...)`"
            )
            raise DefinitionError(message)
        super().__init__(interior, driver)
        self._delayed: dict[Cell, Callable[[], None]] = {}  # with what takes the look back

    @property
    def _batch(self) -> int:
        """How many messages an agent handles at a stretch: another number each time."""
        return self.choices.below(_LONGEST_STRETCH) + 1

    @_batch.setter
    def _batch(self, _: int) -> None:
        """Take no number: the settings' is for speed."""

    def offer(self, cell: "Cell") -> None:
        if cell in self._delayed:
            return
        if cell.mail and not cell.is_listed and self.plan.strikes("delay"):
            seconds = self.plan.seconds(_LATEST)
            note_fault(self._record, cell, f"is looked at {seconds:g} s later")
            # No timer of the mesh's own: those are counted.
            self._delayed[cell] = self._driver.call_at(self._now() + seconds, lambda: self._offer_late(cell))
        else:
            super().offer(cell)

    def _offer_late(self, cell: "Cell") -> None:
        del self._delayed[cell]
        super().offer(cell)

    def close(self) -> None:
        super().close()
        for take_back in self._delayed.values():
            take_back()

    def _begins(self, cell: "Cell", handler: "Handler", envelope: "Envelope") -> "Handler":
        self.fingerprints.check(envelope)
        spoilt = self._spoilt(handler, envelope)  # first: what has begun already is spared
        return super()._begins(cell, spoilt, envelope)

    def _spoilt(self, handler: "Handler", envelope: "Envelope") -> "Handler":
        """Return *handler* with what is going to go wrong in it."""
        function = handler.function
        if self._record.has_begun(envelope):  # what goes on here had its share before
            return handler
        is_plain = handler.is_async and not handler.yields
        if is_plain and self.plan.strikes("slow"):
            seconds = self.plan.seconds(_LATEST)
            note_fault(self._record, envelope, f"waits {seconds:g} s before its handler begins")
            function = _slow(function, seconds)
        if self.plan.strikes("crash"):
            after = self.plan.below(_LAST_CRASH) if is_plain else 0
            function = _crashing(function, after, lambda: note_fault(self._record, envelope, f"crash at await {after}"))
        return handler if function is handler.function else msgspec.structs.replace(handler, function=function)


def _slow(function: Callable[..., Awaitable[Any]], seconds: float) -> Callable[..., Awaitable[Any]]:
    async def slow(*arguments: Any) -> Any:
        await anyio.sleep(seconds)
        return await function(*arguments)

    return slow


def _crashing(function: Callable[..., Any], after: int, note: Callable[[], None]) -> Callable[..., Any]:
    """Return *function* such that it raises as it goes on after its await number *after*, or right away for 0."""

    def crash_now(*_: Any) -> Any:
        note()
        raise InjectedFaultError

    def crash_later(*arguments: Any) -> Any:
        return _Crashing(function(*arguments), after, note)

    return crash_later if after else crash_now


class _Crashing:
    """A coroutine, driven by hand up to the await that it does not survive."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], after: int, note: Callable[[], None]) -> None:
        self._coroutine, self._left, self._note = coroutine, after, note

    def __await__(self) -> Generator[Any, Any, Any]:
        """Run it."""
        step: Callable[[], Any] = functools.partial(self._coroutine.send, None)
        while True:
            try:
                waits_for = step()
            except StopIteration as end:
                return end.value
            try:
                sent = yield waits_for
            except BaseException as error:  # noqa: BLE001 – whatever it is, it is the coroutine's
                step = functools.partial(self._coroutine.throw, error)
            else:
                step = self._go_on(sent)

    def _go_on(self, sent: Any) -> Callable[[], Any]:
        self._left -= 1
        if self._left:
            return functools.partial(self._coroutine.send, sent)
        self._note()
        return functools.partial(self._coroutine.throw, InjectedFaultError())
