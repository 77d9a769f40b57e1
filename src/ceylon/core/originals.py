"""An envelope as the mesh knows it, while interceptors have it in hand."""

import msgspec

from ceylon.errors import InterceptorError
from ceylon.messages import Envelope

__all__ = ["Original", "Rules"]


class Rules(msgspec.Struct, frozen=True):
    """Which fields interceptors may change at their place, and which the mesh keeps account by."""

    changeable: tuple[str, ...]
    fixed: tuple[str, ...]


class Original:
    """What the fixed fields of one envelope were before any interceptor had it."""

    __slots__ = ("_envelope", "_rules", "_values")

    def __init__(self, envelope: Envelope, rules: Rules) -> None:
        self._envelope, self._rules = envelope, rules
        self._values = [getattr(envelope, name) for name in rules.fixed]

    def check(self, passed: object) -> None:
        """Refuse *passed*, the envelope or another made of it, if it is not what it was but for what may be changed.

        Raises:
            InterceptorError: it is something else.
        """
        if not isinstance(passed, Envelope):
            message = f"`call_next` takes the envelope, not {type(passed).__name__}"
            raise InterceptorError(message)
        fixed = zip(self._rules.fixed, self._values, strict=True)
        changed = [name for name, value in fixed if getattr(passed, name) is not value]
        if changed:
            message = (
                f"an interceptor changed {', '.join(changed)} of an envelope; the mesh keeps account by that. Here it "
                f"may change {', '.join(self._rules.changeable)}, by msgspec.structs.replace(envelope, ...)"
            )
            raise InterceptorError(message)

    def restore(self) -> None:
        """Let the envelope itself be known as it was, whatever was done to it."""
        for name, value in zip(self._rules.fixed, self._values, strict=True):
            setattr(self._envelope, name, value)
