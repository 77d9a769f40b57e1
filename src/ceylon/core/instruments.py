"""What a mesh is made of where somebody wants to look into it or to steer it: the seam that `ceylon.testing` uses.

A mesh reads the instruments of the context in which it is made. Without any it takes the parts it has by itself, and
no message pays for the possibility.
"""

import contextvars
import random
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from ceylon.core.dispatcher import Dispatcher
    from ceylon.core.interior import Interior
    from ceylon.core.lifecycle import Lifecycle
    from ceylon.core.router import Router
    from ceylon.core.threads import ThreadPool

__all__ = ["Instruments", "instruments", "observers"]


class Instruments(msgspec.Struct, frozen=True, kw_only=True):
    """The parts to take instead of a mesh's own; `None` leaves one as it is.

    Attributes:
        ready: Makes the dispatcher's queue of agents that have mail; it has the methods of a deque.
        router: A subclass of `Router`.
        dispatcher: A subclass of `Dispatcher`.
        threads: A subclass of `ThreadPool`.
        lifecycle: A subclass of `Lifecycle`.
        new_id: Makes the mesh's id.
        random_source: Makes what jitter comes from, for a mesh that is given nothing of the kind.
        clock: Returns the time of day, in seconds since 1970; deadlines and timers go by the loop's own clock.
        watches_loop: Whether a thread looks out for handlers that block the loop.
    """

    ready: "Callable[[], deque[Any]]" = deque
    router: "type[Router] | None" = None
    dispatcher: "type[Dispatcher] | None" = None
    threads: "type[ThreadPool] | None" = None
    lifecycle: "type[Lifecycle] | None" = None
    new_id: "Callable[[], str] | None" = None
    random_source: Callable[[], random.Random] = random.Random
    clock: Callable[[], float] = time.time
    watches_loop: bool = True


instruments: contextvars.ContextVar[Instruments] = contextvars.ContextVar("ceylon_instruments", default=Instruments())  # noqa: B039 – frozen
"""The instruments of meshes that are made in this context."""

observers: Final[list[Callable[["Interior"], None]]] = []
"""Told of every mesh of the process as it opens, on its loop; empty but in test runs."""
