"""The onion around delivery: what a router does with an envelope before it looks for the mailbox.

The envelope is put into the mailbox once the whole onion has agreed. So whatever an interceptor does after it has gone
on, raising included, there is never an envelope in a mailbox whose sender was told that it is not.
"""

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from ceylon.core.ledger import Reason
from ceylon.core.originals import Original, Rules
from ceylon.core.router import Router
from ceylon.errors import InterceptorError, RejectedError, describe
from ceylon.messages import TELL, Envelope, Outcome, type_name

if TYPE_CHECKING:
    from ceylon.core.backend import Sink
    from ceylon.core.calls import AskCall
    from ceylon.core.cell import Cell
    from ceylon.core.interior import Interior

__all__ = ["InterceptedRouter", "NextDelivery", "intercepted"]

_CHANGEABLE: Final = ("message", "recipient", "trace", "priority")
_RULES: Final = Rules(_CHANGEABLE, tuple(name for name in Envelope.__struct_fields__ if name not in _CHANGEABLE))


class Passage:
    """One envelope on its way through the onion."""

    __slots__ = ("interceptors", "is_over", "original", "passed", "router")

    def __init__(self, router: "InterceptedRouter", envelope: Envelope) -> None:
        self.router, self.original = router, Original(envelope, _RULES)
        self.interceptors = router.interceptors
        self.passed: Envelope | None = None
        self.is_over = False


class NextDelivery:
    """What an interceptor around delivery calls to let the envelope pass: to the next one, at last to the mailbox."""

    __slots__ = ("_at", "_is_used", "_passage")

    def __init__(self, passage: Passage, at: int) -> None:
        self._passage, self._at, self._is_used = passage, at, False

    @property
    def now(self) -> float:
        """Seconds on the mesh's clock, which deadlines go by too; virtual in a simulation."""
        return self._passage.router.driver.now()

    def __call__(self, envelope: Envelope) -> None:
        """Let *envelope* pass.

        Raises:
            InterceptorError: that was done before, it is too late, or it is not the envelope that was given.
        """
        passage = self._passage
        if self._is_used or passage.is_over:
            raise InterceptorError(_AGAIN if self._is_used else _LATE)
        self._is_used = True
        passage.original.check(envelope)
        if self._at == len(passage.interceptors):
            passage.passed = envelope
            return
        interceptor = passage.interceptors[self._at]
        try:
            _call(interceptor, envelope, NextDelivery(passage, self._at + 1))
        except BaseException:
            passage.passed = None  # also if one further out takes no notice
            raise


_AGAIN: Final = "an interceptor called `call_next` twice for one envelope; it passes once"
_LATE: Final = "an interceptor called `call_next` after it was over with that envelope; call it before returning"


def _call(interceptor: Callable[[Envelope, NextDelivery], Any], envelope: Envelope, following: NextDelivery) -> None:
    returned = interceptor(envelope, following)
    if inspect.iscoroutine(returned):
        returned.close()
        message = f"{interceptor!r} returned a coroutine; one that awaits is an `async def`, and stands around handling"
        raise InterceptorError(message)


class InterceptedRouter(Router):
    """A router with that onion; every tell, ask, request, stream and publication passes it once, before all else."""

    def __init__(self, interior: "Interior", *arguments: Any) -> None:
        super().__init__(interior, *arguments)
        self._interior = interior
        found = interior.interceptors
        self.interceptors = () if found is None else found.delivery

    def deliver(self, envelope: Envelope) -> "Cell | None":
        """See `Router`; what is asked has passed already."""
        if envelope.kind is TELL:
            self.let_pass(envelope)
        return super().deliver(envelope)

    def ask(self, envelope: Envelope, future: "Sink", *arguments: Any, **options: Any) -> "AskCall | None":
        """See `Router`."""
        try:
            self.let_pass(envelope)
        except RejectedError as error:
            future.set_result(Outcome(error=error))
            return None
        return super().ask(envelope, future, *arguments, **options)

    def let_pass(self, envelope: Envelope) -> None:
        """See `Router`; take *envelope* through the onion, and over what that has changed.

        Raises:
            RejectedError: it did not pass.
        """
        passage = Passage(self, envelope)
        try:
            NextDelivery(passage, 0)(envelope)
            passage.original.check(envelope)
        except BaseException as error:
            passage.original.restore()
            if isinstance(error, KeyboardInterrupt):
                self._interior.interrupt()
            raise self._rejected(envelope, describe(error)) from error
        finally:
            passage.is_over = True
        passed = passage.passed
        if passed is None:
            raise self._rejected(envelope, "it was not passed on")
        if passed is not envelope:
            for name in _CHANGEABLE:
                setattr(envelope, name, getattr(passed, name))

    def _rejected(self, envelope: Envelope, reason: str) -> RejectedError:
        """Keep *envelope* as a dead letter; return what its sender is told."""
        self.dead_letters.add(envelope, Reason.REJECTED, reason)
        return RejectedError(envelope.recipient, type_name(envelope.message), reason)


def intercepted(base: type[Router]) -> type[Router]:
    """Return a router that does what *base* does, once the onion has let an envelope pass."""
    return InterceptedRouter if base is Router else type("InterceptedRouter", (InterceptedRouter, base), {})
