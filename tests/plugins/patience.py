"""Give what happens at once on an idle machine a minute before it is given up: a busy one may stand still for seconds.

A test about such a limit sets it by itself; `Settings()` has the numbers that users get.
"""

from typing import Final

import msgspec

from ceylon.settings import DEFAULTS

__all__ = ["pytest_configure"]

_SECONDS: Final = 60.0
_LIMITS: Final = ("stop_grace", "model_connect_timeout", "memory_search_seconds", "memory_busy_seconds")


def pytest_configure() -> None:
    """Change them before any test runs; a process that a test starts has the usual ones."""
    for name in _LIMITS:
        msgspec.structs.force_setattr(DEFAULTS, name, _SECONDS)
