"""A terminal that a test can look at: a real one of the system, read by a thread so that no writer waits."""

import contextlib
import os
import pty
import threading
from collections.abc import Generator
from typing import TextIO

__all__ = ["Screen", "terminal"]


class Screen:
    """What has been written to a terminal."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def take(self, source: int) -> None:
        """Read until the terminal is closed."""
        with contextlib.suppress(OSError):  # that is how it says so
            while piece := os.read(source, 4096):
                self._pieces.append(piece)

    @property
    def text(self) -> str:
        """All of it, with every escape sequence."""
        return b"".join(self._pieces).decode()


@contextlib.contextmanager
def terminal() -> Generator[tuple[TextIO, Screen]]:
    """Give a file that is a terminal, and what is written there; complete once the block is left."""
    ours, theirs = pty.openpty()
    screen = Screen()
    reader = threading.Thread(target=screen.take, args=(ours,))
    reader.start()
    try:
        with os.fdopen(theirs, "w", encoding="utf-8") as file:
            yield file, screen
    finally:
        reader.join()
        os.close(ours)
