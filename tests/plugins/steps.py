"""With `$CEYLON_STEPS=always` every ask that can be answered on the asker's stack is, not only those of tasks that ask often.

So the tests of the core, which mostly ask once, try that way as well.
"""

import asyncio
import os
from typing import Any

import pytest

from ceylon.core import backend

_may_begin = backend._Steps.may_begin  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] – the switch is for tests


def _may_always_begin(self: Any, caller: "asyncio.Task[Any]") -> bool:
    self._regulars[id(caller)] = None
    return _may_begin(self, caller)


def pytest_configure(config: pytest.Config) -> None:
    """Turn the switch."""
    del config
    if os.environ.get("CEYLON_STEPS") == "always":
        backend._Steps.may_begin = _may_always_begin  # type: ignore[method-assign]  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] – as above
