"""What makes a passage for each request of a session: which governor, for whom, at which price."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from ceylon.models.governor.asker import Asker
from ceylon.models.governor.passage import Passage

if TYPE_CHECKING:
    from ceylon.core.interior import Interior
    from ceylon.models.governor.governor import Governor
    from ceylon.models.prices import Price

__all__ = ["Passages"]


class Passages(NamedTuple):
    """Called once a request, by the handler that makes it."""

    governor: "Governor"
    interior: "Interior"
    find_asker: Callable[[], Asker]
    price: "Price | None" = None

    def __call__(self, *, has_parts: bool = False) -> Passage:
        """Return a passage for whoever asks here and now."""
        return Passage(self.governor, self.interior, self.find_asker(), self.price, has_parts=has_parts)
