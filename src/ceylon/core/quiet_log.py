"""A mesh's log, kept short: the first few events of a kind about one agent, then one in a while.

An agent that fails on every message would otherwise write a traceback for each, and cost more than it is worth.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ceylon.core.log import logger

if TYPE_CHECKING:
    from ceylon.settings import Settings

__all__ = ["QuietLog"]


class Kind:
    """One event of one agent: how often it was written down, when last, and how many were left out since."""

    __slots__ = ("last", "suppressed", "written")

    def __init__(self) -> None:
        self.written = 0
        self.last = 0.0
        self.suppressed = 0


class QuietLog:
    """Writes events about agents to the package's logger, within limits; from any thread."""

    def __init__(self, settings: "Settings", now: Callable[[], float]) -> None:
        self._first = settings.log_first
        self._period = settings.log_period
        self._most = settings.log_kinds
        self._now = now
        self._kinds: OrderedDict[tuple[str, str], Kind] = OrderedDict()
        self._lock = threading.Lock()  # the watchdog writes too

    def __len__(self) -> int:
        """Count the kinds that are remembered."""
        return len(self._kinds)

    def warning(self, event: str, agent: str, **facts: Any) -> bool:
        """Write a warning about *agent*; say whether it was within the limits."""
        return self._write(logger().warning, event, agent, facts)

    def error(self, event: str, agent: str, **facts: Any) -> bool:
        """Write an error about *agent*; say whether it was within the limits."""
        return self._write(logger().error, event, agent, facts)

    def _write(self, write: Callable[..., Any], event: str, agent: str, facts: dict[str, Any]) -> bool:
        suppressed = self._admit(agent, event)
        if suppressed is None:
            return False
        if suppressed:
            facts["suppressed"] = suppressed
        write(event, agent=agent, **facts)
        return True

    def _admit(self, agent: str, event: str) -> int | None:
        """Return how many were left out before this one; `None`: so is this one."""
        with self._lock:
            kind = self._kinds.setdefault((agent, event), Kind())
            self._kinds.move_to_end((agent, event))
            if len(self._kinds) > self._most:
                self._kinds.popitem(last=False)
            now = self._now()
            if kind.written >= self._first and now < kind.last + self._period:
                kind.suppressed += 1
                return None
            suppressed, kind.suppressed = kind.suppressed, 0
            kind.written, kind.last = kind.written + 1, now
            return suppressed
