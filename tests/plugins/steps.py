"""With `$CEYLON_STEPS=always` every ask that can be answered on the asker's stack is, not only a regular asker's.

So the tests of the core, which mostly ask once, try that way as well.
"""

import asyncio
import os

import pytest

from ceylon.core.backends.steps import Steps

_may_begin = Steps.may_begin


def _may_always_begin(self: Steps, caller: "asyncio.Task[object]") -> bool:
    self.note_regular(caller)
    return _may_begin(self, caller)


def pytest_configure(config: pytest.Config) -> None:
    """Turn the switch."""
    del config
    if os.environ.get("CEYLON_STEPS") == "always":
        Steps.may_begin = _may_always_begin  # type: ignore[method-assign]
