"""What requests to models have cost a mesh: per agent, per run, and in all."""

from collections import OrderedDict
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Spending", "SpendingStatistics", "Spent"]

K = TypeVar("K", str, int)

_AGENTS: Final = 10_000  # those that have not asked for the longest time are no longer listed; the total has them
_RUNS: Final = 1_000


class Spent(msgspec.Struct, frozen=True):
    """Requests that were answered, their tokens as the providers counted them, and US dollars.

    `cost` is `None` as soon as one request's price is not known.
    """

    requests: int = 0
    input: int = 0
    output: int = 0
    cost: float | None = 0.0

    def __add__(self, other: "Spent") -> "Spent":
        cost = None if self.cost is None or other.cost is None else self.cost + other.cost
        return Spent(self.requests + other.requests, self.input + other.input, self.output + other.output, cost)


class SpendingStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """What a mesh has spent on models so far.

    Attributes:
        total: All of it.
        agents: By the address of the agent that asked its model.
        runs: By the id of the message that a run began with, of the last 1,000; what other agents were asked for on the
            way is in it, once.
    """

    total: Spent = Spent()
    agents: dict[str, Spent] = {}
    runs: dict[str, Spent] = {}


class Spending:
    """Adds it up, on the mesh's loop."""

    def __init__(self) -> None:
        self._total = Spent()
        self._agents: OrderedDict[str, Spent] = OrderedDict()
        self._runs: OrderedDict[int, Spent] = OrderedDict()

    def add(self, agent: str, root: int, spent: Spent) -> None:
        """Count answered requests of *agent*, in the run that began with the envelope *root*; 0 for neither."""
        self._total += spent
        if agent:
            _add(self._agents, agent, spent, _AGENTS)
        if root:
            _add(self._runs, root, spent, _RUNS)

    def statistics(self, name: "Callable[[int], str]") -> SpendingStatistics:
        """Return it as it is now; *name* turns an envelope's id into the one users see."""
        runs = {name(root): spent for root, spent in self._runs.items()}
        return SpendingStatistics(total=self._total, agents=dict(self._agents), runs=runs)


def _add(sums: OrderedDict[K, Spent], key: K, spent: Spent, most: int) -> None:
    before = sums.pop(key, None)  # so that it is the last one
    sums[key] = spent if before is None else before + spent
    if len(sums) > most:
        sums.popitem(last=False)
