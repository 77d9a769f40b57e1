"""What makes a passage for each request of a session: which governor, for whom, at which price."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from ceylon.core.spending import Spent
from ceylon.models.governor.asker import Asker
from ceylon.models.governor.line import Place
from ceylon.models.governor.passage import UNCOUNTED, Passage, need_of

if TYPE_CHECKING:
    from ceylon.core.interior import Interior
    from ceylon.models.governor.governor import Governor
    from ceylon.models.prices import Price
    from ceylon.models.turns import Reply, Request

__all__ = ["Passages"]


class Passages(NamedTuple):
    """Called once a request, by the handler that makes it."""

    governor: "Governor"
    interior: "Interior"
    find_asker: Callable[[], Asker]
    price: "Price | None" = None

    def __call__(self, *, has_parts: bool = False) -> Passage:
        """Return a passage for whoever asks here and now."""
        return self.of(self.find_asker(), has_parts=has_parts)

    def of(self, asker: Asker, *, has_parts: bool = False) -> Passage:
        """Return a passage for *asker*."""
        return Passage(self.governor, self.interior, asker, self.price, has_parts=has_parts)

    def go_nowait(self, asker: Asker, request: "Request") -> Place | None:
        """Return the place of a first try that is under way, if no budget and nothing else makes *request* wait."""
        if asker.account is not None:
            return None
        place = Place(root=asker.root, priority=asker.priority, need=lambda: need_of(request))
        return place if self.governor.admit_nowait(place) else None

    def answered(self, asker: Asker, place: Place, reply: "Reply") -> float | None:
        """Take note of the whole answer to a first try; return what it has cost, if that is known."""
        usage = reply.usage
        is_counted = usage != UNCOUNTED
        self.governor.answered(place, (usage.input, usage.output) if is_counted else None)
        cost = self.price.cost(usage) if self.price is not None and is_counted else None
        self.interior.spending.add(asker.agent, asker.root, Spent(1, usage.input, usage.output, cost))
        return cost
