"""What was submitted to a mesh, and what came of it."""

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Self

from ceylon.compat.seats import text_of
from ceylon.core.request import Request
from ceylon.errors import describe

if TYPE_CHECKING:
    from ceylon.core.tickets import RequestResult

__all__ = ["MeshRequest", "MeshResult", "PyMeshRequest", "PyMeshResult"]


class PyMeshRequest:
    """A request that is under way."""

    def __init__(self, request: Request[Any], target: str, elapsed_seconds: float, reminder_count: int) -> None:
        self._id = request.id
        self._payload: str = request.ticket.call.envelope.message.payload  # later the request has let go of it
        self._target = target
        self._elapsed_seconds = elapsed_seconds
        self._reminder_count = reminder_count

    def __repr__(self) -> str:
        return f"MeshRequest(id={self.id!r}, target={self.target!r}, elapsed={self.elapsed_seconds:.1f}s)"

    @property
    def id(self) -> str:
        """What `wait_for` takes."""
        return self._id

    @property
    def target(self) -> str:
        """The name of the agent that was asked."""
        return self._target

    @property
    def payload(self) -> str:
        """What it was asked."""
        return self._payload

    @property
    def elapsed_seconds(self) -> float:
        """How long ago, when this was looked at."""
        return self._elapsed_seconds

    @property
    def reminder_count(self) -> int:
        """How often `send_reminders` has named it."""
        return self._reminder_count


class PyMeshResult:
    """How a request ended. It can be awaited, and is itself then, so that one line serves scripts and coroutines.

    Attributes:
        error: What the request failed by, if it did; `response` is its sentence then. Verbs about one request raise it.
    """

    def __init__(self, result: "RequestResult", target: str) -> None:
        self._result = result
        self._target = target
        self.error = result.error

    def __repr__(self) -> str:
        return f"MeshResult(request_id={self.request_id!r}, duration={self.duration_ms}ms)"

    def __await__(self) -> Generator[Any, None, Self]:
        yield from ()
        return self

    @property
    def request_id(self) -> str:
        """The request's id."""
        return self._result.id

    @property
    def target(self) -> str:
        """The name of the agent that was asked."""
        return self._target

    @property
    def response(self) -> str:
        """What it answered, or what went wrong."""
        return text_of(self._result.value) if self.error is None else f"Error: {describe(self.error)}"

    @property
    def duration_ms(self) -> int:
        """How long that took, in whole milliseconds."""
        return int(self._result.seconds * 1000)


MeshRequest = PyMeshRequest
MeshResult = PyMeshResult
