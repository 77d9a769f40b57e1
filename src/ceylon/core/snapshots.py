"""Where the state of keyed agents is while they are not in memory: the port, and the adapter a mesh has by itself."""

import copy
import threading
from typing import Any, Protocol

from ceylon.errors import SnapshotsFullError
from ceylon.settings import DEFAULTS, Settings

__all__ = ["InMemorySnapshots", "Snapshots"]


class Snapshots(Protocol):
    """Keeps one state for each address. `ceylon.testing.contracts.snapshot_contract` tries what is promised here.

    A state is whatever `save` of an agent returns; a store that writes it down may ask for plain data. What is loaded
    is a copy: nobody's later changes of a state are seen by anybody else. A method that raises has changed nothing.
    """

    async def load(self, address: str) -> Any:
        """Return the state saved last for *address*; `None`: there is none."""
        ...

    async def save(self, address: str, state: Any) -> None:
        """Keep *state*, which is not `None`, in the place of what was there.

        Raises:
            SnapshotsFullError: there is no room for one more; nothing that is kept is thrown away for it.
        """
        ...

    async def delete(self, address: str) -> None:
        """Keep nothing for *address* any more, if there was anything."""
        ...


class InMemorySnapshots:
    """Keeps copies of states in this process, so many at most, and throws none away."""

    def __init__(self, settings: Settings = DEFAULTS) -> None:
        self._limit = settings.snapshots
        self._kept: dict[str, Any] = {}
        self._lock = threading.Lock()  # meshes of several threads may share it; nobody waits for anything with it

    def __repr__(self) -> str:
        return f"<InMemorySnapshots {len(self._kept)} states>"

    def __len__(self) -> int:
        """Count the states."""
        return len(self._kept)

    async def load(self, address: str) -> Any:
        """See `Snapshots`."""
        with self._lock:
            kept = self._kept.get(address)
        return copy.deepcopy(kept)

    async def save(self, address: str, state: Any) -> None:
        """See `Snapshots`."""
        copied = copy.deepcopy(state)
        with self._lock:
            if address not in self._kept and len(self._kept) >= self._limit:
                raise SnapshotsFullError(address, self._limit)
            self._kept[address] = copied

    async def delete(self, address: str) -> None:
        """See `Snapshots`."""
        with self._lock:
            self._kept.pop(address, None)
