"""The clock and the chance of meshes, and of memories, through a tape: kept while recording, repeated afterwards."""

import collections
import hashlib
import random
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from ceylon.core.sources import Sources

__all__ = ["OWN", "KeptSources", "Meshes", "RepeatedSources", "Tape", "TapedMemories"]

OWN: Final = ": chance"
"""The end of the key of a mesh's own reads; an agent's has its address in it."""
_MEMORIES: Final = "memories: clock"
_ID_BYTES: Final = 16  # as many as a UUID has


class Tape(Protocol):
    """Where the reads of agents go to, or come from; from any thread."""

    def read(self, key: str, source: Callable[[], float]) -> float:
        """Return what is read under *key* now; *source* is where it is to be had."""
        ...


class KeptSources:
    """The sources of one mesh, every read of which is kept."""

    def __init__(self, mesh: str, tape: Tape, inner: "Sources") -> None:
        self._mesh, self._tape, self._inner = mesh, tape, inner
        self._chances: dict[str, random.Random] = {}

    def now(self, address: str) -> float:
        """See `Sources`."""
        return self._tape.read(_key(self._mesh, address, "clock"), lambda: self._inner.now(address))

    def chance(self, address: str) -> random.Random:
        """See `Sources`."""
        chance = self._chances.get(address)
        if chance is None:
            key = _key(self._mesh, address, "chance")
            chance = self._chances.setdefault(address, _KeptRandom(key, self._tape, self._inner.chance(address)))
        return chance


class RepeatedSources(KeptSources):
    """The sources of one mesh that repeats: what is not on the tape comes from nowhere near the real ones."""

    def __init__(self, mesh: str, tape: Tape) -> None:
        super().__init__(mesh, tape, _Nothing())


class _Nothing:
    """Sources for what should never have been read."""

    def now(self, address: str) -> float:
        del address
        return 0.0

    def chance(self, address: str) -> random.Random:
        return random.Random(address)  # noqa: S311 – anything that is the same each time


class _KeptRandom(random.Random):
    """Chance whose two springs, from which all else is made, go through a tape."""

    def __init__(self, key: str, tape: Tape, inner: random.Random) -> None:
        super().__init__()
        self._key, self._tape, self._inner = key, tape, inner

    def random(self) -> float:
        """Return the next number from 0 to 1."""
        return self._tape.read(self._key, self._inner.random)

    def getrandbits(self, k: int, /) -> int:
        """Return so many bits."""
        return int(self._tape.read(self._key, lambda: self._inner.getrandbits(k)))


class Meshes:
    """Gives each mesh a name of its own: the second ``market`` is ``market 2``."""

    def __init__(self) -> None:
        self._seen: collections.defaultdict[str, int] = collections.defaultdict(int)
        self._lock = threading.Lock()

    def name(self, mesh: str) -> str:
        """Return what the next mesh called *mesh* is called in the cassette."""
        with self._lock:
            self._seen[mesh] += 1
            return mesh if self._seen[mesh] == 1 else f"{mesh} {self._seen[mesh]}"


def _key(mesh: str, address: str, kind: str) -> str:
    return f"{mesh}: {address} {kind}" if address else f"{mesh}: {kind}"


class TapedMemories:
    """The sources of memories. Their clock is read once, and goes on from there: not once for each of their entries.

    Ids are made of what is noted, so that a program whose agents take notes at the same time gets the same ones again.
    """

    def __init__(self, name: str, tape: Tape) -> None:
        self._name, self._tape = name, tape
        self._began: tuple[float, float] | None = None
        self._seen: collections.Counter[tuple[str, str]] = collections.Counter()
        self._lock = threading.Lock()

    def now(self) -> float:
        """See `MemorySources`."""
        with self._lock:
            if self._began is None:
                self._began = self._tape.read(_MEMORIES, time.time), time.monotonic()
            recorded, here = self._began
            return recorded + time.monotonic() - here

    def new_id(self, namespace: str, text: str) -> str:
        """See `MemorySources`."""
        with self._lock:
            self._seen[namespace, text] += 1
            count = self._seen[namespace, text]
        words = "\0".join([self._name, namespace, text, str(count)])
        return hashlib.blake2b(words.encode(errors="surrogatepass"), digest_size=_ID_BYTES).hexdigest()
