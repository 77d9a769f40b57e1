"""Hold up the loop for as long as its watchdog needs to say so: on a busy machine no number of seconds is enough."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from support.leftovers import DEADLINE

__all__ = ["Silence"]


class Silence(logging.Handler):
    """Lasts from the beginning of `listening` until the first warning of the watchdog."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._ends = threading.Lock()  # waiting for one is C code: the frame that waits is the innermost one
        self._is_over = threading.Event()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Hear what the library logs."""
        self._is_over.clear()
        self._ends.acquire(blocking=False)
        logger = logging.getLogger("ceylon")
        logger.addHandler(self)
        try:
            yield
        finally:
            logger.removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """End with a word of a loop that is blocked."""
        if record.getMessage().startswith("loop_blocked ") and not self._is_over.is_set():
            self._is_over.set()
            self._ends.release()

    def sleep(self) -> None:
        """Sleep until it is over."""
        self._ends.acquire(timeout=DEADLINE)

    def spin(self) -> None:
        """Keep the processor until it is over."""
        end = time.monotonic() + DEADLINE
        while not self._is_over.is_set() and time.monotonic() < end:
            sum(range(100))
