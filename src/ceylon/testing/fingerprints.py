"""Notice messages that are changed after they were sent: in memory they travel by reference."""

import contextlib
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from ceylon.core.dispatcher import Dispatcher
from ceylon.core.instruments import Instruments, instruments
from ceylon.core.ledger import type_name_of
from ceylon.core.router import Router
from ceylon.core.threads import ThreadPool

if TYPE_CHECKING:
    from ceylon.core.cell import Cell
    from ceylon.core.handlers import Handler
    from ceylon.core.leases import Lease
    from ceylon.messages import Envelope, Outcome

__all__ = ["Fingerprints", "fingerprinting"]

_CANNOT_CHANGE = (str, bytes, int, float, bool, type(None))


class Fingerprints:
    """What the messages of one run looked like when they were accepted."""

    def __init__(self, violations: list[str]) -> None:
        self._violations = violations
        # The envelope is kept, or its identity might come again.
        self._taken: dict[int, tuple[Envelope, bytes | str]] = {}

    def take(self, envelope: "Envelope") -> None:
        """Keep what the message looks like."""
        if not isinstance(envelope.message, _CANNOT_CHANGE):
            self._taken[id(envelope)] = (envelope, _look_at(envelope.message))

    def check(self, envelope: "Envelope") -> None:
        """Compare the message with what it was; every envelope is asked about once."""
        taken = self._taken.pop(id(envelope), None)
        if taken is not None and taken[1] != _look_at(envelope.message):
            self._violations.append(
                f"#{envelope.id} ({type_name_of(envelope.message)}, {envelope.sender or 'outside'} → "
                f"{envelope.recipient}) was changed after it was sent; send a copy, or a frozen message"
            )


@contextlib.contextmanager
def fingerprinting(violations: list[str]) -> Generator[None]:
    """Let meshes that are made meanwhile write down which messages were changed between sending and handling."""
    seen = {"fingerprints": Fingerprints(violations)}
    parts = Instruments(
        router=type("FingerprintingRouter", (_Router,), seen),
        dispatcher=type("FingerprintingDispatcher", (_Dispatcher,), seen),
        threads=type("FingerprintingThreadPool", (_ThreadPool,), seen),
    )
    token = instruments.set(parts)
    try:
        yield
    finally:
        instruments.reset(token)


class _Router(Router):
    fingerprints: ClassVar[Fingerprints]

    def deliver(self, envelope: "Envelope") -> "Cell | None":
        self.fingerprints.take(envelope)
        return super().deliver(envelope)


class _Dispatcher(Dispatcher):
    fingerprints: ClassVar[Fingerprints]

    def _begins(self, cell: "Cell", handler: "Handler", envelope: "Envelope") -> "Handler":
        self.fingerprints.check(envelope)
        return super()._begins(cell, handler, envelope)


class _ThreadPool(ThreadPool):
    fingerprints: ClassVar[Fingerprints]

    def _handle(self, lease: "Lease", handler: "Handler", envelope: "Envelope") -> "tuple[Outcome, bool]":
        self.fingerprints.check(envelope)
        return super()._handle(lease, handler, envelope)


def _look_at(message: Any) -> bytes | str:
    """Return something that differs when *message* does, as far as that can be seen."""
    try:
        return msgspec.msgpack.encode(message)
    except Exception:  # noqa: BLE001 – it is anything, and does whatever it likes when it is looked at
        inside: dict[str, object] = getattr(message, "__dict__", {})
        return repr(inside) if inside else type(message).__name__
