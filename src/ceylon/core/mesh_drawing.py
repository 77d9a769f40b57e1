"""Draw a mesh: its agents, children beside their supervisors, and who talks to whom.

Nodes carry the exact counters of their agents; arrows count what the mesh still remembers (see `ceylon.core.roads`).
"""

import heapq
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from ceylon.core.mermaid import Chart, Mark
from ceylon.core.names import split_key
from ceylon.core.roads import Road, roads_of

if TYPE_CHECKING:
    from ceylon.core.cell import Cell
    from ceylon.core.interior import Interior
    from ceylon.core.ledger import AgentStatistics
    from ceylon.core.roads import Fate

__all__ = ["draw_mesh"]

_OUTSIDE: Final = ""  # the sender of what no agent has sent
_OTHERS: Final = "…"  # stands for all agents that are not drawn; no agent can be called so
_ABREAST: Final = 8  # agents beside each other; more are easier to read below each other, with arrows to the right
_WORDS: Final = {"completed": "done", "dead_lettered": "dead letters"}


def draw_mesh(interior: "Interior") -> str:
    """Return the mesh as it is now, as Mermaid text; on the loop."""
    if not interior.was_opened:
        return _Drawing(interior, interior.name, [], interior.settings.picture_agents).text()
    settings, router = interior.settings, interior.router
    roads = roads_of(router)
    ended = sum(road.total - road.counts.get("open", 0) - road.counts.get("refused", 0) for road in roads)
    window = f"the last {ended:,} messages that ended" if router.endings.is_full else _counted(ended, "message")
    drawing = _Drawing(interior, f"{interior.name}: {window}", roads, settings.picture_agents)
    return drawing.text(settings.picture_roads)


class _Drawing:
    """One picture of one mesh while it is made.

    Args:
        interior: The mesh.
        title: Shown above it.
        roads: Who has talked to whom.
        most: So many agents get a box.
    """

    def __init__(self, interior: "Interior", title: str, roads: Iterable[Road], most: int) -> None:
        self._cells, self._registered = dict(interior.cells()), interior.registered
        self._shown = _busiest(self._cells, most)
        self._chart = Chart(title, "down" if len(self._shown) <= _ABREAST else "right")
        self._boxes = [cell for address, cell in self._cells.items() if address in self._shown]
        self._roads = self._joined(roads)
        self._keys: dict[str, str] = {}

    def text(self, most_roads: int = 0) -> str:
        """Return the picture with so many arrows at most, those with most messages."""
        drawn = heapq.nlargest(most_roads, self._roads, key=lambda road: road.total)
        ends = {end for road in drawn for end in (road.sender, road.recipient)}
        if _OUTSIDE in ends:
            self._chart.node(self._key(_OUTSIDE), ["callers outside"], shape="round", mark="faint")
        self._children_of(None)
        for address in sorted(ends - self._shown - {_OUTSIDE, _OTHERS}):
            self._stranger(address)
        self._hidden(len(self._cells) - len(self._shown), len(self._roads) - len(drawn))
        for road in drawn:
            ends_of = self._key(road.sender), self._key(road.recipient)
            self._chart.edge(*ends_of, _tally(road.counts), failed=road.lost > 0)
        return self._chart.text()

    def _key(self, address: str) -> str:
        """Return what the chart calls *address*; addresses are the users' own words."""
        return self._keys.setdefault(address, f"a{len(self._keys)}")

    def _joined(self, roads: Iterable[Road]) -> list[Road]:
        """Return the roads between what is drawn: keys belong to their agent, agents without a box to the rest."""
        joined: dict[tuple[str, str], Road] = {}
        for road in roads:
            ends = self._drawn_as(road.sender), self._drawn_as(road.recipient)
            joined.setdefault(ends, Road(sender=ends[0], recipient=ends[1])).add_all(road)
        return list(joined.values())

    def _drawn_as(self, address: str) -> str:
        name = address if address in self._cells else split_key(address)[0]
        return _OTHERS if name in self._cells and name not in self._shown else name

    # -- agents --------------------------------------------------------------------------------------------------------

    def _children_of(self, parent: "Cell | None") -> None:
        for cell in self._boxes:
            if cell.parent is parent:
                self._family(cell)

    def _family(self, cell: "Cell") -> None:
        """Draw an agent, and its children in a frame with it."""
        if not any(each.parent is cell for each in self._boxes):
            self._agent(cell)
            return
        with self._chart.group(f"{self._key(cell.address)}f", f"{cell.address} and its children"):
            self._agent(cell)
            self._children_of(cell)

    def _agent(self, cell: "Cell") -> None:
        statistics = cell.statistics()
        state = [] if statistics.state == "running" else [statistics.state]
        lines = [cell.address, type(cell.agent).__name__, *state, _work(statistics)]
        self._chart.node(self._key(cell.address), lines, mark=_mark(statistics))

    def _stranger(self, address: str) -> None:
        """Draw who has sent or should have got something, and is not there."""
        got = [road for road in self._roads if road.recipient == address]
        was_refused = any("refused" in road.counts for road in got)
        is_unknown = was_refused and not any(set(road.counts) - {"refused"} for road in got)
        words: str
        mark: Mark
        words, mark = ("no such agent", "failed") if is_unknown else ("not there any more", "never")
        group = self._registered.get(address)
        if group is not None:
            words, mark = "out of memory" if group.wants_key() else "former members", "never"
        self._chart.node(self._key(address), [address, words], mark=mark)

    def _hidden(self, agents: int, roads: int) -> None:
        if agents or any(_OTHERS in (road.sender, road.recipient) for road in self._roads):
            self._chart.node(self._key(_OTHERS), [f"… {_counted(agents, 'more agent')}"], mark="faint")
        if roads:
            self._chart.node("hidden", [f"… {_counted(roads, 'more arrow')}, of fewer messages"], mark="faint")


def _busiest(cells: "dict[str, Cell]", most: int) -> set[str]:
    """Return the addresses of the agents that get a box, each with those above it if there is room."""
    shown: set[str] = set()
    for cell in heapq.nlargest(most, cells.values(), key=lambda each: each.accepted):
        family = [cell]
        while family[-1].parent is not None:
            family.append(family[-1].parent)
        wanted = {each.address for each in family} - shown
        if len(shown) + len(wanted) <= most:
            shown |= wanted
    return shown


def _work(statistics: "AgentStatistics") -> str:
    counts = Counter({
        "completed": statistics.completed,
        "failed": statistics.failed,
        "dead_lettered": statistics.dead_lettered,
        "expired": statistics.expired,
        "cancelled": statistics.cancelled,
        "pending": statistics.pending,
    })  # fmt: skip
    said = [f"{count:,} {_WORDS.get(name, name)}" for name, count in counts.items() if count]
    restarts = [_counted(statistics.restarts, "restart")] if statistics.restarts else []
    return ", ".join([*said, *restarts]) or "no message yet"


def _mark(statistics: "AgentStatistics") -> Mark:
    if statistics.state in {"halted", "stopping", "stopped"}:
        return "cancelled"
    if statistics.state == "restarting" or (statistics.failed and not statistics.completed):
        return "failed"
    if statistics.failed or statistics.dead_lettered or statistics.expired:
        return "partly"
    return "running" if statistics.pending else "plain"


def _tally(counts: "dict[Fate, int]") -> str:
    """Say how many there were, and of what did not simply end well."""
    rest = [f"{number:,} {_WORDS.get(fate, fate)}" for fate, number in counts.items() if fate != "completed"]
    whole = [f"×{sum(counts.values()):,}"] if len(counts) > 1 or not rest else []
    return ", ".join([*whole, *rest])


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
