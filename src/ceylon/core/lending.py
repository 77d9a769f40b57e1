"""Lend a slot to an ask that comes back to an agent whose handler waits for it, so that it need not wait for itself."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ceylon.core.calls import AskCall
    from ceylon.core.cell import Cell
    from ceylon.core.origin import Origin
    from ceylon.core.router import Router
    from ceylon.messages import Envelope

__all__ = ["Lending"]


class Lending:
    """Does so for the asks of one mesh; on its loop. The loans themselves are in the cells."""

    def __init__(self, router: "Router") -> None:
        self._router = router

    def lender(self, envelope: "Envelope", cell: "Cell", source: "Origin") -> int:
        """Return the id of the envelope whose handler lends its slot to this ask; 0 if none does.

        An agent lends to the asks of its own chain if it is reentrant, or if it keeps conversations apart: its slots
        bound how many are under way, they do not keep handlers from each other.

        Raises:
            DeadlockError: the ask would wait for itself.
        """
        lender = 0
        if (cell.options.reentrant or cell.options.takes_keys) and cell.address in envelope.chain:
            sent: Envelope | None = envelope
            while sent is not None and sent.sender != cell.address:
                asked = self._router.calls.get(sent.parent)
                sent = asked.envelope if asked is not None else None
            if sent is not None and cell.invocation(sent.parent) is not None:
                lender = sent.parent
        waits = self._router.waits
        waits.check(source, waits.of_new(cell, envelope, source, lender), cell.address)
        return lender

    def lend(self, call: "AskCall", lender: int, source: "Origin | None") -> None:
        """Lend *call* the slot of the handler that waits for it, and its conversation if it asks in that itself."""
        cell, key = call.cell, None
        if source is not None and source.envelope.id == lender and cell.busy_keys:
            key = cell.agent.__ceylon_serial_key__(call.envelope)
            key = key if key == cell.agent.__ceylon_serial_key__(source.envelope) else None
        cell.lend(call.envelope, lender, key)
        self._router.dispatcher.offer(cell)

    def take_back(self, call: "AskCall") -> None:
        """End the loan of *call*, if there is one."""
        if call.cell.is_guest(call.envelope):
            call.cell.take_back(call.envelope.id)
