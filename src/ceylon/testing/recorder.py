"""Who writes a history: one recorder for all meshes of a test, and a record for each of them."""

import threading
from typing import TYPE_CHECKING, Any, Final

from ceylon.agents.prompts import Prompt
from ceylon.core.ledger import Reason, type_name_of
from ceylon.testing.history import Event, History, What

if TYPE_CHECKING:
    from ceylon.core.backend import Driver
    from ceylon.core.cell import Cell
    from ceylon.core.interior import Interior
    from ceylon.messages import Envelope

__all__ = ["APART", "Record", "Recorder"]

APART: Final = 1_000_000
"""Between the envelope numbers of one mesh and those of the next: more than a test sends."""
_DIGITS: Final = 6
"""Of seconds: a microsecond is more than a handler takes."""


class Recorder:
    """One history, of as many meshes as are made."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.lock = threading.RLock()  # handlers in worker threads write too
        self.records: list[Record] = []
        self.interiors: list[Interior] = []
        self.slots: dict[str, int] = {}  # by address: how many messages an agent may handle at one time
        self.violations: list[str] = []  # found while it went on
        self._began: float | None = None

    def begin(self, name: str, driver: "Driver") -> "Record":
        """Return the record of one mesh more."""
        if self._began is None:
            self._began = driver.now()
        self.records.append(Record(self, len(self.records), name, driver))
        return self.records[-1]

    def add(self, driver: "Driver", what: What, **facts: Any) -> Event:
        """Write what happened, now."""
        with self.lock:
            at = round(driver.now_anywhere() - (self._began or 0.0), _DIGITS)
            return self.history.add(what, at=at, **facts)


class Record:
    """What is written of one mesh. Envelopes and agents of the second and later meshes are told apart by it."""

    def __init__(self, recorder: Recorder, index: int, name: str, driver: "Driver") -> None:
        self.lock = recorder.lock
        self._recorder = recorder
        self._driver = driver
        self._base = index * APART
        self._prefix = f"{name}:" if index else ""
        self._open: dict[int, tuple[Envelope, str]] = {}  # accepted and not ended, with the agent's address
        self._known: set[int] = set()  # accepted, ever
        self._begun: dict[int, str] = {}  # open ones that a handler has

    def address(self, address: str) -> str:
        """Return what *address* is called in the history."""
        return f"{self._prefix}{address}" if address else ""

    def envelope(self, what: What, envelope: "Envelope", detail: str = "") -> None:
        """Write what happened to *envelope*."""
        self._recorder.add(
            self._driver,
            what,
            id=self._base + envelope.id,
            kind=envelope.kind,
            sender=self.address(envelope.sender),
            recipient=self.address(envelope.recipient),
            message=type_name_of(envelope.message),
            parent=self._base + envelope.parent if envelope.parent else 0,
            detail=detail,
        )

    def agent(self, what: What, cell: "Cell", detail: str = "") -> None:
        """Write what happened to an agent."""
        self._recorder.add(self._driver, what, recipient=self.address(cell.address), detail=detail)

    def accepted(self, envelope: "Envelope", cell: "Cell") -> None:
        """Write that *envelope* is in a mailbox; a thread may have been faster and begun with it."""
        with self.lock:
            if envelope.id not in self._known:
                self._known.add(envelope.id)
                self._open[envelope.id] = (envelope, cell.address)
                self.envelope(What.ACCEPTED, envelope, str(len(cell.mail)))

    def refused(self, envelope: "Envelope", reason: Reason) -> None:
        """Write that *envelope* became a dead letter, if it was never accepted."""
        with self.lock:
            if envelope.id not in self._known:
                self.envelope(What.REFUSED, envelope, reason)

    def began(self, envelope: "Envelope", cell: "Cell", how: str = "") -> None:
        """Write that a handler has *envelope*; once, also where it goes on elsewhere with what the first part gave."""
        with self.lock:
            self.accepted(envelope, cell)
            if envelope.id in self._open and envelope.id not in self._begun:
                self._note_slots(cell)
                self._begun[envelope.id] = how
                self.envelope(What.BEGAN, envelope, how or ("interrupting" if _interrupts(envelope) else ""))

    def _note_slots(self, cell: "Cell") -> None:
        """Keep how many messages the agent may handle at one time: what its class says, or has been given since."""
        slots = self._recorder.slots
        given = cell.slots - len(cell.loans or ()) if cell.options.takes_keys else cell.options.concurrency
        address = self.address(cell.address)
        slots[address] = max(given, slots.get(address, 1))

    def has_begun(self, envelope: "Envelope") -> bool:
        """Say whether a handler has *envelope* already."""
        return envelope.id in self._begun

    def ended(self, envelope: "Envelope", how: str) -> None:
        """Write that *envelope* has come to its end, if that has not been said."""
        with self.lock:
            if self._open.pop(envelope.id, None) is not None:
                self._begun.pop(envelope.id, None)
                self.envelope(What.ENDED, envelope, how)

    def open(self) -> "list[Envelope]":
        """Return the envelopes that have been accepted and have not ended."""
        with self.lock:
            return [envelope for envelope, _ in self._open.values()]


def _interrupts(envelope: "Envelope") -> bool:
    """Say whether *envelope* goes before what waits, to break a turn off."""
    message = envelope.message
    return isinstance(message, Prompt) and message.when == "interrupt"
