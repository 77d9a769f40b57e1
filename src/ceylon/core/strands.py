"""Several things that one handler does at once, kept apart in the waits graph.

To the graph a handler waits for all its waits. That is right for its end, and wrong for a producer whose parts it
takes: what the handler waits for elsewhere does not keep it from taking the next part. So a consumer of that kind has a
strand for the stream and for all that becomes of its parts: the producer waits for the strand alone, the handler for
all of its strands.
"""

import weakref
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from ceylon.core.calls import Call
from ceylon.core.context import Context

if TYPE_CHECKING:
    from ceylon.core.backend import Sink
    from ceylon.core.origin import Origin
    from ceylon.core.router import Router
    from ceylon.core.waits import Groups, WaitsGraph

__all__ = ["Strand", "calls_of", "strand_of"]


class Strand(Context, weakref=True):
    """The context of a handler as one of its strands has it: a node of its own in the waits graph."""

    around: Context | None = None  # the handler's own context, or the strand that this one is part of

    def _give_reply(self, value: Any) -> None:
        around = self.around
        while around is not None:  # the dispatcher asks the handler's own
            around.has_replied = True
            around = around.around if isinstance(around, Strand) else None
        super()._give_reply(value)


def strand_of(context: Context) -> Strand:
    """Return a new strand of what *context* stands for; there is nothing to close, it ends with who holds it."""
    made = Strand(context.interior, context.cell, context.envelope, around=context)
    known = next((call for call in context.waits or () if isinstance(call, _Strands)), None)
    if known is None:
        known = _Strands(context.interior.router, context.interior.driver.future())
        context.begin_wait(known)
    known.add(made)
    return made


def calls_of(origin: "Origin") -> "Iterator[Call]":
    """Yield what *origin* waits for, in its strands too."""
    for call in origin.waits or ():
        if isinstance(call, _Strands):
            for strand in call.alive():
                yield from calls_of(strand)
        else:
            yield call


class _Strands(Call):
    """The wait of a handler for its strands; one that nobody holds any more waits for nothing."""

    __slots__ = ("_alive",)

    def __init__(self, router: "Router", future: "Sink") -> None:
        super().__init__(router, future)
        self._alive: weakref.WeakValueDictionary[int, Strand] = weakref.WeakValueDictionary()  # in order

    def add(self, strand: Strand) -> None:
        """Wait for *strand* too."""
        self._alive[id(strand)] = strand

    def alive(self) -> Iterable[Strand]:
        """Return those that somebody holds, the eldest first."""
        return self._alive.values()

    def groups(self, graph: "WaitsGraph") -> "Groups[Origin]":  # noqa: ARG002 – as its base
        """See `Call.groups`."""
        return [(strand,) for strand in self._alive.values()]
