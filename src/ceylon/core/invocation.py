"""Run one handler to its outcome, wherever it runs; the same words for a worker task and a worker thread."""

import inspect
import types
from collections.abc import AsyncIterator, Generator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

from ceylon.core.handlers import Handler, Refusal
from ceylon.errors import AskTimeoutError, DeadlockError, HandlerError, MeshClosedError
from ceylon.messages import ASK, STREAM, type_name

if TYPE_CHECKING:
    from ceylon.core.context import Context
    from ceylon.core.streams import Channel, StreamCall
    from ceylon.core.threads import ThreadPool
    from ceylon.messages import Envelope

__all__ = ["LAZY", "as_asker_sees", "invoke", "settle_lazy"]

LAZY: Final = frozenset({types.GeneratorType, types.AsyncGeneratorType, types.CoroutineType})
"""Results that are not yet results: the dispatcher runs them before it replies."""

_PASS_THROUGH: Final = (AskTimeoutError, DeadlockError, MeshClosedError)


async def invoke(handler: Handler, context: "Context", threads: "ThreadPool") -> Any:
    """Run *handler*, whatever its kind, on the loop, and return what it returns; parts go to the asker's channel."""
    envelope = context.envelope
    arguments = (context.cell.agent, envelope.message)
    if handler.takes_context:
        arguments = (*arguments, threads.context_for(context) if handler.threaded else context)
    result = handler.function(*arguments)
    if handler.direct:
        result = await result
    if type(result) in LAZY:
        return await settle_lazy(result, context, threads, threaded=handler.threaded)
    return result


async def settle_lazy(result: Any, context: "Context", threads: "ThreadPool", *, threaded: bool) -> Any:
    """Run a generator or coroutine that a handler returned; return the list of parts if they were not streamed."""
    if inspect.iscoroutine(result):
        return await result
    if isinstance(result, Generator):
        parts = threads.iterate(result, context) if threaded else _iterate(result)
    else:
        parts = result
    channel = _channel_of(context)
    kept: list[Any] = []
    async with aclosing(parts) as source:
        async for part in source:
            if channel is not None:
                await channel.put(part)
            elif context.envelope.kind == ASK:
                kept.append(part)
    return None if channel is not None else kept


def _channel_of(context: "Context") -> "Channel | None":
    """Return where the parts go, if the envelope is a stream."""
    if context.envelope.kind != STREAM:
        return None
    call: StreamCall | None = context.interior.router.calls.get(context.envelope.id)  # type: ignore[assignment]
    return call.channel if call is not None else None


async def _iterate(generator: "Generator[Any, None, Any]") -> AsyncIterator[Any]:
    """Give the parts of an inline generator, which never blocks."""
    try:
        for part in generator:
            yield part
    finally:
        generator.close()


def as_asker_sees(error: BaseException, envelope: "Envelope", address: str) -> BaseException:
    """Return what the asker is told when a handler ended by *error*: wrapped once, however deep it comes from."""
    if isinstance(error, Refusal):
        return error.error
    if isinstance(error, HandlerError):
        return error.through(address)
    if isinstance(error, _PASS_THROUGH):
        return error
    wrapped = HandlerError((address,), type_name(envelope.message), error)
    wrapped.__cause__ = error
    return wrapped
