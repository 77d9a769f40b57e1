"""Who waits until a mesh has nothing to do: drains, and its own end."""

from typing import TYPE_CHECKING, Final

from ceylon.core.calls import Call
from ceylon.errors import DeadlockError
from ceylon.messages import Outcome

if TYPE_CHECKING:
    from ceylon.core.backend import Sink
    from ceylon.core.origin import Origin
    from ceylon.core.router import Router

__all__ = ["Quiet"]

_QUIET: Final = Outcome()


class Quiet:
    """Tells them, for one mesh; on its loop."""

    def __init__(self, router: "Router") -> None:
        self._router = router
        self._drains: list[DrainCall] = []
        self._idle_sink: Sink | None = None
        self._running = 0

    def drain(self, source: "Origin | None", sink: "Sink") -> "Call | None":
        """Let *sink* hear when there is nothing to do, unless *source* is a handler, for which it would wait."""
        if source is not None and source.cell.invocation(source.envelope.id) is not None:
            address = source.address
            why = f"a drain would wait for the handler of {address!r} that asks for it; ask from outside of handlers"
            sink.set_result(Outcome(error=DeadlockError((address, address), why)))
            return None
        return self.when_quiet(sink)

    def when_quiet(self, sink: "Sink") -> "DrainCall":
        """Let *sink* hear when nothing is in any mailbox or handler."""
        call = DrainCall(self._router, sink, self)
        self._drains.append(call)
        self._router.is_awaited = True
        if not self._router.open:
            self.tell()
        return call

    def tell(self, outcome: Outcome = _QUIET) -> None:
        """Let everybody know who waits; by default that all is quiet."""
        drains, self._drains = self._drains, []
        self._router.is_awaited = False
        for call in drains:
            call.settle(outcome)

    @property
    def drains(self) -> int:
        """How many callers wait until nothing is in any mailbox or handler."""
        return len(self._drains)

    def forget(self, call: "DrainCall") -> None:
        """Tell *call* nothing: its caller has left."""
        if call in self._drains:
            self._drains.remove(call)

    # -- the end -------------------------------------------------------------------------------------------------------

    def when_idle(self, sink: "Sink") -> None:
        """Let *sink* hear when no handler runs any more; every agent has been halted."""
        self._idle_sink = sink
        self._running = sum(cell.running for cell in self._router.cells.values()) + 1
        self.one_settled()

    def one_settled(self) -> None:
        """One handler of a halted agent has ended."""
        self._running -= 1
        if not self._running and self._idle_sink is not None and not self._idle_sink.done():
            self._idle_sink.set_result(_QUIET)


class DrainCall(Call):
    """Somebody waits until all is quiet."""

    __slots__ = ("_quiet",)

    def __init__(self, router: "Router", sink: "Sink", quiet: Quiet) -> None:
        super().__init__(router, sink)
        self._quiet = quiet

    def cancel(self) -> None:
        """Let go, because the caller has left; in a mesh that is never quiet they would become more and more."""
        super().cancel()
        self._quiet.forget(self)
