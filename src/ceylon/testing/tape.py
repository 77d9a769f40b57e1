"""What records and what replays: a model in a model's place, and sources in a mesh's, over one cassette."""

import random
import threading
from collections import defaultdict, deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from ceylon.testing.cassette import Cassette, CassetteError
from ceylon.testing.exchanges import Exchange
from ceylon.testing.masking import Masking
from ceylon.testing.nearest import difference, nearest
from ceylon.testing.outline import write

if TYPE_CHECKING:
    from ceylon.core.sources import Sources

__all__ = ["KeptSources", "Meshes", "Player", "RepeatedSources", "Tape", "Writer"]

_OWN: Final = ": chance"  # the end of the key of a mesh's own reads; an agent's has its address in it
_ADVICE: Final = "If the change is meant, record again with CEYLON_RECORD=1"


class Tape(Protocol):
    """Where the reads of agents go to, or come from; from any thread."""

    def read(self, key: str, source: Callable[[], float]) -> float:
        """Return what is read under *key* now; *source* is where it is to be had."""
        ...


class Writer:
    """Fills a cassette."""

    def __init__(self, masking: Masking) -> None:
        self.cassette = Cassette()
        self.masking = masking
        self._lock = threading.Lock()

    def begin(self, exchange: Exchange) -> None:
        """Add *exchange*, whose outcome is still to come."""
        with self._lock:
            self.cassette.exchanges.append(exchange)

    def read(self, key: str, source: Callable[[], float]) -> float:
        """See `Tape`."""
        with self._lock:
            value = source()
            self.cassette.reads.setdefault(key, []).append(value)
            return value


class Player:
    """Gives out what a cassette has: to each request its own outcome, whatever order they come in.

    The first request without one ends the replay: it and all that follow raise the same error.
    """

    def __init__(self, cassette: Cassette, path: Path, masking: Masking) -> None:
        self.cassette, self.path, self.masking = cassette, path, masking
        self.failure: CassetteError | None = None
        self._unused = list(cassette.exchanges)
        self._reads = {key: deque(values) for key, values in cassette.reads.items()}
        self._lock = threading.Lock()

    def take(self, asked: Exchange) -> Exchange:
        """Return the first unused exchange with the same question.

        Raises:
            CassetteError: there is none; it shows the difference to the one that is most like it.
        """
        with self._lock:
            if self.failure is not None:
                raise CassetteError(str(self.failure))
            question = asked.question()
            for place, exchange in enumerate(self._unused):
                if exchange.question() == question:
                    return self._unused.pop(place)
            self.failure = self._mismatch(asked)
            raise CassetteError(str(self.failure))

    def read(self, key: str, source: Callable[[], float]) -> float:
        """See `Tape`; where nothing is left the replay has failed, but a mesh's own parts go on."""
        with self._lock:
            left = self._reads.get(key)
            if left:
                return left.popleft()
            if not key.endswith(_OWN):  # how often a mesh draws for its pauses depends on how busy the machine is
                self.fail(f"{self.path}: {key} is read more often than was recorded. {_ADVICE}")
            return source()

    def fail(self, sentence: str) -> CassetteError:
        """Take note of the first failure; return the error for this one."""
        error = CassetteError(sentence)
        if self.failure is None:
            self.failure = error
        return error

    def refuse(self, what: str) -> CassetteError:
        """Return the error for *what* would leave this process."""
        return self.fail(f"{what}, while {self.path} is replayed: a replay uses no network. {_ADVICE}, or leave it out")

    def check_used(self) -> None:
        """Raise `CassetteError` if exchanges are left."""
        if self._unused:
            first = write(self._unused[0].question())
            sentence = (
                f"{self.path}: {len(self._unused)} recorded requests were never made. {_ADVICE}. The first:\n{first}"
            )
            raise CassetteError(sentence)

    def _mismatch(self, asked: Exchange) -> CassetteError:
        questions = [each.question() for each in self._unused]
        place = nearest(asked.question(), questions)
        if place is None:
            shown = write(asked.question())
            return CassetteError(f"{self.path}: a request more than was recorded. {_ADVICE}. It is:\n{shown}")
        shown = difference(questions[place], asked.question())
        number = 1 + next(at for at, each in enumerate(self.cassette.exchanges) if each is self._unused[place])
        what = f"a request differs from what was recorded; the nearest is exchange {number}"
        return CassetteError(f"{self.path}: {what}. {_ADVICE}.\n{shown}")


# -- clock and chance --------------------------------------------------------------------------------------------------


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
        self._seen: defaultdict[str, int] = defaultdict(int)
        self._lock = threading.Lock()

    def name(self, mesh: str) -> str:
        """Return what the next mesh called *mesh* is called in the cassette."""
        with self._lock:
            self._seen[mesh] += 1
            return mesh if self._seen[mesh] == 1 else f"{mesh} {self._seen[mesh]}"


def _key(mesh: str, address: str, kind: str) -> str:
    return f"{mesh}: {address} {kind}" if address else f"{mesh}: {kind}"
