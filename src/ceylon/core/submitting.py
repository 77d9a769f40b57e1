"""Submit now, collect later: what `submit` does, and the verbs about requests that a mesh alone has, in both skins."""

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar, overload

from ceylon.core.request import Request, block_take, take
from ceylon.errors import MeshClosedError
from ceylon.messages import ASK

if TYPE_CHECKING:
    from ceylon.core.backend import Sink
    from ceylon.core.calls import Call
    from ceylon.core.gateway import Operation
    from ceylon.core.interior import Interior
    from ceylon.core.origin import Origin
    from ceylon.core.terms import Terms
    from ceylon.core.tickets import RequestResult, Ticket

__all__ = ["BlockingCollecting", "Collecting", "block_submit", "submit"]

R = TypeVar("R")


async def submit(
    interior: "Interior",
    source: "Origin | None",
    address: str,
    message: Any,
    timeout: float | None,
    terms: "Terms | None" = None,
) -> Any:
    """Deliver *message* and return the request."""
    operation = _operation(interior, source, address, message, timeout, terms)
    return (await interior.gateway.perform(operation)).get()


def block_submit(
    interior: "Interior",
    source: "Origin | None",
    address: str,
    message: Any,
    timeout: float | None,
    terms: "Terms | None" = None,
) -> Any:
    """Deliver *message* from a thread and return the request."""
    operation = _operation(interior, source, address, message, timeout, terms)
    return interior.gateway.block("submit", operation).get()


def _operation(
    interior: "Interior",
    source: "Origin | None",
    address: str,
    message: Any,
    timeout: float | None,
    terms: "Terms | None",
) -> "Operation":
    def operation(sink: "Sink") -> "Call | None":
        envelope = interior.router.envelope(ASK, source, address, message)
        envelope.chain = ()  # nobody waits for it yet; whoever does will be found in the graph of waits
        if terms is not None:
            terms.apply(envelope, interior.router)
        return interior.requests.submit(envelope, source, timeout, sink)

    return operation


def _key(request: Request[Any] | str) -> "Ticket | str":
    return request.ticket if isinstance(request, Request) else request


def _take_all(interior: "Interior") -> "list[RequestResult]":
    """Return all results that a closed mesh still has."""
    if not interior.was_opened:
        interior.gateway.check_open()
    return interior.requests.kept.take_all()


class _Requesting:
    """What a mesh knows of its requests; nobody waits for that, so both skins have the same."""

    __slots__ = ()

    def _interior(self) -> "Interior":
        raise NotImplementedError

    def _source(self) -> "Origin | None":
        raise NotImplementedError

    def pending(self) -> list[Request[Any]]:
        """Return the requests that are under way, in the order they were submitted."""
        interior = self._interior()
        return interior.requests.pending() if interior.was_opened else []

    def results(self) -> "list[RequestResult]":
        """Return the results that nobody has collected yet, first ended first; this collects nothing.

        The last 10,000 are kept for an hour, also by a mesh that has closed; see `ceylon.settings`.
        """
        interior = self._interior()
        return interior.requests.kept.results() if interior.was_opened else []


class Collecting(_Requesting):
    """How to get at the results of requests."""

    __slots__ = ()

    @overload
    def wait_for(self, request: Request[R], *, timeout: float | None = None) -> Coroutine[Any, Any, R]: ...
    @overload
    def wait_for(self, request: str, *, timeout: float | None = None) -> Coroutine[Any, Any, Any]: ...
    def wait_for(self, request: Request[Any] | str, *, timeout: float | None = None) -> Coroutine[Any, Any, Any]:
        """Await the reply to a request, or to the one with this id, for *timeout* seconds; this collects it.

        Raises:
            RequestTimeoutError: it has not ended in time, and goes on.
            UnknownRequestError: nobody knows the id, or the result is collected or expired.
            DeadlockError: the handler that waits would wait for itself.
        """
        return take(self._interior(), _key(request), timeout)

    async def collect(self, *, timeout: float | None = None) -> "list[RequestResult]":
        """Await the end of every request that is under way now, and take all results, first ended first.

        Failures are among them, each as the `error` of its result. When *timeout* seconds are over this returns what
        there is, and the rest goes on: 0 takes what is ready. After the mesh's end it returns what was not collected.

        Raises:
            DeadlockError: a handler asks for this whose own message is one of the requests.
        """
        interior = self._interior()
        if interior.is_open:
            source = self._source()
            try:
                operation: Operation = lambda sink: interior.requests.collect(source, timeout, sink)  # noqa: E731
                found: list[RequestResult] = (await interior.gateway.perform(operation)).get()
            except MeshClosedError:  # meanwhile
                pass
            else:
                return found
        return _take_all(interior)


class BlockingCollecting(_Requesting):
    """The same, blocking the calling thread."""

    __slots__ = ()

    @overload
    def wait_for(self, request: Request[R], *, timeout: float | None = None) -> R: ...
    @overload
    def wait_for(self, request: str, *, timeout: float | None = None) -> Any: ...
    def wait_for(self, request: Request[Any] | str, *, timeout: float | None = None) -> Any:
        """Wait for the reply to a request and collect it; see `Mesh.wait_for`."""
        return block_take(self._interior(), _key(request), timeout)

    def collect(self, *, timeout: float | None = None) -> "list[RequestResult]":
        """Wait for the requests that are under way, and take all results; see `Mesh.collect`."""
        interior = self._interior()
        if interior.is_open:
            source = self._source()
            try:
                operation: Operation = lambda sink: interior.requests.collect(source, timeout, sink)  # noqa: E731
                found: list[RequestResult] = interior.gateway.block("collect", operation).get()
            except MeshClosedError:  # meanwhile
                pass
            else:
                return found
        return _take_all(interior)
