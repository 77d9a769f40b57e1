"""What is known of one request: a message that was submitted, and is answered while nobody need be waiting."""

from typing import TYPE_CHECKING, Any

import msgspec

from ceylon.errors import RequestCancelledError
from ceylon.messages import Outcome, type_name

if TYPE_CHECKING:
    from types import TracebackType

    from ceylon.core.request_calls import RequestWait, SubmitCall
    from ceylon.messages import Envelope

__all__ = ["RequestResult", "RequestStatistics", "Ticket"]


class RequestResult(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """How a request ended.

    Attributes:
        id: The request's id.
        recipient: The address it was sent to.
        message_type: What was sent.
        seconds: How long it took, from `submit` on.
        value: The reply; `None` of one that failed.
        error: What it ended by instead.
    """

    id: str
    recipient: str
    message_type: str
    seconds: float
    value: Any = None
    error: BaseException | None = None

    def get(self) -> Any:
        """Return the value, or raise the error."""
        return Outcome(self.value, self.error).get()


class RequestStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """How many requests are under way, how many results wait to be collected, and how many expired before that."""

    pending: int = 0
    results: int = 0
    expired: int = 0


class Ticket:
    """The facts about one request. All handles on it share this; it changes on the mesh's loop only.

    Attributes:
        call: The ask behind it, until it has ended.
        waits: Whoever waits for its end just now.
        outcome: How it ended; `None` before that.
        began: When it was submitted, in seconds on the mesh's clock.
        ended: When it ended, likewise.
        is_told: Its failure is in the log.
    """

    __slots__ = (
        "_traceback",
        "began",
        "call",
        "ended",
        "id",
        "is_told",
        "message_type",
        "outcome",
        "recipient",
        "submitted_at",
        "waits",
    )

    call: "SubmitCall"

    def __init__(self, request_id: str, envelope: "Envelope", began: float, submitted_at: float) -> None:
        self.id = request_id
        self.recipient = envelope.recipient
        self.message_type = type_name(envelope.message)
        self.submitted_at = submitted_at
        self.began = self.ended = began
        self.outcome: Outcome | None = None
        self.waits: list[RequestWait] = []
        self.is_told = False
        self._traceback: TracebackType | None = None

    def end(self, outcome: Outcome, now: float) -> None:
        """Keep how it ended."""
        self.outcome, self.ended = outcome, now
        self._traceback = None if outcome.error is None else outcome.error.__traceback__

    @property
    def is_kept(self) -> bool:
        """Whether somebody may come for the result: it has ended, and nobody has said that it is not needed."""
        return self.outcome is not None and not isinstance(self.outcome.error, RequestCancelledError)

    def fresh(self) -> Outcome:
        """Return how it ended, once more: an error that is raised again and again keeps no trace of the last time."""
        outcome = Outcome() if self.outcome is None else self.outcome
        if outcome.error is not None:
            outcome.error.__traceback__ = self._traceback
        return outcome

    def result(self) -> RequestResult:
        """Return the same as plain data."""
        outcome = self.fresh()
        return RequestResult(
            id=self.id,
            recipient=self.recipient,
            message_type=self.message_type,
            seconds=self.ended - self.began,
            value=outcome.value,
            error=outcome.error,
        )
