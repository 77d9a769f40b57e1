"""Who runs here: the context of the handler that the current code belongs to, in tasks and in threads alike."""

import contextvars
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ceylon.core.origin import Origin

__all__ = ["current"]

current: contextvars.ContextVar["Origin | None"] = contextvars.ContextVar("ceylon_current", default=None)
"""Verbs of refs and meshes inherit deadline, hops and chain from it."""
