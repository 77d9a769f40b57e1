"""Run one handler to its result, and say how its failure looks from outside."""

import types
from typing import TYPE_CHECKING, Any, Final

from ceylon.core.current import current
from ceylon.core.generators import settle_lazy
from ceylon.core.handlers import Handler, Refusal
from ceylon.core.limits import HandlerLimit
from ceylon.errors import AskTimeoutError, BudgetError, DeadlockError, HandlerError, MeshClosedError
from ceylon.messages import type_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from ceylon.core.context import BlockingContext, Context
    from ceylon.core.threads import ThreadPool
    from ceylon.messages import Envelope

__all__ = ["LAZY", "as_asker_sees", "call_as", "invoke", "invoke_in_time"]

LAZY: Final[frozenset[type]] = frozenset({types.GeneratorType, types.AsyncGeneratorType, types.CoroutineType})
"""Results that are not yet results: they are run before the reply."""

_PASS_THROUGH: Final = (AskTimeoutError, BudgetError, DeadlockError, MeshClosedError)


async def invoke(handler: Handler, context: "Context", threads: "ThreadPool") -> Any:
    """Run *handler*, whatever its kind, from the loop, and return what it returns; parts go to the asker's channel."""
    given: Context | BlockingContext = context if handler.is_async else threads.context_for(context)
    message = context.envelope.message
    arguments = (context.cell.agent, message, given) if handler.takes_context else (context.cell.agent, message)
    try:
        if handler.threaded and not handler.yields:
            result = await threads.run(lambda: call_as(given, handler.function, *arguments))
        else:
            result = handler.function(*arguments)
            if handler.is_async and not handler.yields:
                result = await result
        if type(result) in LAZY:
            return await settle_lazy(result, context, threads, threaded=handler.threaded)
    finally:
        context.has_replied = context.has_replied or given.has_replied
    return result


async def invoke_in_time(handler: Handler, context: "Context", threads: "ThreadPool") -> Any:
    """Do the same for an agent whose handlers may take only so long.

    Raises:
        HandlerTimeoutError: the time was over, and the handler has heeded its cancellation or failed otherwise.
    """
    limit = HandlerLimit(context)
    limit.begin()
    try:
        return await invoke(handler, context, threads)
    except BaseException as error:
        if limit.error is None:
            raise
        limit.error.still_runs = threads.let_go_of(context)
        raise limit.error from error
    finally:
        limit.end()


def call_as(context: "Context | BlockingContext", function: "Callable[..., Any]", *arguments: Any) -> Any:
    """Call *function* here as part of what *context* stands for."""
    token = current.set(context)
    try:
        return function(*arguments)
    finally:
        current.reset(token)


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
    for note in getattr(error, "__notes__", ()):  # whoever asked sees them without digging
        wrapped.add_note(note)
    return wrapped
