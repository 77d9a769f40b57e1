"""Answers about a running mesh: what is open, who waits for whom, and why a message is where it is.

Every answer is a snapshot, taken on the mesh's loop and made of plain data: `findings`.
"""

import itertools
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

import msgspec

from ceylon.core.findings import Ledger, OpenMessage, Place, Standing, Wait, WaitKind, Why
from ceylon.core.ledger import Ending, type_name_of
from ceylon.core.stream_calls import StreamCall
from ceylon.errors import UnknownMessageError
from ceylon.messages import TELL, Envelope

if TYPE_CHECKING:
    from ceylon.core.calls import Call
    from ceylon.core.cell import Cell
    from ceylon.core.interior import Interior
    from ceylon.core.origin import Origin
    from ceylon.core.waits import Groups

__all__ = ["Inspector"]

_MOST: Final = 64  # steps that an answer follows a chain


class Inspector:
    """Looks into one mesh; on its loop."""

    def __init__(self, interior: "Interior") -> None:
        self._interior = interior
        self._router = interior.router
        self._id = interior.message_id

    # -- the ledger ----------------------------------------------------------------------------------------------------

    def ledger(self) -> Ledger:
        """Return every counter and every open envelope."""
        opened = [*self._router.open.values(), *self._parked()]
        return Ledger(statistics=self._interior.statistics(), open=[self._describe(envelope) for envelope in opened])

    def _parked(self) -> Iterator[Envelope]:
        """Give the envelopes whose senders wait for room."""
        for cell in list(self._router.cells.values()):
            yield from (call.envelope for call in list(cell.parked or ()))

    def _describe(self, envelope: Envelope) -> OpenMessage:
        place = self._place(envelope)
        is_left = envelope.kind is not TELL and envelope.id not in self._router.calls
        return OpenMessage(
            message_id=self._id(envelope.id),
            kind=envelope.kind,
            sender=envelope.sender,
            recipient=envelope.recipient,
            message_type=_type_of(envelope),
            place=place,
            remaining=self._remaining(envelope.deadline),
            unattended=is_left,
        )

    def _place(self, envelope: Envelope) -> Place:
        cell = self._router.find(envelope.recipient)
        if envelope.id not in self._router.open:
            return "waiting for room"
        if cell is not None and envelope.id in (cell.under_way or ()):
            return "in a handler"
        if cell is not None and any(lease.envelope is envelope for lease in cell.leases or ()):
            return "in a thread"
        return "in the mailbox"

    def _remaining(self, deadline: float | None) -> float | None:
        return None if deadline is None else max(0.0, deadline - self._interior.driver_now())

    # -- waits ---------------------------------------------------------------------------------------------------------

    def waits(self) -> list[Wait]:
        """Return who waits for whom."""
        found = list(self._of_calls(list(self._router.calls.values())))
        for cell in list(self._router.cells.values()):
            found += self._of_calls([call for call in cell.parked or () if call.envelope.id not in self._router.calls])
            found += [
                wait
                for origin in list((cell.under_way or {}).values())
                if (wait := self._of_credit(origin)) is not None
            ]
            found += self._of_threads(cell)
        return [*found, *self._of_requests(), *self._of_drains()]

    def _of_calls(self, calls: "Iterable[Call]") -> "Iterator[Wait]":
        """Give those of *calls* that somebody waits for just now."""
        for call in calls:
            if call.wanted is not None:
                yield self._wait(call.wanted, call.envelope, call.groups(self._router.waits))  # type: ignore[attr-defined]

    def _of_requests(self) -> Iterator[Wait]:
        """Give who waits for the ends of requests."""
        graph = self._router.waits
        for wait in self._interior.requests.waits():
            source = wait.source
            for ticket in list(wait.left.values()):
                call = ticket.call
                yield msgspec.structs.replace(
                    self._wait("reply", call.envelope, graph.of_envelope(call.cell, call.envelope)),
                    waiter="" if source is None else source.address,
                    waiter_id="" if source is None else self._id(source.envelope.id),
                )

    def _wait(self, kind: WaitKind, envelope: Envelope, groups: "Groups[Origin]") -> Wait:
        blocking = {origin.envelope.id for group in groups for origin in group}
        return Wait(
            kind=kind,
            waiter=envelope.sender,
            waiter_id=self._id(envelope.parent) if envelope.parent else "",
            on=envelope.recipient,
            message_id=self._id(envelope.id),
            blocked_by=tuple(map(self._id, sorted(blocking))),
            remaining=self._remaining(envelope.deadline),
        )

    def _of_credit(self, origin: "Origin") -> Wait | None:
        """Return how a producer waits for its consumer, if it does."""
        call = self._router.calls.get(origin.envelope.id)
        if not isinstance(call, StreamCall) or not call.channel.is_waiting_for_consumer:
            return None
        consumer = call.source
        return Wait(
            kind="credit",
            waiter=origin.address,
            waiter_id=self._id(origin.envelope.id),
            on=consumer.address if consumer is not None else "",
            message_id=self._id(origin.envelope.id),
            blocked_by=() if consumer is None else (self._id(consumer.envelope.id),),
        )

    def _of_threads(self, cell: "Cell") -> list[Wait]:
        """Return which leases of *cell* have no thread yet."""
        waiting = [lease.envelope for lease in list(cell.leases or ()) if lease.context is None]
        return [
            Wait(
                kind="thread", waiter=cell.address, waiter_id=self._id(it.id), on="", message_id=self._id(it.id)
            )
            for it in waiting
        ]  # fmt: skip

    def _of_drains(self) -> list[Wait]:
        """Return who waits until the mesh has nothing to do."""
        blocking = tuple(map(self._id, list(self._router.open)[:_MOST]))
        drain = Wait(kind="drain", waiter="", waiter_id="", on="", message_id="", blocked_by=blocking)
        return [drain] * self._interior.quiet.drains

    # -- why -----------------------------------------------------------------------------------------------------------

    def why(self, message_id: str) -> Why:
        """Return what there is to say of a message.

        Raises:
            UnknownMessageError: this mesh does not know it, or not any more.
        """
        envelope_id = self._parse(message_id)
        found = self._find(envelope_id)
        if found is None:
            raise UnknownMessageError(message_id, self._interior.settings.ledger_ring)
        envelope, state, detail = found
        groups: Groups[Origin] = ()
        waits: tuple[Wait, ...] = ()
        if isinstance(envelope, Envelope) and state != "refused":
            groups, waits = self._what_holds(envelope, state)
        return Why(
            message_id=self._id(envelope.id),
            message_type=_type_of(envelope),
            sender=envelope.sender,
            recipient=envelope.recipient,
            state=state,
            detail=detail,
            chain=tuple(self._chain(envelope.parent))[::-1],
            waits_for=waits,
            blocked_by=tuple(self._blockers(groups)),
        )

    def _parse(self, message_id: str) -> int:
        """Return the envelope's number in an id of this mesh; 0, which no envelope has, for any other text."""
        mesh_id, _, number = str(message_id).rpartition("-")
        try:
            return int(number, 16) if mesh_id == self._interior.id else 0
        except ValueError:
            return 0

    def _find(self, envelope_id: int) -> "tuple[Envelope | Ending, Standing, str] | None":
        """Return an envelope with its state, and a detail of that."""
        open_envelope = self._router.open.get(envelope_id)
        if open_envelope is None:
            open_envelope = next((it for it in self._parked() if it.id == envelope_id), None)
        if open_envelope is not None:
            cell = self._router.find(open_envelope.recipient)
            is_idle = cell is not None and not cell.state.handles_mail
            return open_envelope, self._place(open_envelope), f"(agent {cell.state.label})" if cell and is_idle else ""
        hook = next((hook for cell in self._router.cells.values() if (hook := _hook(cell, envelope_id))), None)
        if hook is not None:  # waits and chains name it like a message
            return hook.envelope, "in a hook", ""
        ending = self._router.endings.find(envelope_id)
        if ending is not None:
            return ending, ending.how, ending.detail
        for letter in reversed(self._router.dead_letters.letters()):
            if letter.envelope.id == envelope_id:
                return letter.envelope, "refused", letter.reason.value
        return None

    def _what_holds(self, envelope: Envelope, state: str) -> "tuple[Groups[Origin], tuple[Wait, ...]]":
        """Return what an open envelope waits for: its handler's waits, or its own."""
        cell = self._router.find(envelope.recipient)
        if cell is None:
            return (), ()
        handler = cell.invocation(envelope.id) or _hook(cell, envelope.id)
        if handler is None:
            groups = self._router.waits.of_envelope(cell, envelope)
            kind: WaitKind = "room" if state == "waiting for room" else "thread" if state == "in a thread" else "turn"
            return groups, (self._wait(kind, envelope, groups),)
        credit = self._of_credit(handler)
        waits = [*self._of_calls(handler.waits or ()), *([credit] if credit is not None else [])]
        return self._router.waits.groups_of(handler), tuple(waits)

    def _chain(self, parent: int) -> Iterator[str]:
        """Give the messages behind one, nearest first."""
        for _ in range(_MOST):
            found = self._find(parent) if parent else None
            if found is None:
                return
            envelope, state, _ = found
            road = f"from {envelope.sender or 'outside'} to {envelope.recipient}"
            yield f"{_type_of(envelope)} {self._id(parent)} {road}: {state}"
            parent = envelope.parent

    def _blockers(self, groups: "Groups[Origin]") -> Iterator[str]:
        """Give the agents that have to go on first, each with the one it waits for behind it."""
        seen: set[int] = set()
        while (origin := next(itertools.chain.from_iterable(groups), None)) is not None and len(seen) < _MOST:
            if origin.envelope.id in seen:
                return
            seen.add(origin.envelope.id)
            yield origin.address
            groups = self._router.waits.groups_of(origin)


def _type_of(envelope: Envelope | Ending) -> str:
    """Name the type of its message."""
    return envelope.message_type if isinstance(envelope, Ending) else type_name_of(envelope.message)


def _hook(cell: "Cell", envelope_id: int) -> "Origin | None":
    """Return the hook under way that has this number in the place of a message's."""
    hooks = cell.life.hooks if cell.life is not None else ()
    return next((hook for hook in hooks if hook.envelope.id == envelope_id), None)
