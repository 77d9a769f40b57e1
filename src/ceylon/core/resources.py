"""What a mesh opens once for all its agents, on its own loop: an HTTP client belongs here, never in a module."""

from collections.abc import Awaitable, Callable, Hashable
from typing import TYPE_CHECKING, Any

from ceylon.core.log import logger
from ceylon.core.signals import Signal

if TYPE_CHECKING:
    from ceylon.core.backend import Driver

__all__ = ["Resources"]

Closer = Callable[[Any], Awaitable[None]]


class Resources:
    """Shared things by key, opened at first use and closed when the mesh has stopped its agents."""

    def __init__(self, driver: "Driver") -> None:
        self._driver = driver
        self._open: dict[Hashable, tuple[Any, Closer]] = {}
        self._opening: dict[Hashable, Signal] = {}

    async def get(self, key: Hashable, opener: Callable[[], Awaitable[Any]], closer: Closer) -> Any:
        """Return the thing under *key*, opened by *opener* if it is not there; *closer* will close it."""
        while key in self._opening:
            await self._opening[key].wait()
        if key not in self._open:
            signal = self._opening[key] = Signal(self._driver)
            try:
                self._open[key] = (await opener(), closer)
            finally:
                del self._opening[key]
                signal.set()
        return self._open[key][0]

    async def close(self) -> None:
        """Close everything, last opened first; errors are logged."""
        while self._open:
            key, (thing, closer) = self._open.popitem()
            try:
                await closer(thing)
            except Exception as error:  # noqa: BLE001 – one that fails must not keep the others open
                logger().error("resource_close_failed", resource=str(key), exc_info=error)
