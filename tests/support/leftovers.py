"""What a mesh must not leave behind: threads and tasks of its own; and settings that make an end quick to reach."""

import asyncio
import gc
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio
import msgspec
import sniffio
import trio

from ceylon import Mesh
from ceylon.settings import DEFAULTS, Settings
from support.law import lawful_mesh

__all__ = [
    "DEADLINE",
    "eventually",
    "quick",
    "tasks_left",
    "threads_left",
    "tidy_mesh",
    "wait_until",
    "wait_until_collected",
]

DEADLINE: Final = 60.0
"""Seconds until a test that waits for a condition gives up; a busy machine is slow, not wrong."""


def quick(**changes: Any) -> Settings:
    """Return settings whose ends and pauses are short, with *changes*."""
    return msgspec.structs.replace(DEFAULTS, **{"backoff_first": 0.001, **changes})


@asynccontextmanager
async def tidy_mesh(name: str = "test", **changes: Any) -> AsyncIterator[Mesh]:
    """Open a mesh with `quick` settings; check at its end that the law holds and that nothing is left of it."""
    before = tasks_left()
    async with lawful_mesh(name, settings=quick(**changes)) as mesh:
        yield mesh
    assert mesh.statistics().timers == 0
    await eventually(lambda: not threads_left(name))
    await eventually(lambda: not tasks_left() - before)


def threads_left(mesh: str) -> set[str]:
    """Name the threads of the mesh called *mesh*."""
    return {thread.name for thread in threading.enumerate() if thread.name.startswith(f"ceylon {mesh}")}


def tasks_left() -> set[Any]:
    """Return Ceylon's tasks on the running loop."""
    if sniffio.current_async_library() == "trio":
        root = trio.lowlevel.current_root_task()
        return {task for task in _trio_tasks(root) if task.name.startswith("ceylon")}
    return {task for task in asyncio.all_tasks() if task.get_name().startswith("ceylon")}


def _trio_tasks(task: "trio.lowlevel.Task | None") -> Iterator["trio.lowlevel.Task"]:
    if task is not None:
        yield task
        for nursery in task.child_nurseries:
            for child in nursery.child_tasks:
                yield from _trio_tasks(child)


async def eventually(condition: Callable[[], object]) -> None:
    """Wait until *condition* holds, and fail when it never does."""
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, "the condition never held"
        await anyio.sleep(0.001)


def wait_until_collected(condition: Callable[[], object]) -> None:
    """Wait as `wait_until` does for what the garbage collector is to bring about.

    It runs before each look: another thread may still hold what it has just worked with.
    """

    def holds() -> object:
        gc.collect()
        return condition()

    wait_until(holds)


def wait_until(condition: Callable[[], object]) -> None:
    """Wait, in a thread, until *condition* holds, and fail when it never does."""
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, "the condition never held"
        time.sleep(0.001)
