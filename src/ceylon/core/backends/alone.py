"""Find the task that runs, where one can be cancelled by itself: asyncio's. trio knows scopes only."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ceylon.core.backend import Driver

__all__ = ["task_finder"]


def task_finder(driver: "Driver") -> Callable[[], Any] | None:
    """Return what finds the task that runs on the loop of *driver*; nothing, if a task's cancellation is for good."""
    return asyncio.current_task if issubclass(driver.cancellation, asyncio.CancelledError) else None
