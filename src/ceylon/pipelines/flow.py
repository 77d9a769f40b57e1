"""Items on their way, one by one.

A flow is *driven* by whoever wants its items: the source runs in the driver's own task and hands each item over by
awaiting `emit`, which comes back when there is room for the next. So a source is never more than one item ahead, a
generator is closed by the task that ran it, and no cancellation crosses tasks.
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from ceylon.core.strands import Strand

__all__ = ["Emit", "Flow"]

Emit: TypeAlias = Callable[[Any], Awaitable[None]]
"""Takes an item. It never raises but a cancellation: what goes wrong behind it is the business of whoever drives."""


class Flow(ABC):
    """Items that come when somebody drives it, once.

    Where an agent is behind it, all that becomes of the items belongs to one `strand` of the run.
    """

    strand: "Strand | None" = None

    @abstractmethod
    async def drive(self, emit: Emit) -> None:
        """Hand every item to *emit*, one at a time."""

    async def collect(self) -> list[Any]:
        """Drive it to its end; return the items."""
        items: list[Any] = []

        async def keep(item: Any) -> None:
            items.append(item)

        await self.drive(keep)
        return items

    @abstractmethod
    def abandon(self) -> None:
        """Take note that nobody is going to drive it."""
