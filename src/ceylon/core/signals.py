"""A flag that any number of tasks on the mesh's loop can wait for."""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ceylon.core.backend import Driver, Future

__all__ = ["Signal"]


class Signal:
    """Raised once, for good; a cancelled waiter disturbs no other."""

    __slots__ = ("_callbacks", "_driver", "_waiting", "is_raised")

    def __init__(self, driver: "Driver") -> None:
        self._driver = driver
        self._waiting: list[Future] = []
        self._callbacks: list[Callable[[], None]] = []
        self.is_raised = False

    def set(self) -> None:
        """Let everyone go on who waits, now or later."""
        self.is_raised = True
        for future in self._waiting:
            if not future.done():
                future.set_result(None)
        self._waiting.clear()
        for callback in self._callbacks:
            callback()
        self._callbacks.clear()

    def also(self, callback: Callable[[], None]) -> None:
        """Call *callback* when the signal is raised."""
        if self.is_raised:
            callback()
        else:
            self._callbacks.append(callback)

    async def wait(self) -> None:
        """Wait until the signal is raised."""
        if self.is_raised:
            return
        future = self._driver.future()
        self._waiting.append(future)
        try:
            await future
        finally:
            if future in self._waiting:
                self._waiting.remove(future)
