"""Take a polite request to end, SIGTERM, for what it is, while somebody waits for the mesh's end."""

import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType

__all__ = ["heeding_termination"]


@contextmanager
def heeding_termination(stop: Callable[[bool], None]) -> Generator[None]:
    """Call ``stop(False)`` at the first SIGTERM, ``stop(True)`` at any further one: then there is no time left.

    Only the main thread hears signals, and a handler that the program has set is left in its place.
    """
    is_ours = threading.current_thread() is threading.main_thread()
    if not is_ours or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    is_repeated = False

    def heed(_: int, __: FrameType | None) -> None:
        nonlocal is_repeated
        stop(is_repeated)
        is_repeated = True

    signal.signal(signal.SIGTERM, heed)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
