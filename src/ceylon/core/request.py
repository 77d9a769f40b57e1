"""The handle on a request: to be awaited, or waited for in a thread, as often as one likes."""

import functools
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ceylon.core.current import current
from ceylon.core.tickets import Ticket
from ceylon.errors import MeshClosedError

if TYPE_CHECKING:
    from ceylon.core.interior import Interior
    from ceylon.core.origin import Origin

__all__ = ["Request", "block_take", "take"]

R = TypeVar("R")


class Request(Generic[R]):
    """A handle on a message that was submitted: to be awaited on any loop, as often as one likes, or by `wait`.

    The result stays with the handle. Whoever awaits it has collected it: it is not among `mesh.results()` any more.

    Raises:
        HandlerError: when awaited: the handler raised.
        AskTimeoutError: its time was over.
        RequestCancelledError: somebody has cancelled it.
        AgentStoppedError: the agent stopped before it answered.
        MeshClosedError: so did the mesh.
        DeadlockError: the handler that awaits it would wait for itself.
    """

    __slots__ = ("_interior", "_ticket")

    def __init__(self, interior: "Interior", ticket: Ticket) -> None:
        self._interior, self._ticket = interior, ticket

    def __repr__(self) -> str:
        outcome = self._ticket.outcome
        state = "pending" if outcome is None else "done" if outcome.error is None else "failed"
        return f"<Request {self.id} {self.message_type} to {self.recipient!r} {state}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Request) and other._ticket is self._ticket

    def __hash__(self) -> int:
        return hash(self._ticket)

    def __await__(self) -> Generator[Any, Any, R]:
        """Wait for the reply."""
        return take(self._interior, self._ticket, None).__await__()

    def wait(self, timeout: float | None = None) -> R:
        """Wait for the reply in this thread, for *timeout* seconds; by default as long as it takes.

        Raises:
            RequestTimeoutError: it has not ended in time, and goes on.
        """
        value: R = block_take(self._interior, self._ticket, timeout)
        return value

    def cancel(self) -> None:
        """End it: nobody needs the reply any more. One that has ended stays as it is; from any thread."""
        if self._interior.gateway.may_enter():
            self._interior.requests.cancel(self._ticket)
        else:
            self._interior.gateway.post_quietly(lambda: self._interior.requests.cancel(self._ticket))

    @property
    def ticket(self) -> Ticket:
        """What is known of it, for code of this package."""
        return self._ticket

    @property
    def id(self) -> str:
        """The message's id, which no other has; `mesh.why` knows it too."""
        return self._ticket.id

    @property
    def recipient(self) -> str:
        """The address it was sent to."""
        return self._ticket.recipient

    @property
    def message_type(self) -> str:
        """What was sent."""
        return self._ticket.message_type

    @property
    def submitted_at(self) -> float:
        """When, in seconds since 1970."""
        return self._ticket.submitted_at

    @property
    def is_done(self) -> bool:
        """Whether it has ended, however."""
        return self._ticket.outcome is not None


# -- the ways in -------------------------------------------------------------------------------------------------------


def _source(interior: "Interior") -> "Origin | None":
    source = current.get()
    return source if source is not None and source.interior is interior else None


def _take_now(interior: "Interior", key: Ticket | str) -> Any:
    """Return what the closed mesh knows.

    Raises:
        MeshClosedError: there is no result, and never will be: it was not started, or this is a forked child.
    """
    if not interior.was_opened:
        interior.gateway.check_open()
    ticket = interior.requests.find(key)
    if ticket.outcome is None:
        interior.gateway.check_open()
    return interior.requests.take(ticket).get()


async def take(interior: "Interior", key: Ticket | str, timeout: float | None) -> Any:
    """Wait for the end of a request, on any loop, and collect it."""
    if not interior.is_open:
        return _take_now(interior, key)
    source = _source(interior)
    try:
        outcome = await interior.gateway.perform(lambda sink: interior.requests.wait(key, source, timeout, sink))
    except MeshClosedError:  # meanwhile
        return _take_now(interior, key)
    return outcome.get()


def block_take(interior: "Interior", key: Ticket | str, timeout: float | None) -> Any:
    """Wait for the end of a request in this thread, and collect it."""
    if not interior.is_open:
        return _take_now(interior, key)
    source = _source(interior)
    operation = functools.partial(interior.requests.wait, key, source, timeout)
    try:
        outcome = interior.gateway.block("wait", operation, "`await` and the request")
    except MeshClosedError:  # meanwhile
        return _take_now(interior, key)
    return outcome.get()
