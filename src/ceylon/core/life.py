"""What only some agents have, so that the many that are merely there do not pay for it."""

from collections import deque
from typing import TYPE_CHECKING

from ceylon.core.ordered import Ordered

if TYPE_CHECKING:
    from ceylon.core.agent_timers import OwnTimer
    from ceylon.core.cell import Cell
    from ceylon.core.failures import Failure
    from ceylon.core.lifespan import Lifespan, OwnTask
    from ceylon.core.origin import Origin
    from ceylon.core.signals import Signal

__all__ = ["Life", "Record"]


class Record:
    """Restarts that are counted together: an agent's own, or those of all its children."""

    __slots__ = ("due", "failures")

    def __init__(self) -> None:
        self.failures: deque[float] = deque()  # when, within the period
        self.due: deque[tuple[Cell, Failure]] | None = None  # what is to begin again, while somebody sees to it


class Life:
    """What only some agents have: hooks under way, timers, background tasks, a lifespan, children, a past.

    `era` counts the agent's beginnings and ends, so that a start which is overtaken by either knows.
    """

    __slots__ = (
        "changed",
        "children",
        "era",
        "failure",
        "group",
        "has_stopped",
        "hooks",
        "is_beginning",
        "is_hurried",
        "lifespan",
        "own",
        "retiring",
        "start_error",
        "tasks",
        "timers",
        "watched",
        "watchers",
    )

    def __init__(self) -> None:
        self.tasks: Ordered[OwnTask] = Ordered()
        self.timers: Ordered[OwnTimer] = Ordered()
        self.children: dict[str, Cell] = {}  # in the order they were started
        self.watchers: dict[str, Cell] = {}  # whoever is to be told of the agent's end
        self.watched: dict[str, Cell] = {}  # whose ends it is to be told of
        self.own: Record | None = None
        self.group: Record | None = None  # of its children, if they begin again together
        self.era = 0
        self.hooks: list[Origin] = []  # under way; until they end nothing is handled
        self.is_beginning = False  # its start hooks are under way
        self.retiring: Signal | None = None  # an instance is being taken down before a restart
        self.is_hurried = False  # somebody wants it stopped at once
        self.failure: BaseException | None = None  # what it failed by for good
        self.has_stopped = False  # `on_stop` of the present instance has run
        self.lifespan: Lifespan | None = None
        self.start_error: BaseException | None = None
        self.changed: Signal | None = None
