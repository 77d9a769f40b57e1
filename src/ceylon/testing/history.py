"""What happened in a mesh, in order: plain events that checkers read, that can be compared byte by byte and printed."""

import enum
import hashlib
from collections.abc import Iterator

import msgspec

__all__ = ["Event", "History", "What"]


class What(enum.StrEnum):
    """What an event says of an envelope (`id`), or of an agent (`recipient`)."""

    ACCEPTED = "accepted"  # it is in the mailbox; `detail`: the mailbox's depth afterwards
    REFUSED = "refused"  # it never was; `detail`: why
    BEGAN = "began"  # a handler has it; `detail`: "threaded" in a worker thread
    ENDED = "ended"  # `detail`: completed, failed, dead_lettered, expired, cancelled
    ASKED = "asked"  # somebody waits for its reply, from here on
    RESOLVED = "resolved"  # whoever asked has an outcome; `detail`: reply, or the error's type
    LATE = "late"  # a reply came when nobody waited any more
    STARTED = "started"  # an agent handles messages
    RESTARTED = "restarted"  # likewise, after a failure
    STOPPED = "stopped"  # an agent has left the mesh; `detail`: the reason
    FAULT = "fault"  # the simulation did something to the envelope or the agent; `detail`: what
    NOTE = "note"  # a test's own word


class Event(msgspec.Struct, frozen=True):
    """One step of a history.

    `at` is seconds on the mesh's clock since the history began; `id` the envelope's number, 0 for an event of an
    agent; `message` the name of the message's type.
    """

    step: int
    at: float
    what: What
    id: int = 0
    kind: str = ""
    sender: str = ""
    recipient: str = ""
    message: str = ""
    parent: int = 0
    detail: str = ""

    def __str__(self) -> str:
        number = f" #{self.id}" if self.id else ""
        road = f" {self.sender or '·'} → {self.recipient}" if self.id else f" {self.recipient}"
        said = f" ({self.detail})" if self.detail else ""
        return f"{self.step:4} {self.at:9.3f}s {self.what}{number} {self.kind}{road} {self.message}{said}".rstrip()


class History:
    """Events in the order they happened."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __len__(self) -> int:
        return len(self.events)

    def __iter__(self) -> Iterator[Event]:
        return iter(self.events)

    def __str__(self) -> str:
        return "\n".join(map(str, self.events))

    def add(self, what: What, *, at: float, **facts: object) -> Event:
        """Add what happened at *at*; the step is counted here."""
        event = msgspec.convert({"step": len(self.events), "at": at, "what": what, **facts}, Event)
        self.events.append(event)
        return event

    def of(self, *whats: What) -> list[Event]:
        """Return the events of these kinds, in order."""
        return [event for event in self.events if event.what in whats]

    def encoded(self) -> bytes:
        """Return the whole as lines of JSON: equal histories give equal bytes."""
        return b"\n".join(map(msgspec.json.encode, self.events))

    def digest(self) -> str:
        """Return a fingerprint of `encoded`, SHA-256 in hex."""
        return hashlib.sha256(self.encoded()).hexdigest()
