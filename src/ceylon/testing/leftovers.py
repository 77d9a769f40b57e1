"""What a mesh may leave behind: threads, tasks, timers, sockets."""

import contextlib
import importlib
import os
import threading
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import anyio
import msgspec

from ceylon.core.backend import running_loop
from ceylon.core.default import running_default_mesh

if TYPE_CHECKING:
    from ceylon.core.interior import Interior

__all__ = ["Leftovers", "nothing_leaked"]

_DESCRIPTORS: Final = Path("/proc/self/fd")
_DEFAULT_MESH: Final = "ceylon default"  # its threads stay as long as the process does


class Leftovers(msgspec.Struct, frozen=True, kw_only=True):
    """What there is of Ceylon's at one moment; two of them are compared by `nothing_leaked`.

    Attributes:
        threads: Names of its threads, but for those of the default mesh, which stay; and how often each is there.
        tasks: Likewise, of the tasks of the running loop.
        timers: How many timers of the mesh are armed.
        sockets: What the process has open; `None` where nobody can say, or while the default mesh runs, whose
            connections come and go as they like.
    """

    threads: dict[str, int] = {}
    tasks: dict[str, int] = {}
    timers: int = 0
    sockets: frozenset[str] | None = None

    @classmethod
    def now(cls, mesh: Any = None) -> "Leftovers":
        """Look; with *mesh*, a `Mesh` or a `BlockingMesh`, only at the threads of that one, and at its timers."""
        interior: Interior | None = None if mesh is None else mesh.interior
        prefix = "ceylon" if interior is None else f"ceylon {interior.name} "
        names = [thread.name for thread in threading.enumerate()]
        return cls(
            threads=Counter(name for name in names if name.startswith(prefix) and not name.startswith(_DEFAULT_MESH)),
            tasks=Counter(name for name in _task_names() if name.startswith("ceylon")),
            timers=len(interior.timers) if interior is not None and interior.was_opened else 0,
            sockets=_sockets() if running_default_mesh() is None else None,
        )


def nothing_leaked(before: Leftovers, after: Leftovers) -> list[str]:
    """Name every thread, task, timer and socket that is there *after* and was not *before*."""
    threads = Counter(after.threads) - Counter(before.threads)
    tasks = Counter(after.tasks) - Counter(before.tasks)
    violations = [f"thread {name!r} is still there{_times(count)}" for name, count in threads.items()]
    violations += [f"task {name!r} is still there{_times(count)}" for name, count in tasks.items()]
    if after.timers > before.timers:
        violations.append(f"{after.timers - before.timers} timers are still armed")
    if before.sockets is not None and after.sockets is not None:
        violations += [f"{name} is still open" for name in sorted(after.sockets - before.sockets)]
    return violations


def _times(count: int) -> str:
    return f", {count} times" if count > 1 else ""


def _task_names() -> list[str]:
    """Name the tasks of the running loop, if one runs here."""
    if running_loop() is None:
        return []
    return [task.name or "" for task in anyio.get_running_tasks()]


def _sockets() -> frozenset[str] | None:
    """Name the sockets of this process: Linux shows them as files; elsewhere psutil knows, where it is installed."""
    if not _DESCRIPTORS.is_dir():
        return _sockets_by_psutil()
    targets = set[str]()
    for descriptor in os.listdir(_DESCRIPTORS):  # noqa: PTH208 – names; the one of the listing itself is gone by now
        with contextlib.suppress(OSError):
            targets.add(os.readlink(_DESCRIPTORS / descriptor))  # noqa: PTH115 – no path: "socket:[4711]"
    return frozenset(target for target in targets if target.startswith("socket:"))


def _sockets_by_psutil() -> frozenset[str] | None:
    try:
        psutil = importlib.import_module("psutil")
    except ImportError:
        return None
    return frozenset(f"socket {found.fd}: {found.laddr}" for found in psutil.Process().net_connections("all"))
