"""The event loops that async tests run on; `$CEYLON_LOOPS` names fewer: `CEYLON_LOOPS=asyncio,uvloop`."""

import importlib.util
import os
from typing import Any, Final

import pytest

__all__ = ["chosen_loops"]

_LOOPS: Final[dict[str, Any]] = {"asyncio": "asyncio", "trio": "trio", "uvloop": ("asyncio", {"use_uvloop": True})}


def chosen_loops(*names: str) -> list[Any]:
    """Return those of *names* that are wanted and installed, or the first, as parameters of `anyio_backend`."""
    said = os.environ.get("CEYLON_LOOPS")
    wanted = said.split(",") if said else names
    chosen = [name for name in names if name in wanted and importlib.util.find_spec(name)]
    return [pytest.param(_LOOPS[name], id=name) for name in chosen or names[:1]]
