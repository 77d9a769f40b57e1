"""Write the history of a mesh: parts that do what a mesh's own parts do, and say so.

They are handed to a mesh as instruments, in a simulation and outside of one. A mesh without them pays nothing.
"""

import functools
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from ceylon.core.calls import AskCall
from ceylon.core.dispatcher import Dispatcher
from ceylon.core.instruments import Instruments
from ceylon.core.invocation import LAZY
from ceylon.core.leases import EXPIRED
from ceylon.core.ledger import DeadLetters, How, Reason
from ceylon.core.lifecycle import Lifecycle
from ceylon.core.router import Router
from ceylon.core.threads import ThreadPool
from ceylon.messages import Outcome
from ceylon.testing.history import History, What
from ceylon.testing.recorder import Record, Recorder

if TYPE_CHECKING:
    from collections.abc import Callable

    from ceylon.core.backend import Driver
    from ceylon.core.cell import Cell
    from ceylon.core.handlers import Handler
    from ceylon.core.interior import Interior
    from ceylon.core.leases import Lease
    from ceylon.messages import Envelope

__all__ = [
    "RecordedDispatcher",
    "RecordedLifecycle",
    "RecordedRouter",
    "RecordedThreadPool",
    "blend",
    "record_of",
    "recording_instruments",
]


def recording_instruments(
    history: History, base: Instruments | None = None, *, recorder: Recorder | None = None
) -> Instruments:
    """Return *base* with parts that write *history* besides doing what they did; set them, then make meshes.

    Args:
        history: Where to write.
        base: What else the parts do; they become base classes of the ones that write.
        recorder: Who writes, where somebody wants to ask it afterwards.
    """
    given = Instruments() if base is None else base
    recorder = Recorder(history) if recorder is None else recorder
    return msgspec.structs.replace(
        given,
        router=blend(RecordedRouter, given.router, recorder=recorder),
        dispatcher=blend(RecordedDispatcher, given.dispatcher, recorder=recorder),
        threads=blend(RecordedThreadPool, given.threads),
        lifecycle=blend(RecordedLifecycle, given.lifecycle),
    )


def blend(part: type, base: type | None, **attributes: Any) -> Any:
    """Return a class that does what *part* does, and then what *base* does, if there is one."""
    return type(part.__name__, (part,) if base is None else (part, base), attributes)


# -- the parts ---------------------------------------------------------------------------------------------------------


class _Letters(DeadLetters):
    """Dead letters, some of which nobody ever accepted."""

    record: Record

    def add(self, envelope: "Envelope", reason: Reason, detail: str = "") -> None:
        self.record.refused(envelope, reason)
        super().add(envelope, reason, detail)


class RecordedRouter(Router):
    """Writes what is accepted, refused, asked, resolved and late."""

    recorder: ClassVar[Recorder]

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.record = self.recorder.begin(self.mesh, self.driver)
        self.dead_letters = letters = _Letters(self.settings.dead_letter_ring, self._announce)
        letters.record = self.record

    def deliver(self, envelope: "Envelope") -> "Cell | None":
        """Write it, before anybody can begin with it."""
        with self.record.lock:  # a thread that is faster waits until this has been said
            full = super().deliver(envelope)
            if full is None:
                self._write_accepted(envelope)
        return full

    def _write_accepted(self, envelope: "Envelope") -> None:
        cell = self.find(envelope.recipient)
        assert cell is not None  # noqa: S101 – it has just accepted it
        self.record.accepted(envelope, cell)

    def accepted(self, cell: "Cell", envelope: "Envelope") -> None:
        """Write it."""
        self.record.accepted(envelope, cell)
        super().accepted(cell, envelope)

    def ask(self, envelope: "Envelope", *arguments: Any, kind: Any = AskCall, **options: Any) -> AskCall | None:
        """Write that somebody asks, and what comes of it."""
        self.record.envelope(What.ASKED, envelope)
        call = super().ask(envelope, *arguments, kind=_recorded(kind), **options)
        if call is None:
            self.record.envelope(What.RESOLVED, envelope, "refused")
        return call

    def submit(self, envelope: "Envelope", future: Any, timeout: float | None, kind: Any) -> Any:
        """Write the same of an ask whose asker goes on."""
        self.record.envelope(What.ASKED, envelope)
        call = super().submit(envelope, future, timeout, _recorded(kind))
        if call is None:
            self.record.envelope(What.RESOLVED, envelope, "refused")
        return call

    def reply(self, envelope: "Envelope", outcome: Outcome) -> None:
        """Write that it is late, if it is."""
        before = self.late_replies
        super().reply(envelope, outcome)
        if self.late_replies > before:
            self.record.envelope(What.LATE, envelope)

    def ended(self, envelope: "Envelope", how: How, detail: str = "") -> None:
        """Write it."""
        self.record.ended(envelope, how)
        super().ended(envelope, how, detail)


class _RecordedCall(AskCall):
    """An ask whose outcome is written down."""

    __slots__ = ()

    def settle(self, outcome: Outcome) -> bool:
        is_first = super().settle(outcome)
        if is_first:
            self._resolved("reply" if outcome.error is None else type(outcome.error).__name__)
        return is_first

    def cancel(self) -> None:
        is_first = not self.is_settled
        super().cancel()
        if is_first:
            self._resolved("cancelled")

    def _resolved(self, how: str) -> None:
        router = self._router
        assert isinstance(router, RecordedRouter)  # noqa: S101 – it made the call
        router.record.envelope(What.RESOLVED, self.envelope, how)


@functools.cache
def _recorded(kind: Any) -> Any:
    """Return the class of calls *kind* with its outcome written down."""
    return _RecordedCall if kind is AskCall else blend(_RecordedCall, kind, __slots__=())


class RecordedDispatcher(Dispatcher):
    """Writes what a handler on the loop begins, and how every envelope ends."""

    recorder: ClassVar[Recorder]

    def __init__(self, interior: "Interior", driver: "Driver") -> None:
        super().__init__(interior, driver)
        self.recorder.interiors.append(interior)
        self._record = record_of(interior)

    def _begins(self, cell: "Cell", handler: "Handler", envelope: "Envelope") -> "Handler":
        self._record.began(envelope, cell)
        return super()._begins(cell, handler, envelope)

    def _ends(self, envelope: "Envelope") -> None:
        self._record.ended(envelope, "completed")  # whatever else it may have been has been said already
        super()._ends(envelope)

    def _completed(self, envelope: "Envelope") -> None:
        self._record.ended(envelope, "completed")
        super()._completed(envelope)


class RecordedThreadPool(ThreadPool):
    """Writes what a handler in a thread begins."""

    def _handle(self, lease: "Lease", handler: "Handler", envelope: "Envelope") -> tuple[Outcome, bool]:
        function: Callable[..., Any] = handler.function

        def began(*arguments: Any) -> Any:  # in its place, because the deadline is looked at before
            record_of(self._interior).began(envelope, lease.cell, "threaded")
            return function(*arguments)

        outcome, has_replied = super()._handle(lease, msgspec.structs.replace(handler, function=began), envelope)
        if outcome is not EXPIRED and type(outcome.value) not in LAZY:  # said here: the thread goes on before the loop
            record_of(self._interior).ended(envelope, "completed" if outcome.error is None else "failed")
        return outcome, has_replied


class RecordedLifecycle(Lifecycle):
    """Writes when agents start, start again and stop."""

    def _run(self, cell: "Cell") -> None:
        record_of(self._interior).agent(What.RESTARTED if cell.restarts else What.STARTED, cell)
        super()._run(cell)

    def _take_out(self, cell: "Cell", reason: Reason) -> None:
        super()._take_out(cell, reason)
        record_of(self._interior).agent(What.STOPPED, cell, reason)


def record_of(interior: "Interior") -> Record:
    """Return what is written of the mesh behind *interior*."""
    router = interior.router
    assert isinstance(router, RecordedRouter)  # noqa: S101 – the parts come together
    return router.record
