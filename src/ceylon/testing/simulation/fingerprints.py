"""Notice messages that are changed after they were sent: in memory they travel by reference."""

from typing import TYPE_CHECKING, Any

import msgspec

from ceylon.core.ledger import type_name_of

if TYPE_CHECKING:
    from ceylon.messages import Envelope

__all__ = ["Fingerprints"]

_CANNOT_CHANGE = (str, bytes, int, float, bool, type(None))


class Fingerprints:
    """What the messages of one run looked like when they were accepted."""

    def __init__(self, violations: list[str]) -> None:
        self._violations = violations
        self._taken: dict[
            int, tuple[Envelope, bytes | str]
        ] = {}  # the envelope is kept, or its identity might come again

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


def _look_at(message: Any) -> bytes | str:
    """Return something that differs when *message* does, as far as that can be seen."""
    try:
        return msgspec.msgpack.encode(message)
    except Exception:  # noqa: BLE001 – it is anything, and does whatever it likes when it is looked at
        inside: dict[str, object] = getattr(message, "__dict__", {})
        return repr(inside) if inside else type(message).__name__
