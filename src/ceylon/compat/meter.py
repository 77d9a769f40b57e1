"""What programs of `ceylonai-next` do, counted for `get_metrics`: it belongs to the process, as theirs does."""

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Generator
from typing import Final

import msgspec

__all__ = ["Meter", "Metered", "Timed", "meter"]

_MOST_KINDS: Final = 1_000  # of errors; further kinds are counted under one name
_OTHERS: Final = "other"


class Timed(msgspec.Struct, frozen=True):
    """How often something was done, and the seconds it took in all."""

    times: int = 0
    seconds: float = 0.0

    def and_(self, seconds: float) -> "Timed":
        """Return it with one more."""
        return Timed(self.times + 1, self.seconds + seconds)

    @property
    def mean(self) -> float:
        """The seconds one took; 0 if there was none."""
        return self.seconds / self.times if self.times else 0.0


class Metered(msgspec.Struct, frozen=True, kw_only=True):
    """The counts at one moment.

    Attributes:
        waited: Messages, from being sent to being taken up.
        ran: The same messages, from being taken up to their end.
        asked: Questions to models that are over, one way or the other.
        answered: Those that were answered, from being asked to the answer.
        errors: What was raised by either, by type.
        hits: Looks into memories that found their entry.
        misses: Those that did not.
        writes: Entries that were stored.
    """

    waited: Timed = Timed()
    ran: Timed = Timed()
    asked: int = 0
    answered: Timed = Timed()
    errors: dict[str, int] = {}
    hits: int = 0
    misses: int = 0
    writes: int = 0


class Meter:
    """Counts, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._metered = Metered()
        self._errors: Counter[str] = Counter()

    def read(self) -> Metered:
        """Return the counts as they are now."""
        with self._lock:
            return msgspec.structs.replace(self._metered, errors=dict(self._errors))

    @contextlib.contextmanager
    def handling(self, sent: float) -> Generator[None]:
        """Count a message that was sent at *sent*, by `time.perf_counter`, and is handled within the block."""
        taken = time.perf_counter()
        try:
            with self._errors_counted():
                yield
        finally:
            now = time.perf_counter()
            with self._lock:
                waited, ran = self._metered.waited.and_(taken - sent), self._metered.ran.and_(now - taken)
                self._metered = msgspec.structs.replace(self._metered, waited=waited, ran=ran)

    @contextlib.contextmanager
    def asking(self) -> Generator[None]:
        """Count a question to a model that is answered within the block."""
        begun = time.perf_counter()
        try:
            with self._errors_counted():
                yield
        except Exception:
            self._end_question(None)
            raise
        self._end_question(time.perf_counter() - begun)

    def remembered(self, *, hits: int = 0, misses: int = 0, writes: int = 0) -> None:
        """Count what a memory did."""
        with self._lock:
            it = self._metered
            self._metered = msgspec.structs.replace(
                it, hits=it.hits + hits, misses=it.misses + misses, writes=it.writes + writes
            )

    def _end_question(self, seconds: float | None) -> None:
        """Count a question; one that was given up is none, and the mesh does not count it either."""
        with self._lock:
            it = self._metered
            answered = it.answered if seconds is None else it.answered.and_(seconds)
            self._metered = msgspec.structs.replace(it, asked=it.asked + 1, answered=answered)

    @contextlib.contextmanager
    def _errors_counted(self) -> Generator[None]:
        try:
            yield
        except Exception as error:
            kind = type(error).__name__
            with self._lock:
                self._errors[kind if kind in self._errors or len(self._errors) < _MOST_KINDS else _OTHERS] += 1
            raise


meter: Final = Meter()
