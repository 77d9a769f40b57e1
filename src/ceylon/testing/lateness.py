"""Whose time was over when a request to a model was given up, and the same again: its time, and nobody's patience."""

from typing import Literal, TypeAlias

from ceylon.core.current import current
from ceylon.core.limits import limit_of

__all__ = ["Late", "let_time_be_over", "whose_time_is_over"]

Late: TypeAlias = Literal["", "turn", "handler"]
"""Of the agent's turn (its `timeout`), of the handler as such (its `handler_timeout`), or of nobody here."""


def whose_time_is_over() -> Late:
    """Return whose time is over in the handler that runs here."""
    origin = current.get()
    if origin is None:
        return ""
    limit = limit_of(origin)
    if limit is not None and limit.error is not None:
        return "handler"
    return "turn" if origin.interior.pauses.is_over(origin.envelope.id) else ""


def let_time_be_over(late: Late) -> None:
    """Let that time of the handler that runs here be over now: it is cancelled at its next step, as it was then."""
    origin = current.get()
    if origin is None or not late:
        return
    limit = limit_of(origin)
    if late == "turn":
        origin.interior.pauses.expire(origin.envelope.id)
    elif limit is not None:
        limit.expire()
