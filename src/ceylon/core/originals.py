"""An envelope as the mesh knows it, while interceptors have it in hand."""

import operator
from typing import Any

from ceylon.errors import InterceptorError
from ceylon.messages import Envelope

__all__ = ["Original", "Rules"]


class Rules:
    """Which fields interceptors may change at their place, and which the mesh keeps account by."""

    def __init__(self, changeable: tuple[str, ...], fixed: tuple[str, ...]) -> None:
        self.changeable, self.fixed = changeable, fixed
        self.read = operator.attrgetter(*fixed)


class Original:
    """What the fixed fields of one envelope were before any interceptor had it."""

    __slots__ = ("_envelope", "_rules", "_values")

    def __init__(self, envelope: Envelope, rules: Rules) -> None:
        self._envelope, self._rules = envelope, rules
        self._values: tuple[Any, ...] = rules.read(envelope)

    def check(self, passed: object) -> None:
        """Refuse *passed*, the envelope or another made of it, if it is not what it was but for what may be changed.

        Raises:
            InterceptorError: it is something else.
        """
        if not isinstance(passed, Envelope):
            message = f"`call_next` takes the envelope, not {type(passed).__name__}"
            raise InterceptorError(message)
        if self._rules.read(passed) != self._values:
            fixed = zip(self._rules.fixed, self._values, strict=True)
            changed = [name for name, value in fixed if getattr(passed, name) != value]
            message = (
                f"an interceptor changed {', '.join(changed)} of an envelope; the mesh keeps account by that. Here it "
                f"may change {', '.join(self._rules.changeable)}, by msgspec.structs.replace(envelope, ...)"
            )
            raise InterceptorError(message)

    def restore(self) -> None:
        """Let the envelope itself be known as it was, whatever was done to it."""
        if self._rules.read(self._envelope) != self._values:
            for name, value in zip(self._rules.fixed, self._values, strict=True):
                setattr(self._envelope, name, value)
