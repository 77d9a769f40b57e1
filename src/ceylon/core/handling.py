"""The onion around handling: it runs in the place of the handler, and the handler in its middle."""

import contextvars
from collections.abc import Awaitable, Callable, Generator
from typing import TYPE_CHECKING, Any, Final, cast

import anyio
import msgspec

from ceylon.core.current import current
from ceylon.core.handlers import Behaviour, Handler, Refusal
from ceylon.core.invocation import call_as, invoke
from ceylon.core.originals import Original, Rules
from ceylon.core.signals import Signal
from ceylon.errors import InterceptorError, RejectedError, describe
from ceylon.messages import Envelope, type_name

if TYPE_CHECKING:
    from ceylon.core.context import Context

__all__ = ["NextHandling", "around_handler"]

_RULES: Final = Rules(("message",), ("id", "kind", "sender", "recipient", "parent", "chain", "topic"))
"""The deadline is not among them: a pause of the handler's moves it."""
_AGAIN: Final = "an interceptor called `call_next` twice for one envelope; it is handled once"
_LATE: Final = "an interceptor called `call_next` after it had returned; await it before that"


class Handling:
    """One envelope and its handler, in the middle of the onion."""

    __slots__ = (
        "behaviour",
        "context",
        "handler",
        "has_failed",
        "interceptors",
        "is_over",
        "is_under_way",
        "kind",
        "left",
        "original",
    )

    def __init__(self, handler: Handler, behaviour: Behaviour, interceptors: "_Onion", context: "Context") -> None:
        self.handler, self.behaviour, self.interceptors, self.context = handler, behaviour, interceptors, context
        self.is_over = self.has_failed = False
        self.original = Original(context.envelope, _RULES)
        self.kind: type[Any] = type(context.envelope.message)  # which the handler is for
        self.is_under_way = False
        self.left: Signal | None = None  # raised when the handler has ended, where somebody waits for that

    async def run(self) -> Any:
        """Run the onion, and do not leave before the handler has: its agent would begin with the next message.

        Raises:
            Refusal: an interceptor did not let the message be handled, or its reply pass: not the agent's failure.
        """
        try:
            return await self._pass_through()
        except (KeyboardInterrupt, Refusal, self.context.interior.driver.cancellation):
            raise
        except BaseException as error:
            if self.has_failed:
                raise
            raise Refusal(self._rejected(error)) from error
        finally:
            self.is_over = True
            self.original.restore()
            if self.is_under_way:
                self.left = Signal(self.context.interior.driver)
                await self.left.wait()

    async def _pass_through(self) -> Any:
        reply = await NextHandling(self, 0)(self.context.envelope)
        self.original.check(self.context.envelope)
        return reply

    async def run_handler(self, envelope: Envelope) -> Any:
        """Run the handler to its end, in the variables of whoever called."""
        context, threads = self.context, self.context.interior.threads
        handler = self._handler_for(envelope)
        self.is_under_way = True
        try:
            return await invoke(_with_variables(handler) if handler.threaded else handler, context, threads)
        except BaseException:
            self.has_failed = True
            if context.worker is None or not context.worker.is_cancelling:  # by the onion: the mesh gives threads up
                with anyio.CancelScope(shield=True):
                    await threads.join(context)
            raise
        finally:
            self.is_under_way = False
            if self.left is not None:
                self.left.set()

    def _rejected(self, error: BaseException) -> RejectedError:
        envelope = self.context.envelope
        rejected = RejectedError(envelope.recipient, type_name(envelope.message), describe(error))
        rejected.__cause__ = error
        return rejected

    def _handler_for(self, envelope: Envelope) -> Handler:
        """Return the handler of what was passed on; that of another type of message may be another.

        Raises:
            Refusal: the agent has none for it.
        """
        own = self.context.envelope
        own.message = envelope.message
        return self.handler if type(own.message) is self.kind else self.behaviour.find(own)


class NextHandling:
    """What an interceptor around handling awaits to run the handler, or the next interceptor before that."""

    __slots__ = ("_at", "_handling", "_is_used")

    def __init__(self, handling: Handling, at: int) -> None:
        self._handling, self._at, self._is_used = handling, at, False

    @property
    def context(self) -> "Context":
        """The handler's context: who asks, until when, a log, and verbs whose deadlines are inherited."""
        return self._handling.context

    @property
    def now(self) -> float:
        """Seconds on the mesh's clock, which deadlines go by too; virtual in a simulation."""
        return self._handling.context.interior.driver.now()

    async def __call__(self, envelope: Envelope) -> Any:
        """Handle *envelope*, and return what the handler, or whoever answers for it, has returned.

        Raises:
            InterceptorError: that was done before, it is too late, or it is not the envelope that was given.
        """
        handling = self._handling
        if self._is_used or handling.is_over:
            raise InterceptorError(_AGAIN if self._is_used else _LATE)
        self._is_used = True
        handling.original.check(envelope)
        if self._at == len(handling.interceptors):
            return await handling.run_handler(envelope)
        return await handling.interceptors[self._at](envelope, NextHandling(handling, self._at + 1))


_Onion = tuple[Callable[[Envelope, NextHandling], Awaitable[Any]], ...]


def around_handler(handler: Handler, behaviour: Behaviour, interceptors: _Onion) -> Handler:
    """Return what the dispatcher is to run in the place of *handler*, one of *behaviour*'s.

    It is always async and on the loop; a handler in a thread is waited for there, one hop for each message.
    """

    async def intercepted(_: object, __: object, context: "Context") -> Any:
        return await Handling(handler, behaviour, interceptors, context).run()

    return msgspec.structs.replace(
        handler, function=intercepted, is_async=True, threaded=False, yields=False, takes_context=True, direct=True
    )


def _with_variables(handler: Handler) -> Handler:
    """Return *handler*, which runs in a thread, such that it has the context variables that are set here."""
    function, variables = handler.function, contextvars.copy_context()

    def run(*arguments: Any) -> Any:
        result = variables.run(call_as, current.get(), function, *arguments)  # type: ignore[arg-type]
        if isinstance(result, Generator):
            return _advanced_in(variables, cast("Generator[Any, None, Any]", result))
        return result

    return msgspec.structs.replace(handler, function=run)


def _advanced_in(variables: contextvars.Context, generator: "Generator[Any, None, Any]") -> "Generator[Any, None, Any]":
    """Give the parts of *generator*, each made with these variables; whatever thread does it."""
    try:
        while True:
            try:
                part = variables.run(call_as, current.get(), next, generator)  # type: ignore[arg-type]
            except StopIteration:
                return
            yield part
    finally:
        variables.run(call_as, current.get(), generator.close)  # type: ignore[arg-type]
