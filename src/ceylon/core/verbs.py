"""What tell, ask, stream and publish do, written once.

On the mesh's own loop the way is short: an envelope, a mailbox, a future. From anywhere else the same steps are handed
to the gateway as an operation.
"""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ceylon.core.channel import Channel
from ceylon.core.current import current
from ceylon.core.stream_calls import StreamCall
from ceylon.core.streams import BlockingStream, Stream
from ceylon.errors import BlockingCallError
from ceylon.messages import ASK, STREAM, TELL, Envelope, Kind, Outcome

if TYPE_CHECKING:
    from ceylon.core.backend import Sink
    from ceylon.core.calls import Call
    from ceylon.core.cell import Cell
    from ceylon.core.gateway import Operation
    from ceylon.core.interior import Interior
    from ceylon.core.origin import Origin
    from ceylon.core.publishing import PublishTerms
    from ceylon.core.router import Router
    from ceylon.core.terms import Terms

__all__ = ["ask", "block_ask", "block_publish", "block_tell", "publish", "source_in", "stream", "tell", "tell_nowait"]

S = TypeVar("S", Stream, BlockingStream)

_get_ident = threading.get_ident
_NOWAIT: Final = "`tell_nowait` away from the mesh's loop"


def source_in(interior: "Interior") -> "Origin | None":
    """Return the context of the handler that runs here, if that belongs to this mesh."""
    source = current.get()
    return source if source is not None and source.interior is interior else None


def _envelope(
    router: "Router", kind: Kind, source: "Origin | None", address: str, message: Any, terms: "Terms | None"
) -> Envelope:
    """Return *message* on its way, under *terms* of its own if there are any."""
    envelope = router.envelope(kind, source, address, message)
    if terms is not None:
        terms.apply(envelope, router)
    return envelope


# -- tell --------------------------------------------------------------------------------------------------------------


async def tell(
    interior: "Interior", source: "Origin | None", address: str, message: Any, *, terms: "Terms | None" = None
) -> None:
    """Deliver *message*, waiting for room."""
    if terms is not None or _get_ident() != interior.thread:
        (await interior.gateway.perform(_tell_operation(interior, source, address, message, terms))).get()
        return
    router = interior.router
    if source is None:  # as most often, and a call less
        envelope = Envelope(next(router.ids), TELL, "", address, message)
    else:
        envelope = router.envelope(TELL, source, address, message)
    full = router.deliver(envelope)
    if full is not None:
        (await interior.gateway.perform(_room_operation(router, envelope, full, source))).get()


def _room_operation(router: "Router", envelope: Envelope, full: "Cell", source: "Origin | None") -> "Operation":
    return lambda sink: router.wait_for_room(envelope, full, sink, source)


def tell_nowait(
    interior: "Interior", source: "Origin | None", address: str, message: Any, *, terms: "Terms | None" = None
) -> None:
    """Deliver *message* now; on the mesh's loop."""
    if not interior.gateway.is_inside():
        interior.gateway.check_open()
        raise BlockingCallError(_NOWAIT, "`await tell(...)`, or `mesh.blocking`")
    interior.router.tell_nowait(_envelope(interior.router, TELL, source, address, message, terms))


def block_tell(
    interior: "Interior",
    source: "Origin | None",
    address: str,
    message: Any,
    *,
    nowait: bool = False,
    terms: "Terms | None" = None,
) -> None:
    """Deliver *message* from a thread, waiting for room or, with *nowait*, not."""
    operation = _tell_nowait_operation if nowait else _tell_operation
    interior.gateway.block("tell", operation(interior, source, address, message, terms)).get()


def _tell_operation(
    interior: "Interior", source: "Origin | None", address: str, message: Any, terms: "Terms | None"
) -> "Operation":
    def operation(sink: "Sink") -> "Call | None":
        router = interior.router
        return router.tell(_envelope(router, TELL, source, address, message, terms), sink, source)

    return operation


def _tell_nowait_operation(
    interior: "Interior", source: "Origin | None", address: str, message: Any, terms: "Terms | None"
) -> "Operation":
    def operation(sink: "Sink") -> None:
        router = interior.router
        router.tell_nowait(_envelope(router, TELL, source, address, message, terms))
        sink.set_result(Outcome())

    return operation


# -- ask ---------------------------------------------------------------------------------------------------------------


async def ask(  # noqa: PLR0913 – the verb's own options
    interior: "Interior",
    source: "Origin | None",
    address: str,
    message: Any,
    timeout: float | None,
    *,
    clock: bool = True,
    terms: "Terms | None" = None,
) -> Any:
    """Deliver *message* and await its reply."""
    if terms is not None or _get_ident() != interior.thread:  # which is none's if the mesh is not open
        operation = _ask_operation(interior, source, address, message, timeout, clock, terms)
        return (await interior.gateway.perform(operation)).get()
    future = interior.driver.future()
    router = interior.router
    if source is None:  # as above
        envelope = Envelope(next(router.ids), ASK, "", address, message)
    else:
        envelope = router.envelope(ASK, source, address, message)
    call = router.ask(envelope, future, source, timeout, clock=clock)
    try:
        outcome = await future
    except BaseException:
        if call is not None:
            call.cancel()
        raise
    if outcome.error is not None:
        raise outcome.error
    return outcome.value


def block_ask(  # noqa: PLR0913 – likewise
    interior: "Interior",
    source: "Origin | None",
    address: str,
    message: Any,
    timeout: float | None,
    *,
    clock: bool = True,
    terms: "Terms | None" = None,
) -> Any:
    """Deliver *message* from a thread and wait for its reply."""
    operation = _ask_operation(interior, source, address, message, timeout, clock, terms)
    return interior.gateway.block("ask", operation).get()


def _ask_operation(  # noqa: PLR0913, PLR0917 – the verb's own options, once more
    interior: "Interior",
    source: "Origin | None",
    address: str,
    message: Any,
    timeout: float | None,
    clock: bool,  # noqa: FBT001
    terms: "Terms | None",
) -> "Operation":
    def operation(sink: "Sink") -> "Call | None":
        router = interior.router
        envelope = _envelope(router, ASK, source, address, message, terms)
        return router.ask(envelope, sink, source, timeout, clock=clock)

    return operation


# -- stream and publish ------------------------------------------------------------------------------------------------


def stream(  # noqa: PLR0913, PLR0917 – the verb's own options; its two callers name them
    kind: type[S],
    interior: "Interior",
    find_source: "Callable[[], Origin | None]",
    address: str,
    message: Any,
    timeout: float | None,
    idle_timeout: float | None,
    first_timeout: float | None = None,
    terms: "Terms | None" = None,
) -> S:
    """Return a stream of *kind*, to be opened at its first part."""
    settings = interior.settings
    idle_timeout = settings.stream_idle_timeout if idle_timeout is None else idle_timeout
    source = find_source()

    def begin(sink: "Sink") -> "StreamCall | None":
        router = interior.router
        envelope = _envelope(router, STREAM, source, address, message, terms)
        call = router.ask(envelope, sink, source, timeout, clock=False, kind=StreamCall)
        if not isinstance(call, StreamCall):
            return None
        call.channel = Channel(router, settings.stream_credit, call)
        return call

    return kind(interior.gateway, begin, idle_timeout, idle_timeout if first_timeout is None else first_timeout)


async def publish(
    interior: "Interior", source: "Origin | None", topic: str | None, message: Any, terms: "PublishTerms"
) -> int:
    """Tell *message* to all who subscribe."""
    outcome = await interior.gateway.perform(_publish_operation(interior, source, topic, message, terms))
    return int(outcome.get())


def block_publish(
    interior: "Interior", source: "Origin | None", topic: str | None, message: Any, terms: "PublishTerms"
) -> int:
    """Tell *message* to all who subscribe, from a thread."""
    outcome = interior.gateway.block("publish", _publish_operation(interior, source, topic, message, terms))
    return int(outcome.get())


def _publish_operation(
    interior: "Interior", source: "Origin | None", topic: str | None, message: Any, terms: "PublishTerms"
) -> "Operation":
    return lambda sink: interior.publisher.publish(topic, message, source, sink, terms)
